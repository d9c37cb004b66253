"""What a prediction says, in the form of its task: a class, labels, fitness, values, or a vector.

Python, HTTP and tables tell the same answer: :meth:`Readable.read` makes it of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray

Row = tuple[str, float]  # a name and its number


@dataclass(frozen=True)
class Answer:
    """Base of all forms.

    Attributes
    ----------
    task
        The form's name, that of the task whose form it is; a task of one's own has one of these forms, too.
    prefix
        Of the columns that hold its numbers in a table.
    """

    task: ClassVar[str]
    prefix: ClassVar[str]

    @property
    def label(self) -> str:
        """The best label.

        Raises
        ------
        ConfigError
            If the answer is no labels.
        """
        raise ConfigError(f"an answer of {self.task} has no label: its numbers are in rows()")

    def rows(self, most: int | None = None) -> list[Row]:
        """Names and numbers, the best first; ``most`` shortens what is ranked, not values or a vector."""
        raise TypeError(f"{type(self).__name__} must say its numbers")

    def brief(self, most: int) -> list[str]:
        """The same for people, a text each."""
        return [f"{name} {number:.3f}" for name, number in self.rows(most)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; ``task`` says the form."""
        raise TypeError(f"{type(self).__name__} must say how it is written")

    def columns(self) -> dict[str, Any]:
        """What a table says before the numbers, by the name of the column."""
        return {}

    def number_names(self, names: Sequence[str]) -> list[str]:
        """Names of the columns of its numbers, for outputs of these names in their order."""
        return [f"{self.prefix}:{name}" for name in names]


@dataclass(frozen=True)
class Ranked(Answer):
    """Base of the forms that rank labels.

    Attributes
    ----------
    ranked
        Every label with its number, the greatest first; of equal ones the first output comes first.
    """

    ranked: tuple[Row, ...]

    @property
    def label(self) -> str:
        return self.ranked[0][0]

    def rows(self, most: int | None = None) -> list[Row]:
        return list(self.ranked[:most])


@dataclass(frozen=True)
class ClassAnswer(Ranked):
    """One class: probabilities that sum to 1."""

    task: ClassVar[str] = "single_label"
    prefix: ClassVar[str] = "p"

    def to_dict(self) -> dict[str, Any]:
        each = [{"label": label, "probability": p} for label, p in self.ranked]
        return {"task": self.task, "label": self.label, "probabilities": each}

    def columns(self) -> dict[str, Any]:
        return {"label": self.label, "probability": self.ranked[0][1]}


@dataclass(frozen=True)
class LabelsAnswer(Ranked):
    """Any number of labels: of each its probability by itself.

    Attributes
    ----------
    threshold
        A label is given where its probability is at least this.
    labels
        Those that are given, the most probable first; there may be none.
    """

    threshold: float
    labels: tuple[str, ...]
    task: ClassVar[str] = "multi_label"
    prefix: ClassVar[str] = "p"

    def brief(self, most: int) -> list[str]:
        """Those that are not given stand in brackets."""
        texts = [(f"{label} {p:.3f}", label in self.labels) for label, p in self.rows(most)]
        return [text if given else f"({text})" for text, given in texts]

    def to_dict(self) -> dict[str, Any]:
        each = [{"label": label, "probability": p, "threshold": self.threshold} for label, p in self.ranked]
        return {"task": self.task, "labels": list(self.labels), "probabilities": each}

    def columns(self) -> dict[str, Any]:
        return {"labels": "; ".join(self.labels)}


@dataclass(frozen=True)
class FitnessAnswer(Ranked):
    """How well each playlist fits, 0..1; they need not sum to anything."""

    task: ClassVar[str] = "playlists"
    prefix: ClassVar[str] = "fitness"

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task, "playlists": [{"playlist": name, "fitness": f} for name, f in self.ranked]}

    def columns(self) -> dict[str, Any]:
        return {"playlist": self.label, "fitness": self.ranked[0][1]}


@dataclass(frozen=True)
class Value:
    """A number of a recording.

    Attributes
    ----------
    unit
        ``"BPM"``, ``"Hz"``; "" where it has none, or none was named.
    low, high
        Between which it lies whatever the recording; None where it may be any number.
    """

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ValuesAnswer(Answer):
    """Numbers of a recording, each in its own unit, in the order of the outputs."""

    values: tuple[Value, ...]
    task: ClassVar[str] = "regression"
    prefix: ClassVar[str] = "value"

    def rows(self, most: int | None = None) -> list[Row]:
        return [(v.name, v.value) for v in self.values]

    def brief(self, most: int) -> list[str]:
        return [f"{v.name} {v.value:.4g}{f' {v.unit}' if v.unit else ''}" for v in self.values]

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task, "values": [asdict(v) for v in self.values]}

    def number_names(self, names: Sequence[str]) -> list[str]:
        unit = {v.name: f" ({v.unit})" for v in self.values if v.unit}
        return [f"{self.prefix}:{name}{unit.get(name, '')}" for name in names]


@dataclass(frozen=True, eq=False)
class VectorAnswer(Answer):
    """A place in a space that was learnt before.

    Attributes
    ----------
    target
        What the vector is of: the metadata column that was learnt.
    names
        Of its numbers.
    vector
        float32 (dim,).
    """

    target: str
    names: tuple[str, ...]
    vector: FloatArray
    task: ClassVar[str] = "embedding"
    prefix: ClassVar[str] = "vector"

    def rows(self, most: int | None = None) -> list[Row]:
        return list(zip(self.names, map(float, self.vector), strict=True))

    def brief(self, most: int) -> list[str]:
        shown = " ".join(f"{number:.3f}" for number in self.vector[:most])
        return [f"{self.target}: a vector of {len(self.vector)}, {shown}{' ...' * (len(self.vector) > most)}"]

    def to_dict(self) -> dict[str, Any]:
        return {"task": self.task, "target": self.target, "vector": [float(number) for number in self.vector]}


class Readable(Config):
    """Base of all tasks: how predictions are read."""

    def read(self, prediction: FloatArray, names: Sequence[str]) -> Answer:
        """What a track's prediction (outputs,) says; by default numbers without a unit.

        Parameters
        ----------
        names
            Of the numbers, as the task's ``output_names`` gives them.
        """
        return ValuesAnswer(tuple(Value(name, float(v)) for name, v in zip(names, prediction, strict=True)))

    def meaning(self) -> tuple[Any, ...]:
        """What predictions mean: those of tasks with equal ones can be averaged, whatever they were trained by."""
        return (self.kind,)


def ranked(prediction: FloatArray, names: Sequence[str]) -> tuple[Row, ...]:
    """Names with their numbers, the greatest first."""
    return tuple((names[i], float(prediction[i])) for i in np.argsort(-prediction, kind="stable").tolist())
