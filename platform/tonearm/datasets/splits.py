"""Splits: a pure function of ids, groups, labels and a seed. A group never crosses splits."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.datasets.manifest import SPLITS, Split, Track

FRACTIONS: dict[Split, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}
ATTEMPTS = 400
FEWEST_ATTEMPTS, GROUPS_FOR_ALL = 4, 1000  # many groups balance by themselves, and each attempt takes longer
TIE_BREAK = 1e-6


def split_by_group(
    tracks: Sequence[Track],
    seed: int = 0,
    fractions: Mapping[Split, float] = FRACTIONS,
    together: Sequence[Sequence[str]] = (),
) -> tuple[tuple[Track, ...], list[str]]:
    """Assign splits, groups kept whole and classes balanced.

    Groups are placed greedily in many seeded orders, large ones first, and the assignment nearest to the wanted
    fractions of every class is kept. A class with fewer groups than splits cannot be kept apart by group: its tracks
    are split one by one, which a note names, since a group may then occur on both sides.

    Parameters
    ----------
    together
        Track ids that must share a split whatever their groups: a recording that occurs twice. Their groups are
        joined under the first name of them.

    Returns
    -------
    The tracks with their split (and group, where it had to be given up), sorted by id; and the notes.

    Raises
    ------
    DatasetError
        If a class cannot be in every split: it has fewer tracks than there are splits, or its groups hold too many
        other classes. The message names the class.
    """
    ordered = sorted(tracks, key=lambda t: t.track_id)
    ordered = _join(ordered, together)
    ordered, notes = _dissolve(ordered, len(fractions), {i: min(ids) for ids in together for i in ids})
    ordered = _join(ordered, together)  # a recording may be in a class that was dissolved and in one that was not
    classes = sorted({t.label for t in ordered})
    groups = sorted({t.group for t in ordered})
    counts = np.zeros((len(groups), len(classes)))
    group_row = {g: i for i, g in enumerate(groups)}
    for t in ordered:
        counts[group_row[t.group], classes.index(t.label)] += 1
    wanted = np.outer([fractions[s] for s in SPLITS], counts.sum(axis=0))

    best, best_cost = np.zeros(len(groups), dtype=int), (counts.size, np.inf)
    rng = np.random.default_rng(derive_seed("splits", seed, [t.track_id for t in ordered]))
    attempts = max(FEWEST_ATTEMPTS, min(ATTEMPTS, ATTEMPTS * GROUPS_FOR_ALL // max(1, len(groups))))
    for attempt in range(2 * attempts):
        if attempt >= attempts and best_cost[0] == 0:
            break
        # Many small groups of a class tie between splits: if the first in order gets them all, chance decides.
        assignment = _place(counts, wanted, rng, TIE_BREAK if attempt >= attempts else 0.0)
        have = np.stack([counts[assignment == s].sum(axis=0) for s in range(len(SPLITS))])
        cost = (int((have == 0).sum()), float(np.abs(have - wanted).sum()))  # no imbalance outweighs a lacking class
        if cost < best_cost:
            best, best_cost = assignment, cost
    _require_every_class(counts, best, classes)
    split_of = {g: SPLITS[s] for g, s in zip(groups, best, strict=True)}
    return tuple(dataclasses.replace(t, split=split_of[t.group]) for t in ordered), notes


def _dissolve(tracks: Sequence[Track], splits: int, first: Mapping[str, str]) -> tuple[list[Track], list[str]]:
    """Make every track its own group in classes that have fewer groups than splits.

    ``first`` names the first id of a recording that occurs more than once.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for t in tracks:
        groups[t.label].add(t.group)
    sizes = Counter(t.label for t in tracks)
    small = sorted(label for label, members in groups.items() if len(members) < splits)
    for label in small:
        if sizes[label] < splits:
            raise DatasetError(
                f"class {label!r} has {sizes[label]} track(s), {splits} splits need at least {splits}: "
                "add recordings or leave the class out"
            )
    notes = [
        f"class {label!r} has {len(groups[label])} group(s), fewer than {splits} splits: split by track, so that "
        "one group is on both sides and its score is flattered"
        for label in small
    ]
    alone = {t.track_id: f"track:{first.get(t.track_id, t.track_id)}" for t in tracks}
    return [dataclasses.replace(t, group=alone[t.track_id]) if t.label in small else t for t in tracks], notes


def _join(tracks: Sequence[Track], together: Sequence[Sequence[str]]) -> list[Track]:
    """Join the groups of tracks that must share a split."""
    group_of = {t.track_id: t.group for t in tracks}
    parent = {g: g for g in group_of.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for ids in together:
        roots = sorted({root(group_of[i]) for i in ids if i in group_of})
        for other in roots[1:]:
            parent[other] = roots[0]
    return [dataclasses.replace(t, group=root(t.group)) for t in tracks]


def _place(counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator, tie_break: float) -> np.ndarray:
    sizes = counts.sum(axis=1)
    order = np.argsort(-(sizes * rng.uniform(0.5, 1.5, len(sizes))), kind="stable")
    have = np.zeros_like(wanted)
    assignment = np.zeros(len(sizes), dtype=int)
    for g in order:
        # How much worse the class balance becomes when the group goes to each split.
        change = (np.abs(have + counts[g] - wanted) - np.abs(have - wanted)) / np.maximum(wanted, 1e-9)
        cost = change.sum(axis=1)
        assignment[g] = int(np.argmin(cost + rng.uniform(0, tie_break, len(cost)) if tie_break else cost))
        have[assignment[g]] += counts[g]
    return assignment


def _require_every_class(counts: np.ndarray, assignment: np.ndarray, classes: Sequence[str]) -> None:
    lacking = [
        f"class {label!r} has no track in the {SPLITS[s]} split"
        for s in range(len(SPLITS))
        for c, label in enumerate(classes)
        if counts[assignment == s, c].sum() == 0
    ]
    if lacking:
        raise DatasetError(
            f"{'; '.join(lacking)}: its groups cannot be spread over {len(SPLITS)} splits. "
            "Add recordings by other artists, or leave the class out"
        )
