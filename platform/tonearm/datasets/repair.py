"""Local search that mends the balance of groups in bins: groups move, or two change places, while that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LEAST_GAIN = 1e-9
CLOSE = 5e-4
"""Of a class's tracks."""
MOST_TO_SWAP = 500
"""Pairs of so many groups are tried, of each kind in each bin one; of more, some are small enough to mend what is left
by moving alone."""
AT_ONCE = 5000
"""Of what helps, so much is tried before it is looked what helps now."""


@dataclass(frozen=True)
class Problem:
    """What is to be balanced.

    Attributes
    ----------
    held
        How much each group has of each class, sparse (groups, classes): tracks, no explicit zeros. The last column is
        the number of its tracks.
    targets
        How much each bin should have, (bins, classes).
    weights
        Of the squared deviations, (classes,); 0: not balanced.
    kinds
        Groups that hold the same have the same number, (groups,).
    """

    held: csr_array
    targets: np.ndarray
    weights: np.ndarray
    kinds: np.ndarray

    @property
    def penalty(self) -> float:
        """The cost of a bin that lacks a class: more than all deviations together."""
        return 4.0 * float(np.square(self.targets.sum(axis=0)) @ self.weights) + 1.0


class Repair:
    """Groups in bins, and what their bins have; the cost is the sum of the weighted squared deviations of all bins."""

    def __init__(self, problem: Problem, bins: np.ndarray, movable: np.ndarray) -> None:
        self.problem, self.bins, self.movable = problem, bins.copy(), movable
        self.have = np.zeros_like(problem.targets)
        for b in range(len(self.have)):
            self.have[b] = np.asarray(problem.held[np.flatnonzero(bins == b)].sum(axis=0)).ravel()

    @property
    def lacking(self) -> int:
        """How often a bin has nothing of a class."""
        return int((self.have == 0).sum())

    @property
    def cost(self) -> float:
        """Lower is better balanced; it does not count what is lacking."""
        return float((np.square(self.have - self.problem.targets) * self.problem.weights).sum())

    @property
    def close(self) -> bool:
        """Whether nothing lacks and no deviation is worth a move: of many groups ever more moves gain ever less."""
        off, p = np.abs(self.have - self.problem.targets), self.problem
        return not self.lacking and bool((off <= CLOSE * p.targets.sum(axis=0))[:, p.weights > 0].all())

    def run(self, distances: np.ndarray) -> None:
        """Mend the balance until nothing helps any more.

        Parameters
        ----------
        distances
            Of each group from each bin, (groups, bins): of all moves that help the nearest are made first, so that the
            same groups move when a few others are added.
        """
        while not self.close and (self._move(distances) or self._swap(distances) or self._exchange()):
            pass

    def _changes(self, groups: np.ndarray) -> np.ndarray:
        """What moving each group to each bin changes of the cost, (groups, bins)."""
        p, own = self.problem, self.bins[groups]
        held, rows = p.held[groups], np.arange(len(groups))
        off = (self.have - p.targets) * p.weights
        toward = held @ off.T
        squares = held.multiply(held) @ p.weights
        missing = (self.have == 0).astype(float)
        gained = held.sign() @ missing.T
        lost = self._last(groups).sum(axis=1)
        change = 2 * (squares[:, None] + toward - toward[rows, own][:, None])
        change += p.penalty * (lost[:, None] - gained)
        change[rows, own] = 0.0
        return np.asarray(change)

    def _last(self, groups: np.ndarray) -> csr_array:
        """Where a group is the last of a class in its bin: 1, sparse (groups, classes)."""
        last = self.problem.held[groups]
        own = self.bins[np.repeat(groups, np.diff(last.indptr))]
        last.data = (last.data == self.have[own, last.indices]).astype(float)
        return last

    def _move(self, distances: np.ndarray) -> bool:
        """Move what helps, the nearest first; whether any was moved."""
        groups = np.flatnonzero(self.movable)
        if not len(groups):
            return False
        changes = self._changes(groups)
        best = changes.argmin(axis=1)
        helps = changes[np.arange(len(groups)), best] < -LEAST_GAIN
        groups, best, change = groups[helps], best[helps], changes.min(axis=1)[helps]
        most = np.lexsort((distances[groups, best], change))[:AT_ONCE]  # of very many what helps most
        groups, best = groups[most], best[most]
        order = np.argsort(distances[groups, best], kind="stable")
        return self._apply([((int(g), int(b)),) for g, b in zip(groups[order], best[order], strict=True)])

    def _swap(self, distances: np.ndarray) -> bool:
        """Let pairs of groups change places where that helps; whether any did."""
        p, groups = self.problem, np.flatnonzero(self.movable)
        groups = groups[np.argsort(np.partition(distances[groups], 1, axis=1)[:, 1], kind="stable")]
        _, first_ones = np.unique(p.kinds[groups] * distances.shape[1] + self.bins[groups], return_index=True)
        groups = groups[np.sort(first_ones)]
        if not 1 < len(groups) <= MOST_TO_SWAP:
            return False
        changes = self._changes(groups)
        held, own = p.held[groups], self.bins[groups]
        # Of a class that both have, a bin's count changes by the difference alone, and the last of it is replaced.
        shared = 2 * (held.multiply(p.weights) @ held.T) + p.penalty * (self._last(groups) @ held.sign().T)
        one_way = changes[:, own] - shared.toarray()
        total = one_way + one_way.T
        total[own[:, None] == own[None, :]] = 0.0
        first, second = np.nonzero(np.triu(total < -LEAST_GAIN))
        far = distances[groups[first], own[second]] + distances[groups[second], own[first]]
        order = np.argsort(far, kind="stable")[:AT_ONCE]
        pairs = [((int(groups[a]), int(own[b])), (int(groups[b]), int(own[a])))
                 for a, b in zip(first[order], second[order], strict=True)]  # fmt: skip
        return self._apply(pairs)

    def _exchange(self) -> bool:
        """Let two bins exchange all that may move, where that helps: few groups may allow nothing less."""
        groups = np.flatnonzero(self.movable)
        if len(groups) > MOST_TO_SWAP:
            return False
        own = self.bins[groups]
        steps = []
        for a, b in combinations(range(len(self.have)), 2):
            away, back = groups[own == a].tolist(), groups[own == b].tolist()
            steps.append([*((g, b) for g in away), *((g, a) for g in back)])
        return self._apply(steps)

    def _apply(self, steps: Sequence[Sequence[tuple[int, int]]]) -> bool:
        """Make each step, some groups to other bins, if it still helps when its turn comes."""
        p = self.problem
        if not steps:
            return False
        was = {group: int(self.bins[group]) for step in steps for group, _ in step}
        held, row = p.held[list(was)], {group: i for i, group in enumerate(was)}
        indptr, indices = held.indptr.tolist(), held.indices.tolist()
        values, weights = held.data.tolist(), p.weights.tolist()
        have, targets, penalty = self.have.tolist(), p.targets.tolist(), p.penalty
        made = False
        left = dict(was)
        for step in steps:
            if any(left[group] != was[group] for group, _ in step):
                continue
            change: dict[tuple[int, int], float] = {}
            for group, to in step:
                for k in range(indptr[row[group]], indptr[row[group] + 1]):
                    change[to, indices[k]] = change.get((to, indices[k]), 0.0) + values[k]
                    change[was[group], indices[k]] = change.get((was[group], indices[k]), 0.0) - values[k]
            gain = 0.0
            for (b, c), n in change.items():
                h = have[b][c]
                gain += weights[c] * n * (n + 2 * (h - targets[b][c]))
                gain += penalty * ((h + n == 0) - (h == 0))
            if gain < -LEAST_GAIN:
                made = True
                for (b, c), n in change.items():
                    have[b][c] += n
                left.update(step)
        for group, to in left.items():
            self.bins[group] = to
        self.have = np.array(have).reshape(self.have.shape)
        return made
