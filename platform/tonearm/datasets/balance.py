"""Whole groups of tracks assigned to splits or folds (bins), so that each gets its share of every class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tonearm.datasets.manifest import Track

ATTEMPTS = 400
FEWEST_ATTEMPTS, STEPS_FOR_ALL = 4, 3000  # many groups balance by themselves, and each attempt takes longer
TIE_BREAK = 1e-6


@dataclass(frozen=True)
class GroupCounts:
    """How many tracks of each class the groups hold.

    Attributes
    ----------
    groups
        Sorted names.
    classes
        Sorted labels.
    class_counts
        Of each group, pairs of a class, as its index in ``classes``, and a count.
    sizes
        Tracks of each group: not the sum of the counts where tracks have several labels or none.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    class_counts: tuple[tuple[tuple[int, int], ...], ...]
    sizes: tuple[int, ...]

    @property
    def totals(self) -> np.ndarray:
        """Tracks of each class over all groups."""
        totals = np.zeros(len(self.classes))
        for row in self.class_counts:
            for c, n in row:
                totals[c] += n
        return totals


def has_several_labels(tracks: Sequence[Track]) -> bool:
    """Whether any track has more than one label."""
    return any(len(t.all_labels) > 1 for t in tracks)


def count_groups(tracks: Sequence[Track], groups: Sequence[str]) -> GroupCounts:
    """Count the labels of tracks by group; ``groups`` has the name for each track."""
    classes = sorted({label for t in tracks for label in t.all_labels})
    place = {label: c for c, label in enumerate(classes)}
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for t, group in zip(tracks, groups, strict=True):
        counts[group].update([place[label] for label in t.all_labels])
    sizes = Counter(groups)
    names = sorted(counts)
    rows = tuple(tuple(sorted(counts[name].items())) for name in names)
    return GroupCounts(tuple(names), tuple(classes), rows, tuple(sizes[name] for name in names))


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


def place_groups(counts: GroupCounts, shares: Sequence[float], seed: int, by_size: bool = False) -> Placement:
    """Place whole groups in bins.

    They are placed greedily in many seeded orders, large ones first, each where the class balance gains most, and
    the placement is kept that leaves the fewest bins without a class and, among those, is nearest to the shares.

    Parameters
    ----------
    counts
        Of the groups.
    shares
        Of the bins, positive, sum 1.
    seed
        Of the orders.
    by_size
        Whether the numbers of tracks are balanced, too. They are in any case where the classes do not add up to the
        tracks, since some have several labels or none.
    """
    bins = len(shares)
    target_counts = np.outer(shares, counts.totals)
    target_sizes = np.asarray(shares) * sum(counts.sizes)
    labels = np.array([sum(n for _, n in row) for row in counts.class_counts])
    by_size = by_size or labels.tolist() != list(counts.sizes)
    # As much as one class for each there is: many rare labels would else outweigh the size of the bins.
    weight = max(1, len(counts.classes)) / sum(counts.sizes) if by_size else 0.0
    # By tracks, not by labels: else tracks of several labels came first, and the smallest bin would take them all.
    weights = np.array(counts.sizes)
    occurrences = Counter(c for row in counts.class_counts for c, _ in row)
    unavoidable = sum(max(0, bins - n) for n in occurrences.values())
    steps = max(sum(occurrences.values()), len(counts.groups)) * bins
    attempts = max(FEWEST_ATTEMPTS, min(ATTEMPTS, ATTEMPTS * STEPS_FOR_ALL // max(1, steps)))
    rng = np.random.default_rng(seed)
    best = Placement(np.zeros(len(weights), dtype=int), np.zeros_like(target_counts), np.zeros(bins))
    best_cost = (target_counts.size + bins + 1, np.inf)
    for attempt in range(2 * attempts):
        # Many small groups tie between bins, and the first bin in order gets them all: if that leaves a bin without a
        # class that it could have, a second round breaks ties at random.
        break_ties = attempt >= attempts
        if break_ties and best_cost[0] <= unavoidable:
            break
        order = np.argsort(-(weights * rng.uniform(0.5, 1.5, len(weights))), kind="stable")
        noise = rng.uniform(0, TIE_BREAK, (len(weights), bins)) if break_ties else np.zeros((len(weights), bins))
        placed = _place(counts, target_counts, target_sizes, weight, order.tolist(), noise.tolist())
        lacking = int((placed.class_counts == 0).sum()) + int((placed.sizes == 0).sum())
        unlike = float(np.abs(placed.class_counts - target_counts).sum())
        if by_size:
            unlike += float(np.abs(placed.sizes - target_sizes).sum())
        if (lacking, unlike) < best_cost:  # no imbalance outweighs a lacking class
            best, best_cost = placed, (lacking, unlike)
    return best


def _place(
    counts: GroupCounts,
    target_counts: np.ndarray,
    target_sizes: np.ndarray,
    weight: float,
    order: Sequence[int],
    noise: Sequence[Sequence[float]],
) -> Placement:
    """Each group where the balance gains most. Lists, not arrays, which are ten times slower at this size."""
    targets, capacities = target_counts.tolist(), target_sizes.tolist()
    scale = np.maximum(target_counts, 1e-9).tolist()
    have = np.zeros_like(target_counts).tolist()
    filled = [0.0] * len(capacities)
    assignment = np.zeros(len(counts.class_counts), dtype=int)
    for group, ties in zip(order, noise, strict=True):
        row, size = counts.class_counts[group], counts.sizes[group]
        chosen, lowest = 0, np.inf
        for place, change in enumerate(ties):
            h, w, s = have[place], targets[place], scale[place]
            for c, n in row:
                change += (abs(h[c] + n - w[c]) - abs(h[c] - w[c])) / s[c]
            if weight:  # of squares: so that all bins fill at one pace
                change += weight * size * (size + 2 * (filled[place] - capacities[place])) / capacities[place]
            if change < lowest:
                chosen, lowest = place, change
        assignment[group] = chosen
        filled[chosen] += size
        for c, n in row:
            have[chosen][c] += n
    return Placement(assignment, np.array(have).reshape(target_counts.shape), np.array(filled))


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

    group_of = dict(zip(track_ids, groups, strict=True))
    joined = DisjointSet(groups)
    for ids in duplicates:
        for one, other in pairwise(group_of[i] for i in ids if i in group_of):
            joined.merge(one, other)
    name_of: dict[str, str] = {}
    for subset in joined.subsets():
        name_of |= dict.fromkeys(subset, min(subset))
    return tuple(name_of[g] for g in groups)


def representative_ids(duplicates: Sequence[Sequence[str]]) -> Mapping[str, str]:
    """The first id of each recording that occurs more than once, by the ids of all."""
    return {i: min(ids) for ids in duplicates for i in ids}
