"""Candidates for the search for duplicates: pairs of fingerprints, and offsets, at which they may be the same.

An *anchor* is a sub-fingerprint with a byte of another one a few frames away. A pair that shares one, and most of what
is around it, is a candidate; a look at some frames of the overlap leaves few. Chance meets so few of these bits that
the search is nearly linear in the number of tracks: the 32 bits of a sub-fingerprint alone (Haitsma & Kalker 2002,
section 6) meet those of another clip of 30 s in one of 200 pairs, of which there are 5 * 10^11 at a million tracks. It
costs no recall: of 58 clips changed in 15 ways, anchors propose all but one of the 783 copies that a shared
sub-fingerprint proposes. That most of what is around must be near, too, costs 17 of 6037 pairs among fingerprints of
348 clips and of 35 of them changed in 18 ways, and changes no group.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from tonearm.audio.anchor_kernels import (
    EACH_WITH_EACH,
    LINKS,
    MET_SHIFT,
    PLACE_BITS,
    SHELVES,
    TRACK_SHIFT,
    Flags,
    Places,
    compiled,
)
from tonearm.audio.fingerprint import Fingerprint
from tonearm.core.errors import ConfigError

SORTED_AT_ONCE = 2**27  # places: a GiB. Fewer would be looked for in all sub-fingerprints more often
CANDIDATES_AT_ONCE = 2**16


class Candidates:
    """Fingerprints one after the other, in the order of their ids.

    A candidate, (first track, second track, offset in frames) with ``first < second``, is packed into one number.
    """

    def __init__(self, tracks: list[Fingerprint], new: Flags) -> None:
        self.new = new
        self.lengths = np.array([len(track) for track in tracks], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.codes = np.concatenate([np.empty(0, np.uint32), *tracks])
        self.span = 2 * int(self.lengths.max(initial=0)) + 1  # of the offsets
        if len(tracks) ** 2 * self.span >= 2**63 or len(self.codes) >= 2**PLACE_BITS:
            raise ConfigError(
                f"{len(tracks)} tracks of up to {self.span // 2} frames are too many to compare: leave out the longest"
            )

    def of(self, track: int) -> Fingerprint:
        """The fingerprint of a track."""
        return self.codes[self.starts[track] : self.starts[track + 1]]

    def unpacked(self, packed: Places) -> Iterator[tuple[int, int, int]]:
        """Candidates one by one."""
        for start in range(0, len(packed), CANDIDATES_AT_ONCE):
            pairs, offsets = np.divmod(packed[start : start + CANDIDATES_AT_ONCE], self.span)
            first, second = np.divmod(pairs, len(self.lengths))
            yield from zip(first.tolist(), second.tolist(), (offsets - self.span // 2).tolist(), strict=True)

    def candidates(self, told: Callable[[int, int], None]) -> Places:
        """What is to be compared in full, sorted."""
        kernels, met = compiled(), self._codes_of_new()
        noted = np.searchsorted(self.starts, np.arange(0, len(self.codes), 1 << TRACK_SHIFT), side="right") - 1
        ends = np.concatenate([[0], np.cumsum(kernels.count_shelves(self.codes, met))])
        parts = list(_parts(ends))
        buffer = np.empty(max((int(ends[last] - ends[first]) for first, last in parts), default=0), np.int64)
        found = [np.empty(0, np.int64)]
        for done, (first, last) in enumerate(parts):
            starts = ends[first : last + 1] - ends[first]
            kernels.fill_shelves(self.codes, met, first, starts[:-1].copy(), buffer)
            for start, end in itertools.pairwise(starts.tolist()):
                shelf = buffer[start:end]
                shelf.sort()
                likely = kernels.likely_candidates(
                    shelf, self.codes, self.starts, noted, self.new, self.span, EACH_WITH_EACH, LINKS
                )
                found.append(np.unique(likely))
            told(done + 1, len(parts))
        return np.unique(np.concatenate(found))

    def _codes_of_new(self) -> Flags:
        """Which codes, without their lowest bits, a new track has; of no length where all tracks are new."""
        met = np.zeros(0 if self.new.all() else 1 << (32 - MET_SHIFT), dtype=np.bool_)
        for track in np.flatnonzero(self.new).tolist() if len(met) else ():
            met[self.of(track) >> np.uint32(MET_SHIFT)] = True
        return met


def _parts(ends: Places) -> Iterator[tuple[int, int]]:
    """First and last of the shelves that are filled together, the last one exclusive."""
    first = 0
    while first < SHELVES:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + SORTED_AT_ONCE, side="right")) - 1)
        yield first, last
        first = last
