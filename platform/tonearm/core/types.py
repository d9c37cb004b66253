"""Value types that all layers share: waveforms, shapes of inputs, ground truth, predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Waveform:
    """Decoded audio. Two are equal if their samples and rates are.

    Attributes
    ----------
    samples
        float32 of shape (channels, samples), nominally within -1..1.
    sample_rate
        Samples a second, Hz.
    """

    samples: FloatArray
    sample_rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(self.samples.shape[-1] / self.sample_rate)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Waveform):
            return NotImplemented
        return self.sample_rate == other.sample_rate and np.array_equal(self.samples, other.samples)

    def __hash__(self) -> int:
        return hash((self.sample_rate, np.shape(self.samples)))

    def __repr__(self) -> str:
        channels = self.samples.shape[0] if np.ndim(self.samples) == 2 else "?"
        return f"Waveform({channels} channel(s), {self.duration:.3f} s at {self.sample_rate} Hz)"


@dataclass(frozen=True)
class InputSpec:
    """The shape of one example as a network sees it: (channels, freq_bins, frames).

    Token sequences are ``InputSpec(1, vocabulary, length)``; vectors and table rows ``(1, n, 1)``;
    pictures ``(3, height, width)``.
    """

    channels: int
    freq_bins: int
    frames: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.freq_bins, self.frames)


@dataclass(frozen=True)
class GroundTruth:
    """What is known of some tracks; a task makes its targets of it.

    Attributes
    ----------
    labels
        Of each track, its labels: one for a class, any number for genres or playlists.
    groups
        Of each track, what never crosses splits; by default the artist.
    values
        Further metadata by name, each of shape (tracks,) or (tracks, dim); NaN where unknown.
    """

    labels: Sequence[tuple[str, ...]]
    groups: Sequence[str] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one track.

    Attributes
    ----------
    labels
        What the outputs stand for: class names, sorted, or the names of regression targets.
    probabilities
        float32 of shape (outputs,): probabilities that sum to 1 for a single-label task, one fitness or probability a
        class for several labels, the values themselves for a regression.
    embedding
        float32 of shape (dim,): the vector that nearest neighbours are searched by. Its length is 1, or less by what
        the model's training tracks do not account for, where the model can tell.
    """

    labels: tuple[str, ...]
    probabilities: FloatArray
    embedding: FloatArray

    def top(self, k: int = 3) -> list[tuple[str, float]]:
        """The ``k`` most probable labels with their probabilities, most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]
