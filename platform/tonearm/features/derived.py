"""Representations that are computed of another one: summaries of a clip, and what frozen encoders say of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tonearm.audio.decode import Layout
from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.features.base import Normalisation, Representation, Unit
from tonearm.features.computed import ComputedClip


class Derived(Representation):
    """Base of what is computed of another representation, in the same pass and shared by all that need it.

    Sample rate, channels, hop and frames are those of :attr:`of`; the fields of its own stay as they are.

    Attributes
    ----------
    of
        The representation that it is computed of, before normalisation.
    """

    unit: ClassVar[Unit] = "ratio"

    of: Representation
    normalisation: Normalisation = "none"

    def problems(self) -> list[str]:
        found = [
            f"{name} is {getattr(self, name)!r}: a {self.kind} takes that of what it is computed of, set of.{name}"
            for name in ("sample_rate", "channels", "hop", "frames")
            if getattr(self, name) != getattr(type(self), name)
        ]
        return found

    @property
    def layout(self) -> Layout:
        return self.of.layout

    @property
    def planes(self) -> int:
        return self.of.planes

    def notes(self) -> tuple[str, ...]:
        return self.of.notes()

    def versions(self) -> tuple[int | str, ...]:
        return (*super().versions(), *(f"of {self.of.kind} {version}" for version in self.of.versions()))

    def stored_fields(self) -> dict[str, Any]:
        of = {**self.of.stored_fields(), "normalisation": type(self.of).normalisation}  # which is not applied to it
        return {**super().stored_fields(), "of": of}

    def derive(self, values: FloatArray) -> FloatArray:
        """What it makes of one clip.

        Parameters
        ----------
        values
            float32 of shape (rows, frames), or (2, rows, frames) for two planes, of :attr:`of`; they are not changed.

        Returns
        -------
        float32 of shape (freq_bins, frames), or (2, freq_bins, frames).
        """
        raise TypeError(f"{type(self).__name__} must say how it is computed")

    def derive_batch(self, clips: Sequence[FloatArray], device: str) -> list[FloatArray]:
        """:meth:`derive` of many clips, on a torch device where that helps."""
        return [self.derive(values) for values in clips]


def analysed(feature: Representation) -> Representation:
    """The representation that is computed of the waveform itself: of what is derived that of its ``of``."""
    return analysed(feature.of) if isinstance(feature, Derived) else feature


Found = dict[Representation, list[ComputedClip]]


def derived_clips(feature: Representation, found: Found, device: str = "cpu") -> list[ComputedClip]:
    """A representation of some clips from what was computed of their waveforms; what is made on the way is kept there.

    Parameters
    ----------
    found
        Of every representation that :func:`analysed` gives, all clips.
    device
        Of torch, for encoders.
    """
    if feature not in found and isinstance(feature, Derived):
        values = [clip.values for clip in derived_clips(feature.of, found, device)]
        found[feature] = [ComputedClip(made, made) for made in feature.derive_batch(values, device)]
    return found[feature]


def repeated(values: FloatArray, frames: int) -> FloatArray:
    """At least so many frames: a clip that is shorter is repeated."""
    there = values.shape[-1]
    if there >= frames:
        return values
    if not there:
        raise ConfigError("a clip without frames cannot be summed up: lengthen it")
    return np.tile(values, (1,) * (values.ndim - 1) + (-(-frames // there),))[..., :frames]
