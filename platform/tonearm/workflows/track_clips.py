"""Stored features of one track, as arrays with their times."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonearm.core import home
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.store import FeatureStore, store_uri
from tonearm.features.store_copy import copy_to_node


@dataclass(frozen=True, eq=False, repr=False)
class TrackClip:
    """A clip of a track in one representation.

    Attributes
    ----------
    values
        float32 of shape (freq_bins, frames), or (2, freq_bins, frames) for two planes: as it was extracted, within half
        precision, not normalised.
    number
        Of the clip in its track.
    start
        Where the clip begins in the track, seconds; NaN if it was stored before that was kept.
    hop
        Seconds from one frame to the next.
    """

    values: FloatArray
    number: int
    start: float
    hop: float

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """The middle of each frame in the track, seconds, of shape (frames,); counted from the clip's start if that is
        not known."""
        begin = 0.0 if math.isnan(self.start) else self.start
        frames: npt.NDArray[np.float64] = np.arange(self.values.shape[-1], dtype=np.float64)
        return begin + self.hop * frames

    def __repr__(self) -> str:
        return f"TrackClip({self.number}, from {self.start:.3f} s, {self.values.shape}, {self.hop:.4f} s a frame)"


def open_stores(features: tuple[Representation, ...], keys: list[str]) -> dict[Representation, FeatureStore]:
    """The stores of representations in the home; of remote ones the parts with these tracks are copied here."""
    root, cache = home.features_home(), home.node_cache()
    return {f: FeatureStore(copy_to_node(store_uri(root, f), cache, keys)) for f in features}


def read_track(store: FeatureStore, key: str) -> list[TrackClip]:
    """All clips of a track in a store, in order."""
    config = store.representation
    return [
        TrackClip(clip.values.astype(np.float32), clip.number, clip.start, config.hop / config.sample_rate)
        for clip in store.read_clips(key)
    ]
