"""Metrics as values: what each is called, which direction is better, and between which ends it lies.

Whoever ranks, plots or gives an interval takes direction and range from here. A name that is not here is an error, so
that no direction is ever guessed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tonearm.core.errors import ConfigError, TrainingError, UnknownNameError
from tonearm.core.registry import Registry

PREFIXES = re.compile(r"^(heldout/|(validation|test|train|best|single|trivial|window)_)")
FAMILY = re.compile(r"^(.+_)(\d+)$")


@dataclass(frozen=True)
class Metric:
    """A metric that tasks report.

    Attributes
    ----------
    name
        As logs and ``--metric`` have it. Names that end in ``_k`` stand for all numbers: ``top_k`` for ``top_3``.
    label
        For people; of a name that ends in ``_k`` it ends in "k".
    maximise
        Whether larger is better.
    low, high
        The ends of its range; infinite where it has none.
    """

    name: str
    label: str
    maximise: bool = True
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"metric {self.name!r} reaches from {self.low} to {self.high}: low must be below high")
        if not self.name or PREFIXES.match(self.name):
            raise ConfigError(
                f"a metric cannot be called {self.name!r}: the words before '_' that name a set of tracks "
                "(validation_, test_, ...) are added to its name"
            )

    @property
    def better(self) -> str:
        """``higher`` or ``lower``."""
        return "higher" if self.maximise else "lower"

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of its range."""
        return self.low, self.high

    @property
    def difference_range(self) -> tuple[float, float]:
        """The ends of the range of a difference of two values."""
        return self.low - self.high, self.high - self.low

    def contains(self, value: float) -> bool:
        """Whether a value lies in the range, up to rounding; NaN does not."""
        return self.low - 1e-6 <= value <= self.high + 1e-6

    def checked(self, value: float, tracks: int) -> float:
        """A value of so many tracks, if it lies in the range.

        Raises
        ------
        TrainingError
            If it does not.
        """
        if not self.contains(value):
            raise TrainingError(
                f"the metric {self.name!r} is {value} of {tracks} tracks, its range is {self.low} to {self.high}: "
                "mend its function, or give its Metric the range that it has"
            )
        return value

    def axis(self, values: Sequence[float]) -> tuple[float | None, float | None]:
        """The ends of a plot's axis; None where the plot finds the end that fits.

        An axis begins at 0 where no value is below. Scores that have an upper end are shown up to it; errors are shown
        as far as they reach, since the worst possible one is far away.
        """
        return (0.0 if min(values) >= 0 else None), (self.high if self.maximise and math.isfinite(self.high) else None)


METRICS: Registry[Metric] = Registry("metric")


def find_metric(name: str) -> Metric:
    """The metric of a name: also ``validation_f1_micro``, ``window_mae`` and ``top_3``.

    Raises
    ------
    UnknownNameError
        If it is not registered; the message says how to do it.
    """
    bare = name
    while True:
        if bare in METRICS:
            return METRICS[bare]
        family = FAMILY.match(bare)
        if family and f"{family[1]}k" in METRICS:
            found = METRICS[f"{family[1]}k"]
            return dataclasses.replace(found, name=bare, label=found.label.removesuffix("k") + family[2])
        if not PREFIXES.match(bare):
            break
        bare = PREFIXES.sub("", bare)
    try:
        return METRICS[bare]
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{error}. A metric of your own is registered by TASK.add_metric(Metric({bare!r}, LABEL, maximise=..., "
            "low=..., high=...), FUNCTION), e.g. with SingleLabel as TASK; one that a task's metrics() returns by "
            "METRICS.add"
        ) from None


def _register(*metrics: Metric) -> None:
    for metric in metrics:
        METRICS.add(metric.name, metric)


# Shares of right predictions, and ranked predictions: 0..1, higher is better.
_register(
    Metric("f1_micro", "F1 micro"),
    Metric("f1_macro", "F1 macro"),
    Metric("accuracy", "accuracy"),
    Metric("balanced_accuracy", "balanced accuracy"),
    Metric("categorical_accuracy", "categorical accuracy"),
    Metric("any_accuracy", "any accuracy"),
    Metric("top_k", "top k"),
    Metric("mean_average_precision", "mean average precision"),
    Metric("average_precision_micro", "average precision micro"),
    Metric("roc_auc", "ROC AUC"),
    Metric("hit_rate_at_k", "hit rate at k"),
    Metric("recall_at_k", "recall at k"),
)
# Errors: lower is better.
_register(
    Metric("hamming_loss", "hamming loss", maximise=False),
    Metric("log_loss", "log loss", maximise=False, high=math.inf),
    Metric("mae", "MAE", maximise=False, high=math.inf),
    Metric("mse", "MSE", maximise=False, high=math.inf),
)
# Of vectors and numbers.
_register(
    Metric("mean_cosine", "mean cosine", low=-1.0),
    Metric("spearman", "Spearman", low=-1.0),
    Metric("r2", "R2", low=-math.inf),
)
