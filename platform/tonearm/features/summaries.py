"""Summaries: what a clip is like, in a fixed number of values, whatever its length.

A :class:`Summary` is the last step of a representation: of values (rows, frames) it makes one vector. With the
representation that it sums up it is a representation of its own, :class:`Summarised`, of one frame: extracted in the
same pass, stored, and computed in serving like any other.

Patterns over blocks of frames are in :mod:`.patterns`, what is made of pitch classes in :mod:`.tonal`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tonearm.core.config import Config
from tonearm.core.registry import Registry
from tonearm.core.types import FloatArray, InputSpec
from tonearm.features.derived import Derived, repeated

Floats = npt.NDArray[np.float64]

SHORTEST_SECONDS = 1.0  # of a clip that is summed up
RANGE_DB = 80.0  # below the loudest value of a clip: what is softer counts as this
LEAST_FLUCTUATION = 1e-3  # dB: a softer one is none
SMALLEST = 1e-6  # deviations below it are those of nothing


class Summary(Config):
    """Base of all summaries.

    Attributes
    ----------
    fewest_frames
        Shorter clips are repeated up to so many.
    """

    registry: ClassVar[Registry[type[Summary]]] = Registry("summary")
    definition_version: ClassVar[int] = 1  # raise it when values of one kind change: its stores get another name

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        """Sentences on what cannot work for a representation of so many rows, and frames a second."""
        return []

    def fewest_frames(self, frame_rate: float) -> int:
        """Frames that it needs; a shorter clip is repeated."""
        return 2

    def length(self, rows: int, frame_rate: float) -> int:
        """Values that it makes of so many rows."""
        raise TypeError(f"{type(self).__name__} must say how many values it makes")

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        """The vector (length,) of values (rows, frames), which are not changed; all finite."""
        raise TypeError(f"{type(self).__name__} must say how it is computed")


class Summarised(Derived, kind="summary"):
    """A representation summed up: one frame, whose rows are the summary's values.

    Attributes
    ----------
    of
        What is summed up.
    summary
        How.
    """

    summary: Summary

    def problems(self) -> list[str]:
        return super().problems() or self.summary.problems_with(self.of.freq_bins, self.frame_rate)

    @property
    def frame_rate(self) -> float:
        """Frames a second of what is summed up."""
        return self.of.sample_rate / self.of.hop

    @property
    def freq_bins(self) -> int:
        return self.summary.length(self.of.freq_bins, self.frame_rate)

    def frames_from(self, samples: int) -> int:
        return 1

    def seconds_of(self, frames: int) -> float:
        return SHORTEST_SECONDS

    @property
    def is_whole(self) -> bool:
        return True

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(self.planes, self.freq_bins, 1)

    def versions(self) -> tuple[int | str, ...]:
        version = self.summary.definition_version
        return (*super().versions(), *([f"by {self.summary.kind} {version}"] if version > 1 else []))

    def derive(self, values: FloatArray) -> FloatArray:
        enough = repeated(values, self.summary.fewest_frames(self.frame_rate)).astype(np.float64)
        if enough.ndim == 2:
            return self.summary.compute(enough, self.frame_rate)[:, None].astype(np.float32)
        planes = [self.summary.compute(plane, self.frame_rate) for plane in enough]
        return np.stack(planes)[..., None].astype(np.float32)


class Moments(Summary, kind="moments"):
    """Mean and deviation of each row; with ``changes`` also the deviation from frame to frame.

    Of mel-frequency cepstral coefficients it is the "single Gaussian" of timbre without its correlations (Mandel and
    Ellis 2005).
    """

    changes: bool = False

    def length(self, rows: int, frame_rate: float) -> int:
        return (3 if self.changes else 2) * rows

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        found = [values.mean(axis=1), values.std(axis=1)]
        return np.concatenate([*found, np.diff(values, axis=1).std(axis=1)] if self.changes else found)


class Changes(Summary, kind="changes"):
    """How much each row changes from frame to frame: mean size and deviation."""

    def length(self, rows: int, frame_rate: float) -> int:
        return 2 * rows

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        change = np.diff(values, axis=1)
        return np.concatenate([np.abs(change).mean(axis=1), change.std(axis=1)])


class Correlations(Summary, kind="correlations"):
    """Correlation over time of each pair of rows, -1..1."""

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return [] if rows > 1 else ["correlations need two rows at least: the representation has one"]

    def length(self, rows: int, frame_rate: float) -> int:
        return rows * (rows - 1) // 2

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return correlations(values)


class Level(Summary, kind="level"):
    """The mean of all values, in their unit: how loud a clip is, where they are decibels."""

    def length(self, rows: int, frame_rate: float) -> int:
        return 1

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return np.array([loud_part(values).mean()])


class Profile(Summary, kind="profile"):
    """Mean and deviation of bands of neighbouring rows, in dB about the clip's mean: which notes sound, how steadily.

    Attributes
    ----------
    merged
        Rows a band.
    """

    merged: int = 2

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return not_within("merged", self.merged, rows)

    def length(self, rows: int, frame_rate: float) -> int:
        return 2 * (rows // self.merged)

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        levels = banded(loud_part(values), len(values) // self.merged)
        levels = levels - levels.mean()
        return np.concatenate([levels.mean(axis=1), levels.std(axis=1)])


class Modulation(Summary, kind="modulation"):
    """How strongly the level of bands of rows fluctuates, by the fluctuation's frequency: log10 of dB.

    Attributes
    ----------
    merged
        Rows whose level is taken together.
    pooled
        Of such bands so many neighbours share a value of the outcome.
    bins
        Of modulation frequency, evenly spaced in its logarithm.
    lowest, highest
        Modulation frequency, Hz. A clip must be ``1 / lowest`` seconds long, or is repeated.
    """

    merged: int = 2
    pooled: int = 3
    bins: int = 10
    lowest: float = 0.1
    highest: float = 10.0

    def problems(self) -> list[str]:
        return modulation_problems(self.bins, self.lowest, self.highest)

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return not_within("merged x pooled", self.merged * self.pooled, rows) or too_fast(self.highest, frame_rate)

    def fewest_frames(self, frame_rate: float) -> int:
        return math.ceil(frame_rate / self.lowest)

    def length(self, rows: int, frame_rate: float) -> int:
        return rows // (self.merged * self.pooled) * self.bins

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        levels = banded(loud_part(values), len(values) // self.merged)
        found = fluctuations(levels, frame_rate, self.lowest, self.highest, self.bins)
        return banded(found, len(found) // self.pooled).reshape(-1)


def loud_part(values: Floats) -> Floats:
    """Decibels with at least those that are :data:`RANGE_DB` below the loudest."""
    heard: Floats = np.maximum(values, values.max() - RANGE_DB)
    return heard


def banded(values: Floats, bands: int) -> Floats:
    """Means of neighbouring rows, (bands, columns); rows that fill no band are left out."""
    each = values.shape[0] // bands
    mean: Floats = values[: each * bands].reshape(bands, each, -1).mean(axis=1)
    return mean


def correlations(values: Floats) -> Floats:
    """Of each pair of rows (rows, columns) their correlation, 0 where a row does not vary."""
    centred = values - values.mean(axis=-1, keepdims=True)
    size = np.sqrt(np.square(centred).sum(axis=-1)).clip(SMALLEST)
    product = centred @ np.swapaxes(centred, -1, -2)
    rows, columns = np.triu_indices(values.shape[-2], 1)
    scaled: Floats = (product / (size[..., :, None] * size[..., None, :]))[..., rows, columns]
    return scaled


def fluctuations(levels: Floats, frame_rate: float, lowest: float, highest: float, bins: int) -> Floats:
    """How strongly levels (..., frames) fluctuate: log10 of the amplitude in dB, a sine's its own, (..., bins).

    The bins are ranges of frequency between ``lowest`` and ``highest`` Hz, evenly spaced in its logarithm; one in which
    there is no frequency of the transform takes the nearest.
    """
    frames = levels.shape[-1]
    amplitude = np.abs(np.fft.rfft(levels - levels.mean(axis=-1, keepdims=True), axis=-1)) * 2 / frames
    frequencies, edges = np.fft.rfftfreq(frames, 1 / frame_rate), np.geomspace(lowest, highest, bins + 1)
    found = []
    for low, high in pairwise(edges.tolist()):
        inside = np.flatnonzero((frequencies >= low) & (frequencies < high))
        if not len(inside):
            inside = np.array([np.argmin(np.abs(frequencies - math.sqrt(low * high)))])
        found.append(np.sqrt(np.square(amplitude[..., inside]).mean(axis=-1)))
    logarithm: Floats = np.log10(LEAST_FLUCTUATION + np.stack(found, axis=-1))
    return logarithm


def not_within(name: str, count: int, rows: int) -> list[str]:
    """The problem, if a count of rows is not within those that are there."""
    return [] if 1 <= count <= rows else [f"{name} is {count}: it must be within 1 and the {rows} rows there are"]


def modulation_problems(bins: int, lowest: float, highest: float) -> list[str]:
    """Of a range of modulation frequency."""
    if bins >= 1 and 0 < lowest < highest:
        return []
    return [f"{bins} bins from {lowest} to {highest} Hz: at least one, and 0 < lowest < highest"]


def too_fast(highest: float, frame_rate: float) -> list[str]:
    """The problem, if frames are too far apart for a modulation frequency."""
    if highest <= frame_rate / 2:
        return []
    return [f"highest is {highest:g} Hz: of {frame_rate:.4g} frames a second none above {frame_rate / 2:.4g} is seen"]
