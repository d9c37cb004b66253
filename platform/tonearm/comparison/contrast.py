"""Two sides on the same tracks: by how much one is better, how surely, and on which classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions, aligned
from tonearm.comparison.seeds import Cell, RunPredictions, RunScores, difference_with_swaps, seed_variance
from tonearm.statistics.differences import Difference, mean_difference, paired_bootstrap, with_seed_variance
from tonearm.statistics.significance import (
    enough_draws,
    groups_that_differ,
    holm,
    mcnemar,
    randomisation_test,
    swap_test,
)  # fmt: skip
from tonearm.training.evaluate import CELLS_OF_ALL_RESAMPLES

SIGNIFICANCE_LEVEL = 0.05
RESAMPLES = (200, 1000)
SMALL = 0.02


@dataclass(frozen=True)
class Side:
    """One or several candidates whose mean is a side of a comparison; weights sum to 1.

    Attributes
    ----------
    cells
        Of each member what it shares with its partners on the other side; () without partners.
    """

    name: str
    members: tuple[Predictions, ...]
    weights: tuple[float, ...] = (1.0,)
    cells: tuple[Cell, ...] = ()

    @property
    def scores(self) -> np.ndarray:
        """Of each track, float64 (tracks,)."""
        each: np.ndarray = np.average([m.scores for m in self.members], axis=0, weights=self.weights)
        return each

    def metric(self, draw: np.ndarray, name: str, metrics: Sequence[str]) -> float:
        """A metric of the tracks of these indices; all ``metrics`` are computed at once."""
        values = [m.metrics_of(draw, metrics)[name] for m in self.members]
        return float(np.average(values, weights=self.weights))

    @property
    def runs(self) -> list[tuple[float, RunPredictions]]:
        """Each run with its weight."""
        return [(w / len(m.seeds), run) for m, w in zip(self.members, self.weights, strict=True) for run in m.seeds]

    def seed_metrics(self, metrics: Sequence[str]) -> dict[str, RunScores]:
        """Metrics of each run by itself."""
        each = [[m.task.selected_metrics(metrics, p, t, m.groups) for p, t in m.seeds] for m in self.members]
        return {name: self.of_runs([np.array([run[name] for run in runs]) for runs in each]) for name in metrics}

    def of_runs(self, scores: Sequence[np.ndarray]) -> RunScores:
        """Scores (seeds,) of each member's runs, with the weights and cells of the members."""
        return RunScores(tuple(scores), self.weights, self.cells)


@dataclass(frozen=True)
class PairedComparison:
    """The difference of two sides.

    Attributes
    ----------
    difference
        First - second, of the metric as it is.
    p, adjusted
        Two-sided, of the randomisation test or, if larger, of the difference with the variance between seeds; and
        adjusted by Holm for all comparisons of its table.
    tracks, groups
        On how many both were evaluated, of how many groups.
    discordant
        Tracks that only the first, and only the second has right, and McNemar's p; where scores are 0 and 1.
    others
        Differences of the task's other headline metrics.
    within
        The part of the candidates that it is of: ``feature mel``.
    family
        How many comparisons ``adjusted`` considers.
    seed_variance
        Whether interval and p consider that another seed may give another result.
    runs
        How many runs there are on each side.
    differing
        Groups that differ: with k of them p is at least 2 / 2^k.
    confounded_by
        Why not all else is equal on both sides, or "".
    """

    first: str
    second: str
    measure: ComparisonMetric
    difference: Difference
    p: float
    adjusted: float
    tracks: int
    groups: str
    discordant: tuple[int, int, float] | None = None
    others: dict[str, Difference] = field(default_factory=dict)
    within: str = ""
    family: int = 1
    seed_variance: bool = True
    runs: tuple[int, int] = (1, 1)
    differing: int = 1000
    confounded_by: str = ""

    @property
    def significant(self) -> bool:
        """Whether a difference is shown, all comparisons considered."""
        return self.adjusted < SIGNIFICANCE_LEVEL

    @property
    def gain(self) -> float:
        """By how much the first is better, whichever direction is."""
        return self.difference.value if self.measure.maximise else -self.difference.value

    def verdict(self) -> str:
        """The result in words, with what it holds for."""
        return "; ".join([self._result(), *self.cautions])

    @property
    def cautions(self) -> list[str]:
        """What a reader of the result must know."""
        cautions = [f"not all else equal: {self.confounded_by}"] if self.confounded_by else []
        if not self.seed_variance and self.runs == (1, 1):
            cautions.append("this is of these two trained networks, one seed each: another seed may differ")
        elif not self.seed_variance:
            cautions.append("not every side has two seeds: another seed may differ")
        return cautions

    def _result(self) -> str:
        d = self.difference
        where = f"{self.within}: " if self.within else ""
        if not self.significant:
            none = f"{where}{'no' if where else 'No'} difference shown between {self.first} and {self.second}"
            if d.low == d.high:
                return f"{none}: {self.measure.name} is the same on {self.tracks} tracks of {self.groups}"
            if self.family * 2.0 ** (1 - self.differing) > SIGNIFICANCE_LEVEL:
                few = f"with {self.differing} group{'s' * (self.differing > 1)} that differ"
                return f"{none}: {self._figures(d)}; {few} no difference can be shown"
            if self.p < SIGNIFICANCE_LEVEL:
                return f"{none} once all {self.family} comparisons are considered: {self._figures(d)}"
            least = d.detectable_difference(self.family, SIGNIFICANCE_LEVEL)
            found = f"a difference of about {least:.2g} would be found in 8 of 10 cases"
            return f"{none}: {self._figures(d)}; with these tracks{' and seeds' * self.seed_variance} {found}"
        better, worse, oriented = self.first, self.second, d
        if self.gain < 0:
            better, worse = worse, better
            oriented = dataclasses.replace(d, value=-d.value, low=-d.high, high=-d.low)
        return f"{where}{better} is better than {worse}: {self._figures(oriented)}"

    def _figures(self, d: Difference) -> str:
        return (
            f"{self.measure.name} {format_with_interval(d)}, p {_equals(self.p)} "
            f"(Holm {format_p_value(self.adjusted)}), {self.tracks} tracks of {self.groups}"
        )


