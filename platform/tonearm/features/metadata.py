"""Inputs made of a data set's metadata, not of audio: numbers, texts, pictures and artists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tonearm.core.config import Config
from tonearm.core.errors import DatasetError
from tonearm.core.types import FloatArray, InputSpec
from tonearm.features.base import Feature


class TableFeature(Feature, kind="table"):
    """A vector made of numeric metadata.

    Attributes
    ----------
    columns
        The metadata columns, in the order of the vector; a column of vectors contributes all of its numbers.
    width
        Numbers in all; it differs from the number of columns where some are vectors.
    scaling
        By the training split: ``"minmax"`` to 0..1, ``"standard"`` to zero mean and unit deviation, ``"unit"`` each
        example to unit length, or ``"none"``.
    missing
        An unknown value is an error (``"refuse"``), becomes the training split's mean (``"mean"``), or stays NaN, for
        models that mask it (``"keep"``).
    """

    columns: tuple[str, ...]
    width: int = 0
    scaling: Literal["minmax", "standard", "unit", "none"] = "standard"
    missing: Literal["refuse", "mean", "keep"] = "refuse"

    def problems(self) -> list[str]:
        found = []
        if not self.columns:
            found.append("columns is empty: name at least one metadata column")
        if self.width and self.width < len(self.columns):
            found.append(f"width is {self.width} for {len(self.columns)} columns: each has at least one number")
        return found

    @property
    def size(self) -> int:
        """Numbers in the vector."""
        return self.width or len(self.columns)

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(1, self.size, 1)


class TokensFeature(Feature, kind="tokens"):
    """A text as whole numbers: 0 is padding in front, 1..n the training split's words, n + 1 any rarer word.

    Attributes
    ----------
    column
        The metadata column with the texts.
    vocabulary
        How many words may have a number of their own (n is at most that): the training split's most frequent. 20 000 is
        ours: the thesis' network has 108 755 200 parameters, which are 497 946 words.
    fewest
        How often a word must occur there to have one. With 2 (ours) the number of the rare words is trained even where
        the vocabulary holds all others.
    length
        Tokens of a text; a longer one loses its end. 200 is ours: the thesis pads to the longest text of a batch.
    drop_threshold
        In training, a word of frequency f is dropped with probability 1 - sqrt(t / f); 0 drops none (Whitell 2019,
        after Mikolov et al. 2013).
    """

    column: str = "lyrics"
    vocabulary: int = 20_000
    fewest: int = 2
    length: int = 200
    drop_threshold: float = 1e-3

    def problems(self) -> list[str]:
        found = [
            f"{name} is {getattr(self, name)}: it must be at least 1"
            for name in ("vocabulary", "fewest", "length")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.drop_threshold <= 1:
            found.append(f"drop_threshold is {self.drop_threshold}: it must be within 0, which is off, and 1")
        return found

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(1, self.vocabulary, self.length)


class PictureFeature(Feature, kind="picture"):
    """A square RGB picture, values 0..1.

    Attributes
    ----------
    column
        The metadata column with its place: a path, or ``file#row`` for files that hold many.
    size
        Rows and columns; other sizes are resampled.
    """

    column: str = "picture"
    size: int = 640

    def problems(self) -> list[str]:
        return [] if self.size >= 1 else [f"size is {self.size}: a picture has at least one row"]

    @property
    def variant(self) -> str:
        return "cifar"

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(3, self.size, self.size)


class ArtistsFeature(Feature, kind="artists"):
    """Artists by their number, for a table of vectors that is learned from who is related to whom.

    Attributes
    ----------
    column
        The metadata column with the rows of each artist's related artists (sorted by id), -1 where there are fewer.
    artists
        How many there are; filled in when the data is there.
    """

    column: str = "related"
    artists: int = 1

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(1, self.artists, 1)


class NamedFeature(Config):
    """One input of several, under the name that the model has for it."""

    name: str
    feature: Feature


class CompositeFeature(Feature, kind="several"):
    """Several inputs at once, for models that take more than one."""

    inputs: tuple[NamedFeature, ...]

    def problems(self) -> list[str]:
        names = [p.name for p in self.inputs]
        found = [f"input {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
        found += [f"input {p.name!r} consists of several itself: list them here" for p in self.inputs
                  if isinstance(p.feature, CompositeFeature)]  # fmt: skip
        return found or ([] if names else ["inputs is empty: name at least one"])

    def named_inputs(self) -> dict[str, Feature]:
        return {p.name: p.feature for p in self.inputs}


@dataclass(frozen=True)
class TableScaling:
    """What a table's numbers are scaled by, fitted on a training split: (value - shift) / scale, number by number.

    Attributes
    ----------
    mean
        Replaces unknown values where ``missing`` is ``"mean"``.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    mean: tuple[float, ...]


def fit_table(values: np.ndarray, feature: TableFeature, first: int = 0) -> TableScaling:
    """Shift and scale from the training split's values, float64 (tracks, size); unknown ones are left out.

    Parameters
    ----------
    first
        Of wide tables some numbers can be fitted at a time: which one of the table the first of these values is.

    Raises
    ------
    DatasetError
        If a column is unknown for every training track.
    """
    empty = np.flatnonzero(np.isnan(values).all(axis=0))
    if len(empty) and feature.missing != "keep":
        raise DatasetError(
            f"number {first + int(empty[0])} of the table ({', '.join(feature.columns[:8])}) is unknown for all "
            "training tracks: leave its column out"
        )
    known = np.where(np.isnan(values).all(axis=0), 0.0, values)
    if feature.scaling == "minmax":
        shift, scale = np.nanmin(known, axis=0), np.nanmax(known, axis=0) - np.nanmin(known, axis=0)
    elif feature.scaling == "standard":
        shift, scale = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    else:
        shift, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
    scale = np.where(scale > 0, scale, 1.0)
    columns = (tuple(float(v) for v in numbers) for numbers in (shift, scale, np.nanmean(known, axis=0)))
    return TableScaling(*columns)


def scale_table(values: np.ndarray, feature: TableFeature, scaling: TableScaling) -> FloatArray:
    """Scaled examples, float32 of shape (tracks, 1, size, 1), of raw values (tracks, size).

    Raises
    ------
    DatasetError
        If a value is unknown and the feature refuses that; the column is named.
    """
    unknown = np.isnan(values)
    if feature.missing == "refuse" and unknown.any():
        row, column = (int(i[0]) for i in np.nonzero(unknown))
        raise unknown_value(feature, column, int(unknown.any(axis=1).sum()), len(values), row)
    if feature.missing == "mean":
        values = np.where(unknown, np.asarray(scaling.mean), values)
    scaled = (values - np.asarray(scaling.shift)) / np.asarray(scaling.scale)
    if feature.scaling == "unit":
        scaled = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(scaled, dtype=np.float32)[:, None, :, None]


def unknown_value(feature: TableFeature, number: int, count: int, tracks: int, row: int) -> DatasetError:
    """The error of a table that must know all values, and has ``count`` of its ``tracks`` with unknown ones."""
    return DatasetError(
        f"number {number} of the table ({', '.join(feature.columns[:8])}) is unknown for {count} of {tracks} tracks, "
        f"first in row {row}: leave them out, or set missing='mean'"
    )
