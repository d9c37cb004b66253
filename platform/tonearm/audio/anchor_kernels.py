"""The inner loops of the search for duplicates: plain functions, turned into machine code when first needed.

Sub-fingerprints are sorted by a hash of their 32 bits, 64 *shelves* of them after one another, so that equal ones are
neighbours; what is sorted is one number each, the rest of the hash before the place. All is in one file since numba
notices changes only in the file of the caller. Whole numbers are int64 throughout: of int64 and uint64 numba makes
float64.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from tonearm.audio.fingerprint import Fingerprint
from tonearm.core.compiled import compile_function

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Contexts = npt.NDArray[np.uint64]

SHELVES = 64  # more would be written to too many places at once
REST_BITS = 26  # of a hash, beside its shelf
REST_MASK = (1 << REST_BITS) - 1
PLACE_BITS = 37  # 10^11 frames: 2 * 10^8 clips of 30 s
PLACE_MASK = (1 << PLACE_BITS) - 1
MET_SHIFT = 6  # of a sub-fingerprint's bits so many are left out where it is looked up whether a new track has it
TRACK_SHIFT = 7  # a track is noted for every 128th frame

#: Frames from an anchor's sub-fingerprint to those whose bytes are anchors with it: one of the eight without an error
#: is enough. With one of the two alone 3 or 7 copies in 783 were not proposed.
NEAR = (-4, 8)
#: Of the 64 bits of both most that may differ: of a match at the limit of 0.25, of which one byte is without an error,
#: these are 14 +- 5, of unrelated tracks 28 +- 4.
MOST_NEAR = 24
FURTHER, MOST_FURTHER = (-12, 16), 26  # of these 16 +- 6, and 32 +- 5
#: Other frames around both, and the most bits that may differ: what is around a place is in the cache with it, the
#: frames of the whole overlap are not.
AROUND, MOST_AROUND = (-8, 4, 12, 20), 0.4
#: Equal sub-fingerprints are paired each with each if they are so few; of more each anchor with the next equal ones.
#: What is more common than that (a loop, a jingle, an often copied track) is paired only with its neighbours, so that
#: the work grows linearly with it.
EACH_WITH_EACH = 64
LINKS = 16
LEAST_OVERLAP = 65  # frames that sound in both, 3 s: the length that the paper's threshold is derived for
#: Frames of an overlap that are compared first, and the most bits that may differ: of a match, at the limit of 0.25,
#: these errors spread by 0.04 and 0.02, of unrelated tracks by as much about 0.5.
FEW_FRAMES, FEW_MOST = 8, 0.42
MORE_FRAMES, MORE_MOST = 32, 0.36

_BYTE = np.uint64(255)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)


def hashed(code: Any) -> Any:
    """Another number below 2^32: distinct ones stay distinct, and common bits do not make crowded shelves."""
    return (np.int64(code) * 0x9E3779B1) & 0xFFFFFFFF


def count_shelves(codes: Fingerprint, met: Flags) -> Places:
    """How many places there are on each shelf: where sound is, of a sustained one the first.

    ``met`` says which codes, without their lowest bits, count; all, if it has no length.
    """
    counts = np.zeros(SHELVES, np.int64)
    every, before = len(met) == 0, np.uint32(0)
    for code in codes:
        if code != 0 and code != before and (every or met[np.int64(code) >> MET_SHIFT]):
            counts[hashed(code) >> REST_BITS] += 1
        before = code
    return counts


def fill_shelves(codes: Fingerprint, met: Flags, first: int, ends: Places, shelved: Places) -> None:
    """Put the same places of some shelves, from the first on, one shelf after the other; ``ends`` begin as starts."""
    every, before = len(met) == 0, np.uint32(0)
    for place in range(len(codes)):
        code = codes[place]
        if code != 0 and code != before and (every or met[np.int64(code) >> MET_SHIFT]):
            number = hashed(code)
            shelf = (number >> REST_BITS) - first
            if 0 <= shelf < len(ends):
                end = ends[shelf]
                shelved[end] = ((number & REST_MASK) << PLACE_BITS) | place
                ends[shelf] = end + 1
        before = code


def bits(value: Any) -> Any:
    """How many bits of 64 are set."""
    value = value - ((value >> np.uint64(1)) & _PAIRS)
    value = (value & _FOURS) + ((value >> np.uint64(2)) & _FOURS)
    value = (value + (value >> np.uint64(4))) & _EIGHTS
    return np.int64((value * _ONES) >> np.uint64(56))


def read_contexts(shelf: Places, codes: Fingerprint) -> tuple[Contexts, Contexts]:
    """The sub-fingerprints near and further around the places of a sorted shelf, where its own has an equal one.

    At the ends of a track they are another track's: no harm.
    """
    near, further = np.empty(len(shelf), np.uint64), np.empty(len(shelf), np.uint64)
    last, before = len(codes) - 1, np.int64(-1)
    for i in range(len(shelf)):
        rest = shelf[i] >> PLACE_BITS
        if rest == before or (i + 1 < len(shelf) and shelf[i + 1] >> PLACE_BITS == rest):
            place = shelf[i] & PLACE_MASK
            earlier, later = codes[max(place + NEAR[0], 0)], codes[min(place + NEAR[1], last)]
            near[i] = (np.uint64(earlier) << np.uint64(32)) | np.uint64(later)
            earlier, later = codes[max(place + FURTHER[0], 0)], codes[min(place + FURTHER[1], last)]
            further[i] = (np.uint64(earlier) << np.uint64(32)) | np.uint64(later)
        before = rest
    return near, further


def track_of(place: int, starts: Places, noted: Places) -> Any:
    """The track that a place is in."""
    track = noted[place >> TRACK_SHIFT]
    while starts[track + 1] <= place:
        track += 1
    return track


def looks_same(codes: Fingerprint, at_first: int, at_second: int, overlap: int, frames: int, most: float) -> bool:
    """Whether few bits differ in some frames of an overlap, or so much of it is silent that it cannot be told."""
    wrong, sounding = 0, 0
    for i in range(frames):
        frame = overlap * (2 * i + 1) // (2 * frames)
        a, b = codes[at_first + frame], codes[at_second + frame]
        if a != 0 and b != 0:
            sounding += 1
            wrong += bits(np.uint64(a ^ b))
    return 2 * sounding < frames or wrong <= most * 32 * sounding


def sounds_alike(codes: Fingerprint, one: int, other: int) -> bool:
    """Whether few bits differ around two places; at the ends of a track it is another one's, which costs an anchor."""
    wrong, sounding, last = 0, 0, len(codes) - 1
    for lag in AROUND:
        a, b = codes[min(max(one + lag, 0), last)], codes[min(max(other + lag, 0), last)]
        if a != 0 and b != 0:
            sounding += 1
            wrong += bits(np.uint64(a ^ b))
    return wrong <= MOST_AROUND * 32 * sounding


