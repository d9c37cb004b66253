"""Part of the benchmark ``scale``: the search for recordings that occur more than once, among made fingerprints.

Fingerprints of 30 s whose sub-fingerprints meet those of other tracks by chance as often as real ones do (0.005 times
a pair of tracks, as among clips of 348 game soundtracks, which :data:`LOUDNESS_SPREAD` is chosen for); every hundredth
track is a copy of another, cut elsewhere, with a tenth of its bits changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.signal

from tonearm.audio.duplicates import duplicate_groups, find_duplicates
from tonearm.audio.fingerprint import BANDS, Fingerprint

FRAMES = 634  # of a clip of 30 s
COPY_EVERY = 100
CUT = 40  # frames
CHANGED = 0.1  # of a copy's bits
STAYS = 0.834  # of a band's energy from frame to frame: 19 % of the bits change, as in music
LOUDNESS_SPREAD = 0.7  # of the bands, as natural logarithm
MADE_AT_ONCE = 200
NEW = 20


def steps(tracks: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Search all among all, then a few new ones among them."""
    prints = made_prints(tracks)
    copies = tracks // COPY_EVERY

    def search() -> dict[str, float]:
        groups = duplicate_groups(find_duplicates(prints))
        return {"groups": len(groups), "copies": copies}

    def search_new() -> dict[str, float]:
        return {"matches": len(find_duplicates(prints, known)), "copies": NEW}

    yield "all against all", search
    known = set(prints)
    prints.update({f"new {i}": prints[f"{i:08d}"][CUT:] for i in range(NEW)})
    yield f"{NEW} new ones against all", search_new


def made_prints(tracks: int) -> dict[str, Fingerprint]:
    """Fingerprints by id."""
    rng = np.random.default_rng(0)
    loudness = np.exp(LOUDNESS_SPREAD * rng.standard_normal(BANDS)).astype(np.float32)
    follow = np.array([1, -STAYS], np.float32)
    prints: dict[str, Fingerprint] = {}
    for start in range(0, tracks, MADE_AT_ONCE):
        noise = rng.standard_normal((FRAMES, min(MADE_AT_ONCE, tracks - start), BANDS), dtype=np.float32)
        energy = scipy.signal.lfilter(np.ones(1, np.float32), follow, noise * loudness, axis=0)
        values = _packed(np.diff(energy, axis=2) > 0)
        for i in range(values.shape[1]):
            prints[f"{start + i:08d}"] = np.ascontiguousarray(values[:, i])
    for i in range(COPY_EVERY - 1, tracks, COPY_EVERY):
        changed = _packed(rng.random((FRAMES - CUT, 32)) < CHANGED)
        prints[f"{i:08d}"] = prints[f"{i - COPY_EVERY // 2:08d}"][CUT:] ^ changed
    return prints


def _packed(bits: np.ndarray) -> Fingerprint:
    """Sub-fingerprints of bits (..., 32)."""
    values: Fingerprint = np.packbits(bits, axis=-1).view(">u4")[..., 0].astype(np.uint32)
    return values
