"""What an answer costs a track, on this machine: decoding, features and networks, each measured by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from tonearm.audio.windows import Clip, ClipConfig, load_clips
from tonearm.core.threads import torch_threads
from tonearm.features.base import Representation
from tonearm.inference.classify import as_stored
from tonearm.inference.member import StoredTrack, predict_member
from tonearm.training.bundle import Bundle

REPEATS = 3

CostParts = Mapping[Hashable, float]
"""Milliseconds a track of each thing that an answer needs; what several networks need has one name."""

T = TypeVar("T")


def total_cost(parts: Sequence[CostParts]) -> float:
    """Milliseconds a track of all together: what they share is done once."""
    return sum({name: cost for part in parts for name, cost in part.items()}.values())


def network_cost(member: Bundle, tracks: Sequence[StoredTrack]) -> float:
    """The median milliseconds of a network for a track, in one thread, as a server answers.

    Parameters
    ----------
    tracks
        One at least; the first is predicted once before, since the first call of a network is slower.
    """
    return _measure(lambda stored: predict_member(member, stored), tracks)


def decoding_cost(
    recordings: Sequence[bytes], clip: ClipConfig, feature: Representation, min_seconds: float
) -> tuple[float, list[list[Clip]]]:
    """The median milliseconds of decoding a recording for a representation, and the clips of each.

    Raises
    ------
    AudioError
        If one is no usable audio.
    """

    def decoded(recording: bytes) -> list[Clip]:
        return list(load_clips(recording, clip, [feature.layout], min_seconds))

    return _measure(decoded, recordings), [decoded(recording) for recording in recordings]


def feature_cost(clips: Sequence[Sequence[Clip]], feature: Representation) -> float:
    """The median milliseconds of computing a representation of a recording's clips."""
    name = feature.store_name()
    return _measure(lambda own: [as_stored(part, {name: feature}) for part in own], clips)


def _measure(work: Callable[[T], object], items: Sequence[T]) -> float:
    with torch_threads(1):
        work(items[0])
        taken = []
        for item in list(items) * REPEATS:
            begun = time.perf_counter()
            work(item)
            taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)
