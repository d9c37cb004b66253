"""Whole groups of tracks assigned to splits or folds (bins), so that each gets its share of every class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tonearm.datasets.manifest import Track
from tonearm.datasets.repair import Problem, Repair

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ATTEMPTS, GROUPS_OF_ALL = 40, 20_000
"""Other hashes that are tried while a bin lacks a class that it could have; fewer for many groups."""


@dataclass(frozen=True)
class GroupCounts:
    """How many tracks of each class the groups hold.

    Attributes
    ----------
    groups
        Sorted names.
    classes
        Sorted labels.
    cells
        Group, class and count of what there is, in order, (3, cells); groups and classes by their indices.
    sizes
        Tracks of each group, (groups,): not the sum of the counts where tracks have several labels or none.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    cells: np.ndarray
    sizes: np.ndarray

    @property
    def totals(self) -> np.ndarray:
        """Tracks of each class over all groups, (classes,)."""
        return np.bincount(self.cells[1], weights=self.cells[2], minlength=len(self.classes))

    @property
    def table(self) -> csr_array:
        """Tracks of each class, and in the last column all, of each group: sparse (groups, classes + 1)."""
        from scipy.sparse import csr_array

        every = np.arange(len(self.groups))
        rows, columns = np.append(self.cells[0], every), np.append(self.cells[1], every * 0 + len(self.classes))
        values = np.append(self.cells[2], self.sizes).astype(float)
        return csr_array((values, (rows, columns)), shape=(len(self.groups), len(self.classes) + 1))


def has_several_labels(tracks: Sequence[Track]) -> bool:
    """Whether any track has more than one label."""
    return any(len(t.labels) > 1 for t in tracks)


def count_groups(tracks: Sequence[Track], groups: Sequence[str]) -> GroupCounts:
    """Count the labels of tracks by group; ``groups`` has the name for each track."""
    labels = [t.all_labels for t in tracks]
    classes, names = sorted({label for own in labels for label in own}), sorted(set(groups))
    column, row = {label: c for c, label in enumerate(classes)}, {name: g for g, name in enumerate(names)}
    group_of = np.array([row[group] for group in groups], dtype=int)
    of_label = np.repeat(group_of, [len(own) for own in labels])
    codes = of_label * max(1, len(classes)) + np.array([column[label] for own in labels for label in own], dtype=int)
    found, counts = np.unique(codes, return_counts=True)
    cells = np.stack([*np.divmod(found, max(1, len(classes))), counts])
    return GroupCounts(tuple(names), tuple(classes), cells, np.bincount(group_of, minlength=len(names)))


@dataclass(frozen=True)
class Placement:
    """The bin that each group was assigned to.

    Attributes
    ----------
    bins
        The bin of each group, (groups,).
    class_counts
        Tracks of each class in the bins, (bins, classes).
    sizes
        Tracks in the bins, (bins,).
    """

    bins: np.ndarray
    class_counts: np.ndarray
    sizes: np.ndarray


