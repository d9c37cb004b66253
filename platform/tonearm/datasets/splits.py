"""Splits: a pure function of ids, groups, labels and a seed.

A group stays in one split, but the groups of a class that has too few of them are dissolved, with a note.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.core.text import quoted
from tonearm.datasets.balance import (
    count_groups,
    has_several_labels,
    join_groups,
    place_groups,
    representative_ids,
)
from tonearm.datasets.manifest import SPLITS, Split, Track

FRACTIONS: dict[Split, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}


def split_by_group(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    duplicates: Sequence[Sequence[str]] = (),
) -> tuple[tuple[Track, ...], list[str]]:
    """Assign splits, groups kept whole where that can be and classes balanced.

    A class with fewer groups than splits cannot be kept apart by group: its tracks are split one by one, each its own
    group ``track:<id>``, which a note names, since an artist is then on both sides. Where tracks have several labels,
    all of them are balanced, groups always stay whole, and a note names the labels that a split lacks. Where they have
    none, as in regression, the numbers of tracks are balanced.

    Parameters
    ----------
    seed
        Of the choice between placements that are equally good.
    fractions
        Shares of the three splits, positive, sum 1.
    duplicates
        Track ids that must share a split whatever their groups: a recording that occurs twice. Their groups are
        joined under the first name of them.

    Returns
    -------
    The tracks with their split (and group, where it had to be dissolved), sorted by id; and the notes.

    Raises
    ------
    DatasetError
        If a class of singly labelled tracks cannot be in every split: it has fewer tracks than there are splits, or
        its groups hold too many other classes. The message names the class. Or if a split would be empty, or the
        fractions are no shares.
    """
    ordered = sorted(tracks, key=lambda t: t.track_id)
    ids = [t.track_id for t in ordered]
    groups = join_groups(ids, [t.group for t in ordered], duplicates)
    notes: list[str] = []
    if not has_several_labels(ordered):
        groups, notes = _ungroup_small_classes(ordered, groups, representative_ids(duplicates))
        groups = join_groups(ids, groups, duplicates)  # one recording may be in a class that was dissolved and one not
    split_of, more_notes = _split(ordered, groups, fractions, derive_seed("splits", seed, ids))
    done = (dataclasses.replace(t, split=split_of[g], group=g) for t, g in zip(ordered, groups, strict=True))
    return tuple(done), [*notes, *more_notes]


def stratified_split(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    duplicates: Sequence[Sequence[str]] = (),
) -> tuple[tuple[Track, ...], list[str]]:
    """Assign splits track by track, classes balanced and groups ignored: for data that has none.

    Takes, returns and raises what :func:`split_by_group` does; the tracks' groups stay as they are.
    """
    ordered = sorted(tracks, key=lambda t: t.track_id)
    ids = [t.track_id for t in ordered]
    if not has_several_labels(ordered):
        _require_enough(Counter(t.label for t in ordered))
    units = join_groups(ids, ids, duplicates)
    split_of, notes = _split(ordered, units, fractions, derive_seed("stratified", seed, ids))
    done = (dataclasses.replace(t, split=split_of[u]) for t, u in zip(ordered, units, strict=True))
    return tuple(done), notes


def _split(
    tracks: Sequence[Track], groups: Sequence[str], fractions: Mapping[Split, float], seed: int
) -> tuple[dict[str, Split], list[str]]:
    if set(fractions) != set(SPLITS) or min(fractions.values()) <= 0 or not math.isclose(sum(fractions.values()), 1):
        raise DatasetError(
            f"fractions are {dict(fractions)}: give {', '.join(SPLITS)} a share each, positive, which sum to 1"
        )
    counts = count_groups(tracks, groups)
    placement = place_groups(counts, [fractions[s] for s in SPLITS], seed)
    lacking = {
        label: [SPLITS[s] for s in range(len(SPLITS)) if not placement.class_counts[s, c]]
        for c, label in enumerate(counts.classes)
    }
    if has_several_labels(tracks):
        notes = [
            f"label {quoted(label)} ({total:.0f} tracks) does not occur in {' and '.join(splits)}: too few groups "
            "have it"
            for (label, splits), total in zip(lacking.items(), counts.totals, strict=True)
            if splits
        ]
    else:
        notes = []
        _refuse(lacking)
    empty = [SPLITS[s] for s in range(len(SPLITS)) if not placement.sizes[s]]
    if empty:
        raise DatasetError(
            f"{len(counts.groups)} group(s) cannot fill {len(SPLITS)} splits: no track is left for "
            f"{', '.join(empty)}. Add recordings by other artists"
        )
    return {g: SPLITS[s] for g, s in zip(counts.groups, placement.bins, strict=True)}, notes


def _refuse(lacking: Mapping[str, Sequence[Split]]) -> None:
    problems = [
        f"class {quoted(label)} has no track in the {s} split"
        for s in SPLITS
        for label in lacking
        if s in lacking[label]
    ]
    if problems:
        raise DatasetError(
            f"{'; '.join(problems)}: its groups cannot be spread over {len(SPLITS)} splits. "
            "Add recordings by other artists, or leave the class out"
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


def _ungroup_small_classes(
    tracks: Sequence[Track], groups: Sequence[str], first: Mapping[str, str]
) -> tuple[tuple[str, ...], list[str]]:
    """Make every track its own group in classes that have fewer groups than splits.

    ``first`` names the first id of a recording that occurs more than once.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for t, group in zip(tracks, groups, strict=True):
        members[t.label].add(group)
    small = sorted(label for label, names in members.items() if len(names) < len(SPLITS))
    if not small:
        return tuple(groups), []
    sizes = Counter(t.label for t in tracks)
    _require_enough({label: sizes[label] for label in small})
    notes = [
        f"{_called(label)} has {len(members[label])} group(s), fewer than {len(SPLITS)} splits: split by track, so "
        "that one group is on both sides and its score is flattered"
        for label in small
    ]
    alone = set(small)
    return tuple(
        f"track:{first.get(t.track_id, t.track_id)}" if t.label in alone else group
        for t, group in zip(tracks, groups, strict=True)
    ), notes
