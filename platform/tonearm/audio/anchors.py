"""Candidates for the search for duplicates: pairs of fingerprints, and offsets, at which they may be the same.

An *anchor* is a sub-fingerprint with a byte of another one a few frames away. A pair that shares one is a candidate; a
look at some frames of the overlap leaves few. Chance meets so few of an anchor's 40 bits that the search is nearly
linear in the number of tracks: the 32 bits of a sub-fingerprint alone (Haitsma & Kalker 2002, section 6) meet those of
another clip of 30 s in one of 200 pairs, of which there are 5 * 10^11 at a million tracks. It costs no recall: of 58
clips changed in 15 ways, anchors propose all but one of the 783 copies that a shared sub-fingerprint proposes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tonearm.audio.fingerprint import Fingerprint
from tonearm.core.errors import ConfigError

LEAST_OVERLAP = 65  # frames that sound in both, 3 s: the length that the paper's threshold is derived for
#: Frames from an anchor's sub-fingerprint to that of its byte, and where the byte begins: an anchor for each, so that
#: one byte without an error is enough. With one of the two lags 3 or 7 copies in 783 were not proposed.
ANCHORS = tuple((lag, shift) for lag in (-4, 8) for shift in (0, 8, 16, 24))
#: An anchor is paired with so many of the next equal ones. What is more common than that (a loop, a jingle, an often
#: copied track) is paired only with its neighbours in the index, so that the work grows linearly with it.
LINKS = 16
#: Frames of an overlap that are compared first, and the most bits that may differ: of a match, at the limit of 0.25,
#: these errors spread by 0.04 and 0.02, of unrelated tracks by as much about 0.5.
LOOKS = ((8, 0.42), (32, 0.36))
INDEX_BITS = 24  # beside an anchor's 40 bits in one number
ANCHORS_AT_ONCE = 2**INDEX_BITS  # looked at together: some 400 MB with what else is needed for them
BLOCK_BITS = 18  # of these sorted together
PLACE_BITS = 42  # 4 * 10^12 frames: 7 * 10^9 clips of 30 s
CANDIDATES_AT_ONCE = 2**16

Places = npt.NDArray[np.int64]


class Candidates:
    """Fingerprints one after the other, in the order of their ids.

    A candidate, (first track, second track, offset in frames) with ``first < second``, is packed into one number.
    """

    def __init__(self, tracks: list[Fingerprint], new: npt.NDArray[np.bool_]) -> None:
        self.new = new
        self.lengths = np.array([len(track) for track in tracks], dtype=np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.codes = np.concatenate([np.empty(0, np.uint32), *tracks])
        self.span = 2 * int(self.lengths.max(initial=0)) + 1  # of the offsets
        if len(tracks) ** 2 * self.span >= 2**63:
            raise ConfigError(
                f"{len(tracks)} tracks of up to {self.span // 2} frames are too many to compare: leave out the longest"
            )

    def of(self, track: int) -> Fingerprint:
        """The fingerprint of a track."""
        return self.codes[self.starts[track] : self.starts[track + 1]]

    def unpacked(self, packed: Places) -> Iterator[tuple[int, int, int]]:
        """Candidates one by one."""
        for some in _slices(packed, CANDIDATES_AT_ONCE):
            yield from zip(*(values.tolist() for values in self._unpack(some)), strict=True)

    def _unpack(self, packed: Places) -> tuple[Places, Places, Places]:
        pairs, offsets = np.divmod(packed, self.span)
        first, second = np.divmod(pairs, len(self.lengths))
        return first, second, offsets - self.span // 2

    def candidates(self, told: Callable[[int, int], None]) -> Places:
        """What is to be compared in full, sorted."""
        met = self._codes_of_new()
        part_bits = (len(self.codes) >> INDEX_BITS).bit_length()
        found = np.empty(0, np.int64)
        for part in range(1 << part_bits):
            places = self._places(part, part_bits, met)
            likely = [self._likely(some) for block in self._blocks(places, part_bits)
                      for some in self._equal_anchors(block, part_bits)]  # fmt: skip
            found = np.unique(np.concatenate([found, *likely]))
            told(part + 1, 1 << part_bits)
        return found

    def _codes_of_new(self) -> npt.NDArray[np.bool_] | None:
        """Which codes, without their lowest bits, a new track has; None where all tracks are new."""
        if self.new.all():
            return None
        met = np.zeros(2**26, dtype=np.bool_)
        for track in np.flatnonzero(self.new).tolist():
            met[self.of(track) >> np.uint32(6)] = True
        return met

    def _places(self, part: int, part_bits: int, met: npt.NDArray[np.bool_] | None) -> Places:
        """Where sub-fingerprints are that end in the bits of a number, and are not those of the frame before."""
        chosen = []
        for start in range(0, len(self.codes), ANCHORS_AT_ONCE):
            codes = self.codes[start : start + ANCHORS_AT_ONCE]
            places = np.flatnonzero((codes & np.uint32((1 << part_bits) - 1)) == part) + start
            values = self.codes[places]
            # Of a sustained sound the first frame is enough.
            places = places[(values != 0) & ((values != self.codes[places - 1]) | (places == 0))]
            if met is not None:
                places = places[met[self.codes[places] >> np.uint32(6)]]
            chosen.append(places)
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)

    def _blocks(self, places: Places, part_bits: int) -> Iterator[Places]:
        """Places divided further by the bits of their sub-fingerprints, ascending: so many as a cache holds."""
        block_bits = (len(places) >> BLOCK_BITS).bit_length()
        numbers = (self.codes[places] >> np.uint32(part_bits)) & np.uint32((1 << block_bits) - 1)
        order = np.sort((numbers.astype(np.int64) << PLACE_BITS) | places)
        bounds = np.searchsorted(order, np.arange((1 << block_bits) + 1) << PLACE_BITS)
        order &= (1 << PLACE_BITS) - 1
        for start, end in itertools.pairwise(bounds.tolist()):
            yield from _slices(order[start:end], ANCHORS_AT_ONCE)  # more of one value would be linked to few anyway

    def _equal_anchors(self, places: Places, part_bits: int) -> Iterator[Places]:
        """Candidates, packed, of the pairs of places that begin equal anchors; sorted for each kind of anchor."""
        codes = self.codes[places] >> np.uint32(part_bits)  # of a part all end in the same bits
        places = places[_sorted_equal(codes.astype(np.uint64))[1]]
        places.sort()
        codes = self.codes[places] >> np.uint32(part_bits)
        tracks = np.searchsorted(self.starts, places, side="right") - 1
        for lag, shift in ANCHORS:
            other = self.codes[np.clip(places + lag, 0, len(self.codes) - 1)]  # at the ends another track's: no harm
            byte = (other >> np.uint32(shift)) & np.uint32(255)
            yield self._linked(*_sorted_equal((codes.astype(np.uint64) << np.uint64(8)) | byte), places, tracks)

    def _linked(self, anchors: npt.NDArray[np.uint64], index: Places, places: Places, tracks: Places) -> Places:
        """Candidates of sorted anchors, each with the next equal ones."""
        places, tracks = places[index], tracks[index]
        found = [np.empty(0, np.int64)]
        for step in range(1, min(LINKS + 1, len(places))):
            equal = np.flatnonzero(anchors[step:] == anchors[:-step])
            if len(equal) == 0:
                break
            here, there = tracks[equal], tracks[equal + step]
            wanted = (here != there) & (self.new[here] | self.new[there])
            equal, here, there = equal[wanted], here[wanted], there[wanted]
            offset = (places[equal] - self.starts[here]) - (places[equal + step] - self.starts[there])
            found.append((here * len(self.lengths) + there) * self.span + offset + self.span // 2)
        return np.unique(np.concatenate(found))

    def _likely(self, packed: Places) -> Places:
        """The candidates of which few bits differ in the frames that are looked at, sorted."""
        likely = [packed[:0]]
        for some in _slices(packed, CANDIDATES_AT_ONCE):
            for frames, most in LOOKS:
                some = some[self._looks_same(some, frames, most)]
            likely.append(some)
        return np.concatenate(likely)

    def _looks_same(self, packed: Places, frames: int, most: float) -> npt.NDArray[np.bool_]:
        first, second, offset = self._unpack(packed)
        in_first, in_second = np.maximum(offset, 0), np.maximum(-offset, 0)
        overlap = np.minimum(self.lengths[first] - in_first, self.lengths[second] - in_second)
        at_first, at_second = self.starts[first] + in_first, self.starts[second] + in_second
        wrong, sounding = (np.zeros(len(packed), dtype=np.int64) for _ in range(2))
        for i in range(frames):
            frame = overlap * (2 * i + 1) // (2 * frames)
            a, b = self.codes[at_first + frame], self.codes[at_second + frame]
            sounds = (a != 0) & (b != 0)
            sounding += sounds
            wrong += np.where(sounds, np.bitwise_count(a ^ b), 0)
        few = 2 * sounding < frames  # most of it is silent: too little to judge by
        return (overlap >= LEAST_OVERLAP) & (few | (wrong <= most * 32 * sounding))


def _sorted_equal(values: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], Places]:
    """Those of fewer than 2 ** 40 that occur more than once, sorted, and where each is among all."""
    order = values << np.uint64(INDEX_BITS)
    order |= np.arange(len(values), dtype=np.uint64)
    order.sort()
    values = order >> np.uint64(INDEX_BITS)
    same = values[1:] == values[:-1]
    shared = np.zeros(len(values), dtype=np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    return values[shared], (order[shared] & np.uint64((1 << INDEX_BITS) - 1)).astype(np.int64)


def _slices(values: Places, length: int) -> Iterator[Places]:
    return (values[start : start + length] for start in range(0, len(values), length))
