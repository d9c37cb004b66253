"""How much of the differences between a sweep's scores each varied field explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.sweeps.candidates import short_names

FEWEST = 8
FORESTS = 5
WIDE = 10.0  # a range whose ends have at least this ratio is seen on a logarithmic scale
ABSENT = "none"


@dataclass(frozen=True)
class Importance:
    """A field's share of the variance of the scores, 0..1, and its deviation over random forests."""

    name: str
    share: float
    deviation: float


def importances(
    configs: Sequence[Mapping[str, Any]], varied: Sequence[str], scores: Sequence[float]
) -> list[Importance] | str:
    """Functional ANOVA of random forests that were fitted to the scores.

    Parameters
    ----------
    configs
        Flattened, one a configuration.
    varied
        The paths to judge.
    scores
        Of each configuration its validation score.

    Returns
    -------
    The fields, the most important first; or why there is nothing to say.

    References
    ----------
    Hutter, Hoos and Leyton-Brown 2014, *An Efficient Approach for Assessing Hyperparameter Importance*.
    """
    rows = [i for i, score in enumerate(scores) if np.isfinite(score)]
    if len(rows) < FEWEST:
        return f"{len(rows)} configurations with a score are too few to tell which field matters: {FEWEST} are needed"
    values = np.array([scores[i] for i in rows], dtype=np.float64)
    if np.ptp(values) == 0:
        return f"all {len(rows)} configurations have the same score: no field makes a difference"
    if not varied:
        return "no field varies"
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of every study that is made
    study = optuna.create_study()
    distributions = {path: _distribution([configs[i].get(path) for i in rows]) for path in varied}
    for i, value in zip(rows, values, strict=True):
        params = {path: _value(configs[i].get(path), distributions[path]) for path in varied}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(value)))
    found = [
        optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed), params=list(varied)
        )
        for seed in range(FORESTS)
    ]
    short = short_names(varied)
    each = {path: [float(f[path]) for f in found] for path in varied}
    shares = [Importance(short[p], float(np.mean(v)), float(np.std(v, ddof=1))) for p, v in each.items()]
    return sorted(shares, key=lambda s: (-s.share, s.name))


def _distribution(values: Sequence[Any]) -> Any:
    """The domain that a field's values span: numbers where all are, else names."""
    import optuna

    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        low, high = float(min(values)), float(max(values))
        if low < high:
            return optuna.distributions.FloatDistribution(low, high, log=low > 0 and high / low >= WIDE)
    return optuna.distributions.CategoricalDistribution(sorted({_name(v) for v in values}))


def _value(value: Any, distribution: Any) -> Any:
    import optuna

    categorical = isinstance(distribution, optuna.distributions.CategoricalDistribution)
    return _name(value) if categorical else float(value)


def _name(value: Any) -> str:
    return ABSENT if value is None else str(value)
