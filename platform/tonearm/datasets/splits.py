"""Splits: a function of groups, labels, a seed, and of where the tracks were before.

A group stays in one split, but the groups of a class that has too few of them are dissolved, with a note.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.core.text import quoted
from tonearm.datasets.assignment import ALONE, NOTHING, Assignment
from tonearm.datasets.balance import has_several_labels, join_groups, representative_ids
from tonearm.datasets.extension import Extension, Move, extend
from tonearm.datasets.manifest import SPLITS, Split, Track

OTHER_SEED = ", or deal all tracks anew with another seed: with this one they stay where they were before"
FRACTIONS: dict[Split, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}


@dataclass(frozen=True)
class Division:
    """Tracks with their splits.

    Attributes
    ----------
    tracks
        Sorted by id, with their split and, where it had to be dissolved or joined, their group.
    notes
        For the user.
    assignment
        Where the tracks are now and those were that are gone, for the next time.
    moves
        Tracks that were in another split before.
    """

    tracks: tuple[Track, ...]
    notes: tuple[str, ...]
    assignment: Assignment
    moves: tuple[Move, ...] = ()


def divide(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    duplicates: Sequence[Sequence[str]] = (),
    *,
    grouped: bool = True,
    before: Assignment = NOTHING,
) -> Division:
    """Assign splits; tracks that were placed before stay where they were, only new groups are placed.

    A group's split follows from the hash of its name and the seed, but for those that the balance of classes needs
    elsewhere. Groups of several splits that became one (an artist named in a joint track, a recording that is found
    twice) go to train if one was there, or else to validation: so nothing that was
    trained on is ever tested. Where a class, or all, would lack in a split, as little as can be moves there.

    Parameters
    ----------
    seed
        Of the hash.
    fractions
        Shares of the three splits, positive, sum 1.
    duplicates
        Track ids that must share a split whatever their groups: a recording that occurs twice. Their groups are
        joined under the first name of them.
    grouped
        Whether groups are kept whole, where that can be. A class with fewer groups than splits cannot be kept apart by
        group: its tracks are split one by one, each its own group ``track:<id>``, which a note names, since an artist
        is then on both sides. Where tracks have several labels, all of them are balanced, groups always stay whole, and
        a note names the labels that a split lacks. Where they have none, as in regression, the numbers of tracks are
        balanced. If not ``grouped``, classes are balanced track by track, and the tracks' groups stay as they are.
    before
        Where tracks were before, in splits of the same seed and fractions.

    Raises
    ------
    DatasetError
        If a class of singly labelled tracks cannot be in every split: it has fewer tracks than there are splits, or
        its groups hold too many other classes. The message names the class. Or if a split would be empty, or the
        fractions are no shares.
    """
    if set(fractions) != set(SPLITS) or min(fractions.values()) <= 0 or not math.isclose(sum(fractions.values()), 1):
        raise DatasetError(
            f"fractions are {dict(fractions)}: give {', '.join(SPLITS)} a share each, positive, which sum to 1"
        )
    ordered = sorted(tracks, key=lambda t: t.track_id)
    before = before.recognising(ordered)
    ids, one_label = [t.track_id for t in ordered], not has_several_labels(ordered)
    notes: list[str] = []
    dissolved: frozenset[tuple[str, str]] = frozenset()
    if grouped:
        units = join_groups(ids, [t.group for t in ordered], duplicates)
        was = before.dissolved_among(ordered, len(SPLITS))
        dissolved, notes = _dissolved(ordered, units, one_label, was)
        if dissolved:
            first = representative_ids(duplicates)
            alone = [(t.label, t.group) in dissolved for t in ordered]
            units = tuple(
                f"{ALONE}{first.get(i, i)}" if own else u for i, u, own in zip(ids, units, alone, strict=True)
            )
            units = join_groups(ids, units, duplicates)  # of one recording one class may be dissolved and one not
    else:
        if one_label:
            _require_enough(Counter(t.label for t in ordered))
        units = join_groups(ids, ids, duplicates)
    extension = extend(
        ordered, units, units if grouped else [""] * len(units), SPLITS, [fractions[s] for s in SPLITS],
        derive_seed("splits", seed), before, first_of=True, fill=one_label,
    )  # fmt: skip
    notes += _check(extension, one_label, anew=not before.placed)
    done = tuple(
        dataclasses.replace(t, split=cast(Split, split), group=unit if grouped else t.group)
        for t, unit, split in zip(ordered, units, extension.places, strict=True)
    )
    assignment = before.extended(ordered, units, extension.places, dissolved)
    return Division(done, tuple(notes), assignment, extension.moves)


def split_by_group(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    duplicates: Sequence[Sequence[str]] = (),
) -> tuple[tuple[Track, ...], list[str]]:
    """The tracks with their splits, groups kept whole, and notes, as :func:`divide` makes them the first time."""
    done = divide(tracks, seed, fractions, duplicates)
    return done.tracks, list(done.notes)


def stratified_split(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    duplicates: Sequence[Sequence[str]] = (),
) -> tuple[tuple[Track, ...], list[str]]:
    """The tracks with their splits, groups ignored, and notes, as :func:`divide` makes them the first time."""
    done = divide(tracks, seed, fractions, duplicates, grouped=False)
    return done.tracks, list(done.notes)


def _check(extension: Extension, one_label: bool, anew: bool) -> list[str]:
    """Notes on labels that lack in a split; where tracks have one, that and an empty split are errors."""
    counts, placement = extension.counts, extension.placement
    lacking = {
        label: [SPLITS[s] for s in range(len(SPLITS)) if not placement.class_counts[s, c]]
        for c, label in enumerate(counts.classes)
    }
    notes = []
    if one_label:
        _refuse(lacking, anew)
    else:
        notes = [
            f"label {quoted(label)} ({total:.0f} tracks) does not occur in {' and '.join(splits)}: too few groups "
            "have it"
            for (label, splits), total in zip(lacking.items(), counts.totals, strict=True)
            if splits
        ]
    empty = [SPLITS[s] for s in range(len(SPLITS)) if not placement.sizes[s]]
    if empty:
        raise DatasetError(
            f"{len(counts.groups)} group(s) cannot fill {len(SPLITS)} splits: no track is left for "
            f"{', '.join(empty)}. Add recordings by other artists{'' if anew else OTHER_SEED}"
        )
    return notes


def _refuse(lacking: Mapping[str, Sequence[Split]], anew: bool) -> None:
    problems = [
        f"class {quoted(label)} has no track in the {s} split"
        for s in SPLITS
        for label in lacking
        if s in lacking[label]
    ]
    if problems:
        raise DatasetError(
            f"{'; '.join(problems)}: its groups cannot be spread over {len(SPLITS)} splits. "
            f"Add recordings by other artists, or leave the class out{'' if anew else OTHER_SEED}"
        )


def _called(label: str) -> str:
    return f"class {quoted(label)}" if label else "the set of unlabelled tracks"


def _require_enough(sizes: Mapping[str, int]) -> None:
    splits = len(SPLITS)
    for label, size in sorted(sizes.items()):
        if size < splits:
            raise DatasetError(
                f"{_called(label)} has {size} track(s), {splits} splits need at least {splits}: "
                "add recordings or leave the class out"
            )


def _dissolved(
    tracks: Sequence[Track], groups: Sequence[str], one_label: bool, before: frozenset[tuple[str, str]]
) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """Label and group of tracks that are placed one by one, and notes.

    They are so in classes that have fewer groups than splits, and where they were so ``before``: joined now, what was
    trained on and what was tested would change places.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for t, group in zip(tracks, groups, strict=True):
        members[t.label].add(group)
    small = {label for label, names in members.items() if len(names) < len(SPLITS)} if one_label else set[str]()
    sizes = Counter(t.label for t in tracks)
    _require_enough({label: sizes[label] for label in small})
    found = frozenset((t.label, t.group) for t in tracks if t.label in small or (t.label, t.group) in before)
    notes = [
        f"{_called(label)} has {len(members[label])} group(s), fewer than {len(SPLITS)} splits: split by track, so "
        "that one group is on both sides and its score is flattered"
        for label in sorted(small)
    ]
    stay = Counter(label for label, group in found if label not in small and not group.startswith(ALONE))
    notes += [
        f"{_called(label)} was split by track, since it had too few groups: {n} of its {len(members[label])} groups "
        "stay so, on both sides, since models may have learned from them; another seed deals all tracks anew"
        for label, n in sorted(stay.items())
    ]
    return found, notes
