"""Ways in which members answer together: weighted mean, geometric mean, mean of ranks, and stacking.

``predictions`` are always the members' calibrated ones, an array (tracks, outputs) or (outputs,) each. All but the mean
work on log probabilities of classes, or on the logits of labels, so that what states none has the mean alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, logit

from tonearm.core.types import FloatArray
from tonearm.ensembles.combine import weighted_mean
from tonearm.tasks.base import Task
from tonearm.tasks.log_loss import SMALLEST_PROBABILITY
from tonearm.tasks.membership import Membership, even_shares
from tonearm.tasks.single_label import SingleLabel
from tonearm.tasks.temperature import apply_temperature, fit_temperature, is_of_classes, is_of_labels

MEAN, GEOMETRIC, RANK, STACKING = "mean", "geometric", "rank", "stacking"
KINDS = (MEAN, GEOMETRIC, RANK, STACKING)  # the simplest first
NAMES = {MEAN: "weighted mean", GEOMETRIC: "geometric mean", RANK: "mean of ranks", STACKING: "stacking"}
SPREAD = 0.5  # of a stacking's coefficients around the geometric mean's, as expected before any track was seen


@dataclass(frozen=True)
class Combination:
    """How calibrated predictions of members become one.

    Attributes
    ----------
    kind
        ``"mean"``: the weighted mean. ``"geometric"``: that of log probabilities (of labels: logits), made to sum to 1.
        ``"rank"``: of each member the rank of every output within a track, 0 the best, equal ones shared; probabilities
        are proportional to 1 / (1 + weighted mean rank). ``"stacking"``: a logistic regression on log probabilities
        (logits), with a coefficient a member and an intercept an output.
    temperature
        By which what they predict together is calibrated; 1 changes nothing.
    coefficients, intercepts
        Of a stacking, (members,) and (outputs,); else none.
    """

    kind: str = MEAN
    temperature: float = 1.0
    coefficients: tuple[float, ...] = ()
    intercepts: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return NAMES[self.kind]

    def combine(self, task: Task, predictions: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
        """What members predict together, float32, of the shape of one of them; weights are made to sum to 1."""
        if self.kind == MEAN:
            return apply_temperature(task, weighted_mean(predictions, weights), self.temperature)
        share = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        if self.kind == RANK:
            from scipy.stats import rankdata  # 20 MiB

            ranks = [rankdata(-np.asarray(p), axis=-1) - 1 for p in predictions]
            logits = -np.log1p(np.tensordot(share, np.stack(ranks), axes=1))
        else:
            by = np.asarray(self.coefficients) if self.kind == STACKING else share
            logits = np.tensordot(by, _logits(task, predictions), axes=1)
            if self.kind == STACKING:
                logits = logits + np.asarray(self.intercepts)
        return apply_temperature(task, _probabilities(task, logits), self.temperature)

    def problems(self, tasks: Sequence[Task], outputs: int) -> list[str]:
        """Why it cannot combine members of these tasks, a sentence each."""
        if self.kind not in KINDS:
            return [f"it combines members by {self.kind!r}; known are {', '.join(KINDS)}"]
        found = []
        if self.kind not in kinds_for(tasks):
            found.append(f"members of {tasks[0].brief()} are combined by {self.kind!r}: {_REFUSED[self.kind]}")
        expected = (len(tasks), outputs) if self.kind == STACKING else (0, 0)
        if (len(self.coefficients), len(self.intercepts)) != expected:
            found.append(
                f"{self.kind!r} of {len(tasks)} members, {outputs} outputs has {len(self.coefficients)} coefficients "
                f"and {len(self.intercepts)} intercepts: {expected[0]} and {expected[1]} are needed"
            )
        if not 0 < self.temperature < math.inf:
            found.append(f"its temperature is {self.temperature}: it must be above 0")
        if not all(map(math.isfinite, (*self.coefficients, *self.intercepts))):
            found.append("its coefficients and intercepts must be finite")
        return found

    def without_temperature(self) -> Combination:
        """The same, not calibrated. A stacking is calibrated as a whole: the weighted mean stands for it."""
        return WEIGHTED_MEAN if self.kind == STACKING else replace(self, temperature=1.0)

    def to_dict(self) -> dict[str, Any]:
        """As an ensemble's bundle has it."""
        return {"kind": self.kind, "temperature": self.temperature, "coefficients": list(self.coefficients),
                "intercepts": list(self.intercepts)}  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Combination:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is damaged.
        """
        numbers = {name: tuple(float(v) for v in values[name]) for name in ("coefficients", "intercepts")}
        return cls(str(values["kind"]), float(values["temperature"]), **numbers)

    def identity(self) -> list[Any]:
        """What a digest of a model takes in: nothing of the plain mean, so that earlier models keep their names."""
        return [] if self == WEIGHTED_MEAN else [self.to_dict()]


WEIGHTED_MEAN = Combination()
_REFUSED = {
    GEOMETRIC: "they state no probabilities, of which alone logarithms are taken",
    RANK: "ranks within a track mean something only where outputs compete",
    STACKING: "they state no probabilities, of which alone logarithms are taken",
}


def kinds_for(tasks: Sequence[Task]) -> tuple[str, ...]:
    """The combinations that make sense for members of these tasks, the simplest first.

    Values, vectors, shares of windows and labels with a chosen threshold have the mean alone. Labels that do not
    compete have no mean of ranks: what is first in a track need not apply.
    """
    if not all(is_of_classes(t) or is_of_labels(t) or _is_of_fitness(t) for t in tasks):
        return (MEAN,)
    return KINDS if all(is_of_classes(t) or _is_of_fitness(t) for t in tasks) else (MEAN, GEOMETRIC, STACKING)


def fit_combination(
    kind: str, task: Task, predictions: Sequence[FloatArray], weights: Sequence[float], target: np.ndarray
) -> Combination:
    """Fit what a combination has to fit: a stacking's coefficients, and the temperature of the others.

    Parameters
    ----------
    kind
        Of :func:`kinds_for`.
    predictions
        Calibrated, of tracks that the members were not trained on, (tracks, outputs) each.
    target
        As the task encodes it.

    References
    ----------
    Wolpert 1992, *Stacked Generalization*.
    """
    if kind == STACKING:
        return _fit_stacking(task, predictions, weights, target)
    combined = Combination(kind).combine(task, predictions, weights)
    return Combination(kind, fit_temperature(task, combined, target))


def _fit_stacking(
    task: Task, predictions: Sequence[FloatArray], weights: Sequence[float], target: np.ndarray
) -> Combination:
    """The most probable coefficients: few tracks leave them near those of the geometric mean, and no intercepts.

    The loss is convex: cross-entropy of classes and of fitness, binary cross-entropy of labels.
    """
    from scipy.optimize import minimize  # 20 MiB, which a server never needs

    logits = _logits(task, predictions)
    members, tracks, outputs = logits.shape
    competing = not is_of_labels(task)
    truth = np.eye(outputs)[target] if isinstance(task, SingleLabel) else np.asarray(target, dtype=np.float64)
    if competing and not isinstance(task, SingleLabel):
        truth = even_shares(truth)
    count = tracks if competing else tracks * outputs
    prior = np.append(np.asarray(weights, dtype=np.float64) / np.sum(weights), np.zeros(outputs))

    def loss(place: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.tensordot(place[:members], logits, axes=1) + place[members:]
        if competing:
            logs, mass = log_softmax(mixed, axis=1), truth.sum(axis=1, keepdims=True)
            own, error = -(truth * logs).sum(), np.exp(logs) * mass - truth
        else:
            own, error = (np.logaddexp(0, mixed) - truth * mixed).sum(), expit(mixed) - truth
        away = place - prior
        slope = np.append(np.tensordot(logits, error, axes=([1, 2], [0, 1])), error.sum(axis=0)) + away / SPREAD**2
        return float(own + (away**2).sum() / (2 * SPREAD**2)) / count, slope / count

    found = minimize(loss, prior, jac=True, method="L-BFGS-B").x
    return Combination(STACKING, 1.0, tuple(found[:members].tolist()), tuple(found[members:].tolist()))


def _logits(task: Task, predictions: Sequence[FloatArray]) -> np.ndarray:
    """Log probabilities of classes, logits of what stands by itself, float64 (members, ..., outputs)."""
    inside = np.clip(np.stack(predictions).astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.log(inside) if is_of_classes(task) else logit(inside)


def _probabilities(task: Task, logits: np.ndarray) -> FloatArray:
    found: FloatArray = (np.exp(log_softmax(logits, axis=-1)) if is_of_classes(task) else expit(logits)).astype(
        np.float32
    )
    return found


def _is_of_fitness(task: Task) -> bool:
    """Whether outputs compete by a fitness, whose logits softmax has fixed up to a constant."""
    return (
        isinstance(task, Membership)
        and task.training == "softmax"
        and task.pooling != "vote"
        and not is_of_classes(task)
    )
