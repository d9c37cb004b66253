"""What a model says of one recording."""

from __future__ import annotations

from dataclasses import dataclass

from tonearm.core.types import FloatArray, Prediction
from tonearm.inference.explain import Explanation
from tonearm.inference.timeline import Moment
from tonearm.recommend.doubt import DOUBTFUL, is_doubted
from tonearm.tasks.answers import Answer, ClassAnswer

SHOWN = 5


@dataclass(frozen=True, repr=False)
class Classification:
    """What a model predicts of one recording.

    Attributes
    ----------
    prediction
        Its outputs and its embedding as arrays.
    answer
        What they say: of the task's form, a class, labels, fitness, values or a vector.
    explanation
        Why; None of a vector.
    heard
        The share of training tracks that are no nearer to the others than this recording is, 0..1: near 0 it sounds
        like none of them. None of a model that does not know its training tracks.
    timeline
        What one network hears in each window; none of what is heard at once.
    """

    prediction: Prediction
    answer: Answer
    explanation: Explanation | None = None
    heard: float | None = None
    timeline: tuple[Moment, ...] = ()

    @property
    def sure(self) -> float | None:
        """How sure the answer is right: the calibrated probability of its class; None where it is not one class."""
        return self.answer.rows(1)[0][1] if isinstance(self.answer, ClassAnswer) else None

    @property
    def doubt(self) -> bool | None:
        """Whether the recording sounds like nothing that the model has learned from; None where that is not known."""
        return is_doubted(self.heard)

    @property
    def label(self) -> str:
        """The best label.

        Raises
        ------
        ConfigError
            If the model answers values or a vector, which are no labels.
        """
        return self.answer.label

    @property
    def probabilities(self) -> dict[str, float]:
        """Of every label its probability or fitness, the greatest first; of values and vectors the numbers."""
        return dict(self.answer.rows())

    @property
    def embedding(self) -> FloatArray:
        """float32 (dim,): the vector by which neighbours are found."""
        return self.prediction.embedding

    @property
    def why(self) -> str:
        """In a sentence; "" of a vector."""
        return self.explanation.sentence if self.explanation else ""

    def __repr__(self) -> str:
        lines = [*self.answer.brief(SHOWN), *([f"why: {self.why}"] if self.explanation else [])]
        return "\n".join([*lines, *([DOUBTFUL] if self.doubt else [])])