@dataclass(frozen=True)
class ClassChange:
    """The difference of two sides on one class's tracks; no interval where all are of one group."""

    name: str
    tracks: int
    value: float
    difference: Difference | None
    p: float
    adjusted: float


def compare_sides(
    first: Side, second: Side, measure: ComparisonMetric, others: bool = True, within: str = "", comparisons: int = 1,
    confounded_by: str = "",
) -> PairedComparison:  # fmt: skip
    """Compare two sides on the tracks that all their members have; ``adjusted`` is ``p`` as yet.

    Parameters
    ----------
    others
        Whether the other headline metrics are compared too.
    comparisons
        In the family that ``p`` will be adjusted for: the more, the finer p must be known.
    confounded_by
        Why not all else is equal on both sides.
    """
    first, second = common_sides(first, second)
    one, two, own = first.scores, second.scores, first.members[0]
    task, groups = own.task, own.groups
    metrics = tuple(m for m in task.headline if m != measure.name) if others else ()
    bootstrapped = metrics if measure.by_track else (measure.name, *metrics)
    cells = sum(p.size for side in (first, second) for m in side.members for p, _ in m.seeds)
    resamples = int(np.clip(CELLS_OF_ALL_RESAMPLES // max(cells, 1), *RESAMPLES))

    seeds = [side.seed_metrics((measure.name, *metrics)) for side in (first, second)]
    seed_variances = {name: seed_variance(seeds[0][name], seeds[1][name]) for name in seeds[0]}

    def bootstrap(name: str) -> Difference:
        return paired_bootstrap(
            lambda draw: first.metric(draw, name, bootstrapped) - second.metric(draw, name, bootstrapped),
            groups,
            resamples=resamples,
        )

    if measure.by_track:
        tracks_alone, differing = mean_difference(one, two, groups), groups_that_differ(one, two, groups)
        p = randomisation_test(one, two, groups, enough_draws(comparisons))
    else:
        tracks_alone, differing = bootstrap(measure.name), len(set(groups))
        swaps = difference_with_swaps(first.runs, second.runs, measure.name, task, groups)
        p = swap_test(swaps, groups, resamples)
    reach = measure.metric.difference_range
    difference = with_seed_variance(tracks_alone, seed_variances[measure.name]).clipped(*reach)
    if seed_variances[measure.name]:
        p = max(p, difference.p)
    discordant = None
    if measure.by_track and measure.maximise and np.isin([one, two], (0, 1)).all():
        counts = int((one > two).sum()), int((one < two).sum())
        discordant = (*counts, mcnemar(*counts))
    return PairedComparison(
        first.name, second.name, measure, difference, p, p, len(groups), counted_groups(groups), discordant,
        {name: with_seed_variance(bootstrap(name), seed_variances[name]).clipped(*task.metric(name).difference_range)
         for name in metrics}, within, comparisons,
        bool(seed_variances[measure.name]), (len(first.runs), len(second.runs)), differing, confounded_by,
    )  # fmt: skip


def common_sides(first: Side, second: Side) -> tuple[Side, Side]:
    """The same sides on the tracks that all members have."""
    members = aligned([*first.members, *second.members])
    count = len(first.members)
    return (dataclasses.replace(first, members=tuple(members[:count])),
            dataclasses.replace(second, members=tuple(members[count:])))  # fmt: skip


def adjusted(contrasts: Sequence[PairedComparison]) -> list[PairedComparison]:
    """The same with p values that are adjusted for all of them."""
    values = holm([c.p for c in contrasts])
    return [dataclasses.replace(c, adjusted=p, family=len(values)) for c, p in zip(contrasts, values, strict=True)]


def counted_groups(groups: Sequence[str]) -> str:
    """How many different ones, by what they are: ``28 artists``."""
    different = set(groups)
    if len(different) == len(groups) and all(g.startswith("track:") for g in different):
        return f"{len(different)} groups (each its own)"
    return f"{len(different)} {'artists' if all(g.startswith('artist:') for g in different) else 'groups'}"


def format_value(value: float, like: float | None = None) -> str:
    """A figure to three decimals; if it, or what it stands beside, is small (an error, as a rule), to five."""
    return f"{value:.{_decimals(value if like is None else like)}f}"


def format_with_interval(d: Difference) -> str:
    """A difference with the ends of its interval, with their signs and all to as many decimals.

    What is the same on all tracks, be they four, has an interval without width, which would look like certainty.
    """
    decimals = _decimals(max(abs(d.low), abs(d.high)))
    if d.low == d.high:
        return f"{signed(d.value, decimals)} (the same on all tracks)"
    return f"{signed(d.value, decimals)} [{signed(d.low, decimals)}, {signed(d.high, decimals)}]"


def signed(value: float, decimals: int = 3) -> str:
    """A difference with its sign; what is rounded to nothing has none."""
    text = f"{value:+.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"


def _decimals(value: float) -> int:
    return 3 if value == 0 or abs(value) >= SMALL else 5


def _equals(p: float) -> str:
    return format_p_value(p) if p < 0.001 else f"= {format_p_value(p)}"


def format_p_value(p: float) -> str:
    """As papers write it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
