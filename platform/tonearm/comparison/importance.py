"""Which of the varied fields of a sweep matter to its scores: permutation importance of predicting unseen scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tonearm.sweeps.trial_names import short_names

FEWEST = 8
ROUNDS = 5  # of cross-validation, each with other parts and forests
PARTS = 10
TREES = 100
SHUFFLES = 5  # of a field, in each part
SHUFFLED = 19  # permutations of the scores: pure noise passes the test in 1 of 20 cases
WIDE = 10.0  # a range whose ends have at least this ratio is seen on a logarithmic scale
ABSENT = "none"


@dataclass(frozen=True)
class Importance:
    """Loss of R² of the predicted scores if a field's values are shuffled, and its deviation over the rounds."""

    name: str
    loss: float
    deviation: float


@dataclass(frozen=True)
class Importances:
    """The fields, the most important first, and R² of the predicted scores with all of them, at most 1."""

    explained: float
    fields: list[Importance]


def importances(
    configs: Sequence[Mapping[str, Any]], varied: Sequence[str], scores: Sequence[float]
) -> Importances | str:
    """Permutation importance of random forests that predict scores of configurations outside their training part.

    Parameters
    ----------
    configs
        Flattened, one a configuration.
    varied
        The paths of the fields.
    scores
        Of each configuration its validation score, the mean over its seeds.

    Returns
    -------
    The importances; or why they cannot be estimated.

    References
    ----------
    Breiman 2001, *Random Forests*, section 10.
    """
    rows = [i for i, score in enumerate(scores) if np.isfinite(score)]
    if len(rows) < FEWEST:
        return f"{len(rows)} configurations with a score are too few to estimate what matters: {FEWEST} are needed"
    values = np.array([scores[i] for i in rows], dtype=np.float64)
    if np.ptp(values) == 0:
        return f"all {len(rows)} configurations have the same score: no field makes a difference"
    if not varied:
        return "no field varies"
    from sklearn import config_context

    columns = [_columns([configs[i].get(path) for i in rows]) for path in varied]
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a fifth of the time, for 7 000 trees
        no_better_than_chance = _no_better_than_chance(np.concatenate(columns, axis=1), values)
        rounds = np.array([_round(columns, values, seed) for seed in range(ROUNDS)])
    explained = float(rounds[:, 0].mean())
    if explained <= 0 or no_better_than_chance:
        shuffled = ", and shuffled scores are predicted as well" if explained > 0 else ""
        return (
            "importance cannot be estimated: the settings explain none of the differences between these "
            f"{len(rows)} configurations (R² of scores predicted in cross-validation: {explained:.2f}{shuffled})"
        )
    short = short_names(varied)
    losses = rounds[:, 0, None] - rounds[:, 1:]
    fields = [
        Importance(short[path], float(loss.mean()), float(loss.std(ddof=1)))
        for path, loss in zip(varied, losses.T, strict=True)
    ]
    return Importances(explained, sorted(fields, key=lambda f: (-f.loss, f.name)))


def _no_better_than_chance(table: np.ndarray, values: np.ndarray) -> bool:
    """Whether scores are predicted no better than shuffled ones; true for pure noise in 19 of 20 cases."""
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    explained = [
        RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(table, scores).oob_score_
        for scores in (values, *(rng.permutation(values) for _ in range(SHUFFLED)))
    ]
    return bool(explained[0] <= max(explained[1:]))


def _round(columns: Sequence[np.ndarray], values: np.ndarray, seed: int) -> list[float]:
    """R² of predicted scores, with all fields and with each one shuffled: [all, first, second, ...]."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold

    table, count = np.concatenate(columns, axis=1), len(values)
    ends = np.cumsum([0, *(c.shape[1] for c in columns)])
    rng = np.random.default_rng(seed)
    error, of_mean = np.zeros(1 + len(columns)), 0.0
    for train, test in KFold(min(PARTS, count), shuffle=True, random_state=seed).split(table):
        forest = RandomForestRegressor(TREES, random_state=seed).fit(table[train], values[train])
        tables = [table[test]]
        for start, end in pairwise(ends):
            for _ in range(SHUFFLES):
                changed = table[test].copy()
                changed[:, start:end] = table[rng.integers(0, count, len(test)), start:end]
                tables.append(changed)
        predicted = forest.predict(np.concatenate(tables)).reshape(len(tables), len(test))
        wrong = np.square(predicted - values[test]).sum(axis=1)
        error += [wrong[0], *wrong[1:].reshape(len(columns), SHUFFLES).mean(axis=1)]
        of_mean += float(np.square(values[train].mean() - values[test]).sum())
    return [float(1 - e / of_mean) for e in error]


def _columns(values: Sequence[Any]) -> np.ndarray:
    """A field's values as float64 (configurations, columns): numbers, else a column a name. Where a number is absent,
    as in another kind of model, a second column marks it."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    absent = np.array([v is None for v in values])
    if numbers and len(numbers) + absent.sum() == len(values):
        wide = min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE
        middle = float(np.median(numbers))
        column = np.array([middle if v is None else v for v in values], dtype=np.float64)
        each = [np.log(column) if wide else column, *([absent] if absent.any() else [])]
        return np.stack(each, axis=1).astype(np.float64)
    texts = [ABSENT if v is None else str(v) for v in values]
    return np.array([[text == name for name in sorted(set(texts))] for text in texts], dtype=np.float64)
