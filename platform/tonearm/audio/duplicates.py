"""The same recording under two ids: the search for duplicates among audio fingerprints.

Two recordings are the same where the bits of their fingerprints differ in few places over the whole overlap. Which
pairs, and at which offset, :mod:`tonearm.audio.anchors` proposes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tonearm.audio.anchor_kernels import LEAST_OVERLAP
from tonearm.audio.anchors import Candidates
from tonearm.audio.fingerprint import FRAMES_PER_SECOND, Fingerprint
from tonearm.core.errors import ConfigError

SEARCH_VERSION = 1  # of what is found: another one searches again among tracks that were compared
#: The most bits that may differ between two of the same recording. The paper allows 0.35 for 3 s at a hop of 11.6 ms,
#: from the spread of unrelated fingerprints. Here unrelated clips differ in 0.40 at least (at the best of all offsets),
#: re-encoded ones in 0.19 at most (an MP3 of 16 kbit/s cut elsewhere); in between are a cover of a song (0.34) and
#: two arrangements that share their stems (0.27), which are other recordings. At 8 kbit/s half of the copies are lost.
MOST_ERRORS = 0.25
#: And at least so much of what sounds in the shorter one: two folk songs on one synthesised piano may share a phrase.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Match:
    """Two ids of the same recording.

    Attributes
    ----------
    first, second
        The ids; ``first < second``.
    error_rate
        The share of bits that differ over all the frames that sound in both, 0 to :data:`MOST_ERRORS`.
    offset_seconds
        Where ``second`` starts on the time axis of ``first``, to about 23 ms: positive if it is cut from a later place.
    """

    first: str
    second: str
    error_rate: float
    offset_seconds: float


def find_duplicates(
    fingerprints: Mapping[str, Fingerprint],
    searched: Container[str] = (),
    told: Callable[[int, int], None] = lambda done, steps: None,
) -> list[Match]:
    """All pairs of ids that are the same recording, wherever they overlap.

    Equal anchors propose pairs and offsets; a pair is a match if at the best of its offsets the bits differ in no more
    than :data:`MOST_ERRORS` over the whole overlap, silence apart, and that is 3 s or more, and half of the shorter
    one. It needs about 4 bytes a sub-fingerprint, and a GiB beside.

    Parameters
    ----------
    fingerprints
        What :func:`~tonearm.audio.fingerprint.fingerprint` gave, by id.
    searched
        Ids that were compared with one another before: pairs of two of them are left out. Of them only what a new
        fingerprint shares is sorted, so a few new ones among many cost a look through all.
    told
        Is told how many steps of how many are done.

    Returns
    -------
    list of Match
        Sorted by the ids, each pair once. Of a recording with more than ``EACH_WITH_EACH`` copies not every pair need
        be listed; :func:`duplicate_groups` connects them.

    Raises
    ------
    ConfigError
        A value that is no fingerprint.
    """
    for name, values in fingerprints.items():
        if values.dtype != np.uint32 or values.ndim != 1:
            raise ConfigError(
                f"{name!r} has {values.dtype} of shape {values.shape} for a fingerprint: pass the uint32 values of "
                "shape (frames,) that tonearm.audio.fingerprint.fingerprint returns"
            )
    names = sorted(fingerprints)
    tracks = Candidates(
        [fingerprints[name] for name in names], np.array([name not in searched for name in names], bool)
    )
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for first, second, offset in tracks.unpacked(tracks.candidates(told)):
        rate = _error_rate(tracks.of(first), tracks.of(second), offset)
        if rate <= MOST_ERRORS:
            found = (rate, abs(offset), offset)  # of equal rates (a loop) the one with the longest overlap
            best[first, second] = min(best.get((first, second), found), found)
    return [
        Match(names[first], names[second], rate, offset / FRAMES_PER_SECOND)
        for (first, second), (rate, _, offset) in sorted(best.items())
    ]


def duplicate_groups(matches: Iterable[Match]) -> list[tuple[str, ...]]:
    """Ids that are connected by matches: each group sorted, and the groups by their first id."""
    return connected_groups((match.first, match.second) for match in matches)


def connected_groups(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """What is connected by pairs: each group sorted, and the groups by their first."""
    leader: dict[str, str] = {}

    def leads(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = name = leader[leader[name]]  # shorter for the next one
        return name

    for first, second in pairs:
        leader[leads(first)] = leads(second)
    groups: dict[str, list[str]] = {}
    for name in leader:
        groups.setdefault(leads(name), []).append(name)
    return sorted(tuple(sorted(group)) for group in groups.values())


def _error_rate(first: Fingerprint, second: Fingerprint, offset: int) -> float:
    """The share of bits that differ where ``second`` starts ``offset`` frames into ``first``; 1 without an overlap."""
    shortest = min(np.count_nonzero(first), np.count_nonzero(second))
    first, second = first[max(0, offset) :], second[max(0, -offset) :]
    frames = min(len(first), len(second))
    first, second = first[:frames], second[:frames]
    sound = (first != 0) & (second != 0)
    count = int(np.count_nonzero(sound))
    if count < max(LEAST_OVERLAP, LEAST_SHARE * shortest):
        return 1.0
    return float(np.bitwise_count((first ^ second)[sound]).sum(dtype=np.int64)) / (32 * count)