def candidate(codes: Fingerprint, starts: Places, noted: Places, new: Flags, span: int, one: int, other: int) -> Any:
    """What is to be compared in full where two places hold the same, packed into a number; -1 where it is unlikely."""
    if not sounds_alike(codes, one, other):
        return -1
    first, second = track_of(one, starts, noted), track_of(other, starts, noted)
    if first == second or not (new[first] or new[second]):
        return -1
    if first > second:
        first, second, one, other = second, first, other, one
    offset = (one - starts[first]) - (other - starts[second])
    in_first, in_second = max(offset, 0), max(-offset, 0)
    overlap = min(starts[first + 1] - starts[first] - in_first, starts[second + 1] - starts[second] - in_second)
    at_first, at_second = starts[first] + in_first, starts[second] + in_second
    if (
        overlap < LEAST_OVERLAP
        or not looks_same(codes, at_first, at_second, overlap, FEW_FRAMES, FEW_MOST)
        or not looks_same(codes, at_first, at_second, overlap, MORE_FRAMES, MORE_MOST)
    ):
        return -1
    return (first * (len(starts) - 1) + second) * span + offset + span // 2


def are_near(one: Any, other: Any) -> Any:
    """Whether near contexts share a byte, and most of the rest."""
    differs = one ^ other
    return ((differs - _ONES) & ~differs & _HIGHS) != 0 and bits(differs) <= MOST_NEAR


