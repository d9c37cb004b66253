"""Folds for cross-validation: a function of contents, groups, labels, a seed, and of where the tracks were before."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.datasets.assignment import NOTHING, Assignment
from tonearm.datasets.balance import count_groups, has_several_labels, join_groups, place_groups
from tonearm.datasets.extension import Extension, Move, extend
from tonearm.datasets.manifest import Split, Track

VALIDATION_SHARE = 0.15
"""The share of the tracks outside the test fold that is for validation."""


def folds_by_group(
    tracks: Sequence[Track],
    folds: int,
    seed: int = 0,
    grouped: bool = True,
    duplicates: Sequence[Sequence[str]] = (),
    before: Assignment = NOTHING,
) -> tuple[tuple[str, ...], ...]:
    """Divide tracks into folds of like size and like classes. Tracks of one content or recording always share a fold.

    Parameters
    ----------
    folds
        How many, at least 2.
    seed
        Of the choice between placements that are equally good.
    grouped
        Whether a group stays in one fold. Else classes are balanced track by track.
    duplicates
        Track ids that must share a fold, too, whatever their groups: a recording that occurs in two forms.
    before
        Where tracks were in so many folds of this seed, see :func:`extended_folds`; they and their groups stay there.

    Returns
    -------
    The track ids of each fold, sorted. A class that has fewer groups than folds lacks in some.

    Raises
    ------
    DatasetError
        If there are fewer than two folds, fewer groups than folds, or all groups of a class of singly labelled
        tracks fall in one fold: no model could be trained on it for that fold.
    """
    extension, ordered, units = _extend(tracks, folds, seed, grouped, duplicates, before)
    members: list[list[str]] = [[] for _ in range(folds)]
    for t, place in zip(ordered, extension.places, strict=True):
        members[int(place) - 1].append(t.track_id)
    what = _called(grouped)
    if not all(members):
        raise DatasetError(f"{len(set(units))} {what} of unequal size leave one of {folds} folds empty: ask for fewer")
    if not has_several_labels(ordered):
        in_folds = (extension.placement.class_counts > 0).sum(axis=0)
        _require_two_folds([label for label, n in zip(extension.counts.classes, in_folds, strict=True) if n < 2], what)
    return tuple(tuple(ids) for ids in members)


def extended_folds(
    tracks: Sequence[Track],
    folds: int,
    seed: int = 0,
    grouped: bool = True,
    before: Assignment = NOTHING,
) -> tuple[Assignment, tuple[Move, ...]]:
    """The folds, ``"1"``, ``"2"``, ..., of tracks and of those that are gone, to be kept; and what moved, and why.

    Parameters and errors are those of :func:`folds_by_group`. A group of several folds that became one is in the fold
    of most of its tracks.
    """
    extension, ordered, units = _extend(tracks, folds, seed, grouped, (), before)
    return before.extended(ordered, units, extension.places), extension.moves


def split_by_fold(
    tracks: Sequence[Track],
    folds: int,
    fold: int,
    seed: int = 0,
    grouped: bool = True,
    duplicates: Sequence[Sequence[str]] = (),
    before: Assignment = NOTHING,
) -> tuple[Track, ...]:
    """Assign splits for one round of cross-validation: one fold is tested, the others train and validate.

    About 15 % of the tracks outside the test fold are for validation. Tracks of one content or recording always share a
    split, and those of one group where ``grouped``.

    Parameters
    ----------
    fold
        The one that is the test split, 0..folds - 1.

    Other parameters, and errors, are those of :func:`folds_by_group`.

    Returns
    -------
    The tracks with their split (and joined groups, where ``grouped``), sorted by id.

    Raises
    ------
    DatasetError
        Also if there is no such fold, a split would be empty, or a class of singly labelled tracks would be left
        without a training track.
    """
    if not 0 <= fold < folds:
        raise DatasetError(f"there is no fold {fold} of {folds}: they are 0..{folds - 1}")
    members = folds_by_group(tracks, folds, seed, grouped, duplicates, before)
    ordered, units = _units(tracks, grouped, duplicates)
    split_of: dict[str, Split] = dict.fromkeys(members[fold], "test")
    rest = [(t, unit) for t, unit in zip(ordered, units, strict=True) if t.track_id not in split_of]
    chosen = _validation_ids([t for t, _ in rest], [unit for _, unit in rest], derive_seed("inner", seed, folds, fold))
    for t, _ in rest:
        split_of[t.track_id] = "validation" if t.track_id in chosen else "train"
    if not has_several_labels(ordered):
        trained = {t.label for t, _ in rest if split_of[t.track_id] == "train"}
        lacking = sorted({t.label for t in ordered} - trained)
        if lacking:
            raise DatasetError(
                f"class {lacking[0]!r} has no training track in fold {fold} of {folds}: too few groups have it. "
                "Add recordings by other artists, or leave the class out"
            )
    return tuple(
        dataclasses.replace(t, split=split_of[t.track_id], group=unit if grouped else t.group)
        for t, unit in zip(ordered, units, strict=True)
    )


def joined_groups(tracks: Sequence[Track], grouped: bool = True) -> dict[str, str]:
    """By id what each track must share a fold with, as :func:`split_by_fold` joins groups."""
    ordered, units = _units(tracks, grouped, ())
    return {t.track_id: unit for t, unit in zip(ordered, units, strict=True)}


def _extend(
    tracks: Sequence[Track],
    folds: int,
    seed: int,
    grouped: bool,
    duplicates: Sequence[Sequence[str]],
    before: Assignment,
) -> tuple[Extension, list[Track], tuple[str, ...]]:
    ordered, units = _units(tracks, grouped, duplicates)
    if folds < 2:
        raise DatasetError(f"{folds} fold(s): cross-validation needs at least 2")
    if len(set(units)) < folds:
        raise DatasetError(
            f"{len(set(units))} {_called(grouped)} cannot fill {folds} folds: ask for fewer, or add recordings"
        )
    names = [str(fold + 1) for fold in range(folds)]
    groups = units if grouped else [""] * len(units)
    seed = derive_seed("folds", seed, folds)
    before = before.recognising(ordered)
    return extend(ordered, units, groups, names, [1 / folds] * folds, seed, before, by_size=True), ordered, units


def _called(grouped: bool) -> str:
    return "groups" if grouped else "recordings"


def _validation_ids(tracks: Sequence[Track], units: Sequence[str], seed: int) -> set[str]:
    """The ids of the validation split."""
    if len(set(units)) < 2:
        raise DatasetError("one group is left outside the test fold: it cannot both train and validate")
    counts = count_groups(tracks, units)
    placement = place_groups(counts, [1 - VALIDATION_SHARE, VALIDATION_SHARE], seed)
    validating = {unit for unit, place in zip(counts.groups, placement.bins, strict=True) if place == 1}
    if not validating:  # every group is larger than the share: the smallest is nearest to it
        sizes = Counter(units)
        validating = {min(sizes, key=lambda unit: (sizes[unit], unit))}
    if len(validating) == len(counts.groups):
        raise DatasetError("the groups outside the test fold are too unequal to both train and validate")
    return {t.track_id for t, unit in zip(tracks, units, strict=True) if unit in validating}


def _units(
    tracks: Sequence[Track], grouped: bool, duplicates: Sequence[Sequence[str]]
) -> tuple[list[Track], tuple[str, ...]]:
    """Tracks by id, and what each must share a fold with."""
    ordered = sorted(tracks, key=lambda t: t.track_id)
    ids = [t.track_id for t in ordered]
    same: dict[str, list[str]] = defaultdict(list)
    for t in ordered:
        for identity in filter(None, (t.content, f"recording {t.recording}" if t.recording else "")):
            same[identity].append(t.track_id)
    shared = [own for own in same.values() if len(own) > 1]
    return ordered, join_groups(ids, [t.group for t in ordered] if grouped else ids, [*duplicates, *shared])


def _require_two_folds(labels: Sequence[str], what: str) -> None:
    if labels:
        raise DatasetError(
            f"class {labels[0]!r} is in one fold only: too few {what} have it. Add recordings by other artists, or "
            f"leave the class out{f' ({len(labels)} such classes)' if len(labels) > 1 else ''}"
        )