def place_groups(
    counts: GroupCounts,
    shares: Sequence[float],
    seed: int,
    by_size: bool = False,
    before: Mapping[str, int] | None = None,
) -> Placement:
    """Place whole groups in bins: each where the hash of its name says, but for those that the balance needs elsewhere.

    So a group's bin hardly depends on which others there are. What is mended is what leaves a bin without a class, and
    then how far the bins are from their shares.

    Parameters
    ----------
    counts
        Of the groups.
    shares
        Of the bins, positive, sum 1.
    seed
        Of the hash.
    by_size
        Whether the numbers of tracks are balanced, too. They are in any case where the classes do not add up to the
        tracks, since some have several labels or none.
    before
        Bins of groups that were placed before and stay there, by name.
    """
    problem = _problem(counts, shares, by_size)
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    known = np.array([(before or {}).get(name, -1) for name in counts.groups])
    holders = np.diff(problem.held.tocsc().indptr)
    unavoidable = int(np.maximum(0, len(shares) - holders).sum())
    best: Repair | None = None
    for attempt in range(1 + min(ATTEMPTS, GROUPS_OF_ALL // max(1, len(known)))):
        repair = _place(problem, counts.sizes, edges, known, _positions(counts.groups, seed, attempt))
        if best is None or (repair.lacking, repair.cost) < (best.lacking, best.cost):
            best = repair
        if best.lacking <= unavoidable or (known >= 0).all():
            break
    assert best is not None
    return Placement(best.bins, best.have[:, :-1], best.have[:, -1])


def _place(problem: Problem, sizes: np.ndarray, edges: np.ndarray, known: np.ndarray, at: np.ndarray) -> Repair:
    """Balance large groups among themselves, then ever smaller ones with them, then all."""
    hashed = np.minimum(np.searchsorted(edges, at, side="right") - 1, len(edges) - 2)
    distances = np.maximum(0.0, np.maximum(edges[:-1] - at[:, None], at[:, None] - edges[1:]))
    levels = np.where(known < 0, np.log2(sizes).astype(int), -1)
    stages = [levels == level for level in np.unique(levels[known < 0])[::-1]]
    bins = known
    for stage in [*stages, known < 0] if len(stages) != 1 else stages:
        bins = np.where(stage & (bins < 0), hashed, bins)
        placed = np.asarray(problem.held[bins >= 0].sum(axis=0)).ravel()
        repair = Repair(dataclasses.replace(problem, targets=np.outer(np.diff(edges), placed)), bins, stage)
        repair.run(distances)
        bins = repair.bins
    return repair


def _problem(counts: GroupCounts, shares: Sequence[float], by_size: bool) -> Problem:
    held = counts.table
    totals = np.asarray(held.sum(axis=0)).ravel()
    labels = np.asarray(held[:, :-1].sum(axis=1)).ravel()
    weights = 1 / np.maximum(totals, 1)
    # As much as one class for each there is: many rare labels would else outweigh the size of the bins.
    weights[-1] *= max(1, len(counts.classes)) if by_size or (labels != counts.sizes).any() else 0
    # Groups that hold the same have the same sum of odd numbers.
    _, kinds = np.unique(held @ np.random.default_rng(0).random(held.shape[1]), return_inverse=True)
    return Problem(held, np.outer(shares, totals), weights, kinds)


def _positions(groups: Sequence[str], seed: int, attempt: int) -> np.ndarray:
    """Of each group a number in 0..1 that follows from its name and the seed, (groups,)."""
    key = f"{seed} {attempt}".encode()
    hashes = b"".join(blake2b(name.encode(errors="surrogatepass"), digest_size=8, key=key).digest() for name in groups)
    return np.frombuffer(hashes, dtype="<u8") / 2.0**64


def join_groups(
    track_ids: Sequence[str], groups: Sequence[str], duplicates: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """The groups of tracks, those joined that share a recording.

    Parameters
    ----------
    track_ids, groups
        Of the tracks.
    duplicates
        Lists of track ids that are one recording and must stay together; unknown ids are ignored.

    Returns
    -------
    A name a track: of joined groups the first in alphabetical order.
    """
    from scipy.cluster.hierarchy import DisjointSet

    wanted = {i for ids in duplicates for i in ids}
    group_of = {i: group for i, group in zip(track_ids, groups, strict=True) if i in wanted}
    joined = DisjointSet(group_of.values())
    for ids in duplicates:
        for one, other in pairwise(group_of[i] for i in ids if i in group_of):
            joined.merge(one, other)
    name_of: dict[str, str] = {}
    for subset in joined.subsets():
        name_of |= dict.fromkeys(subset, min(subset))
    return tuple(name_of.get(g, g) for g in groups)


def representative_ids(duplicates: Sequence[Sequence[str]]) -> Mapping[str, str]:
    """The first id of each recording that occurs more than once, by the ids of all."""
    return {i: min(ids) for ids in duplicates for i in ids}
