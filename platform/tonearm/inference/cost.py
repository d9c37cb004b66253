"""What a network costs a track, on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from tonearm.core.threads import torch_threads
from tonearm.inference.member import StoredTrack, predict_member
from tonearm.training.bundle import Bundle

REPEATS = 3


def milliseconds_a_track(member: Bundle, tracks: Sequence[StoredTrack]) -> float:
    """The median time of a network for a track, in one thread, as a server answers; its features are stored.

    Parameters
    ----------
    tracks
        One at least; the first is predicted once before, since the first call of a network is slower.
    """
    with torch_threads(1):
        predict_member(member, tracks[0])
        taken = []
        for stored in list(tracks) * REPEATS:
            begun = time.perf_counter()
            predict_member(member, stored)
            taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)