def order_by_byte(contexts: Contexts, start: int, end: int, shift: Any, order: Places) -> None:
    """Sort the indices of some contexts by one of their bytes, equal ones as they come."""
    counts = np.zeros(257, np.int64)
    for i in range(start, end):
        counts[np.int64((contexts[i] >> shift) & _BYTE) + 1] += 1
    for value in range(256):
        counts[value + 1] += counts[value]
    for i in range(start, end):
        own = np.int64((contexts[i] >> shift) & _BYTE)
        order[counts[own]] = i
        counts[own] += 1


def link_by_byte(near: Contexts, further: Contexts, start: int, end: int, links: int, pairs: Places) -> int:
    """Pairs among the next ones that share a byte, where the rest is near, too; how many."""
    count, size = 0, end - start
    order = np.empty(size, np.int64)
    for byte in range(8):
        shift = np.uint64(8 * byte)
        order_by_byte(near, start, end, shift, order)
        for at in range(size - 1):
            one = order[at]
            for then in range(at + 1, min(at + 1 + links, size)):
                other = order[then]
                differs = near[one] ^ near[other]
                if (differs >> shift) & _BYTE:
                    break
                if bits(differs) <= MOST_NEAR and bits(further[one] ^ further[other]) <= MOST_FURTHER:
                    pairs[count, 0], pairs[count, 1] = one, other
                    count += 1
    return count


def likely_candidates(
    shelf: Places, codes: Fingerprint, starts: Places, noted: Places, new: Flags, span: int, each_with_each: int,
    links: int,
) -> Places:  # fmt: skip
    """Candidates among the places of a sorted shelf, some repeated."""
    near, further = read_contexts(shelf, codes)
    found, known = np.empty(64, np.int64), 0
    pairs = np.empty((each_with_each * each_with_each, 2), np.int64)
    start, size = 0, len(shelf)
    while start < size:
        end, rest = start + 1, shelf[start] >> PLACE_BITS
        while end < size and shelf[end] >> PLACE_BITS == rest:
            end += 1
        count = 0
        if end - start > each_with_each:
            if len(pairs) < 8 * links * (end - start):
                pairs = np.empty((16 * links * (end - start), 2), np.int64)
            count = link_by_byte(near, further, start, end, links, pairs)
        else:
            for i in range(start, end - 1):
                own, its_further = near[i], further[i]
                for j in range(i + 1, end):
                    if are_near(own, near[j]) and bits(its_further ^ further[j]) <= MOST_FURTHER:
                        pairs[count, 0], pairs[count, 1] = i, j
                        count += 1
        for i in range(count):
            one, other = shelf[pairs[i, 0]] & PLACE_MASK, shelf[pairs[i, 1]] & PLACE_MASK
            packed = candidate(codes, starts, noted, new, span, one, other)
            if packed >= 0:
                if known == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[known] = packed
                known += 1
        start = end
    return found[:known]


HELPERS = (
    "hashed", "bits", "read_contexts", "track_of", "looks_same", "sounds_alike", "candidate", "are_near",
    "order_by_byte", "link_by_byte",
)  # fmt: skip
KERNELS = ("count_shelves", "fill_shelves", "likely_candidates")


@cache
def compiled() -> SimpleNamespace:
    """The kernels as machine code, compiled at their first call and kept on disk where that is possible."""
    for name in HELPERS:  # in place, since a compiled kernel calls its helpers by their global names
        globals()[name] = compile_function(globals()[name])
    return SimpleNamespace(**{name: compile_function(globals()[name]) for name in KERNELS})
