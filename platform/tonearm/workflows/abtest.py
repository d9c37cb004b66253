"""Champion and challenger compared by those who listen: what is shown so far, and what follows from it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError, JobError
from tonearm.core.text import format_table
from tonearm.feedback.events import CHALLENGER, CHAMPION
from tonearm.feedback.outcomes import EARLY_SKIPS, LIKES, METRICS, NEEDED, REPEATS, SATISFACTION, Outcomes, outcomes
from tonearm.feedback.store import FeedbackStore
from tonearm.statistics.always_valid import (
    RATIO_LEVEL,
    SequentialDifference,
    needed_units,
    sample_ratio_p,
    sequential_difference,
)

LOOKS = 40  # of which the plot tells
ARMS = (CHAMPION, CHALLENGER)


@dataclass(frozen=True)
class AbTest:
    """What an experiment shows so far.

    Attributes
    ----------
    experiment
        Its salt.
    share
        Of the listeners that get the challenger.
    listeners
        Of the champion and of the challenger.
    events
        In all.
    ratio_p
        Whether the arms are as large as they should be, as :func:`tonearm.statistics.always_valid.sample_ratio_p`.
    differences
        Challenger - champion by metric, with an interval that holds at all looks together.
    looks
        By metric the same at times before: listeners so far, difference, low, high.
    parting
        How what is skipped and what is repeated part, in a sentence.
    versions
        Model and version that answered, by arm, the most frequent first.
    decided_by
        The metric that decides.
    winner
        ``champion``, ``challenger``, or "" if there is none yet.
    why
        Why, in a sentence.
    """

    experiment: str
    share: float
    listeners: tuple[int, int]
    events: int
    ratio_p: float
    differences: Mapping[str, SequentialDifference]
    looks: Mapping[str, Sequence[tuple[int, float, float, float]]]
    parting: str
    versions: Mapping[str, Sequence[tuple[str, str]]]
    decided_by: str
    winner: str
    why: str
    notes: Sequence[str] = field(default=())

    def table(self) -> list[tuple[str, ...]]:
        """Metrics as cells, the names of the columns first."""
        head = ("", "listeners", *ARMS, "difference", "95 % at all looks")
        return [head, *(
            (name, f"{sum(d.counts)}", f"{d.first:.4f}", f"{d.second:.4f}", f"{d.value:+.4f}",
             f"[{d.low:+.4f}, {d.high:+.4f}]")
            for name, d in self.differences.items()
        )]  # fmt: skip

    def sentences(self) -> list[str]:
        """What a person should know beside the table."""
        one, two = self.listeners
        ratio = f"{two / max(1, one + two):.3f} of {one + two} listeners got the challenger, {self.share:g} were to"
        named = {arm: ", ".join(f"{model} {version}".strip() for model, version in self.versions[arm]) for arm in ARMS}
        return [
            f"experiment {self.experiment}: {named[CHALLENGER] or 'nothing'} against {named[CHAMPION] or 'nothing'}, "
            f"{self.events} events",
            f"{ratio}: p {self.ratio_p:.3g} of the sample ratio",
            self.parting,
            *self.notes,
            f"winner: {self.winner or 'none yet'}: {self.why}",
        ]

    def __str__(self) -> str:
        return "\n".join([format_table(self.table()), *self.sentences()])


def run_abtest(experiment: str = "", *, metric: str = LIKES, now: float | None = None) -> AbTest:
    """What an experiment shows so far. It may be asked as often as one likes: its intervals hold at all looks.

    Parameters
    ----------
    experiment
        Its salt; by default the one whose last outcome came last.
    metric
        That decides, one of :data:`tonearm.feedback.outcomes.METRICS`; to be chosen before the first look.
    now
        Seconds since 1970 at which it is looked; None: now.

    Raises
    ------
    ConfigError
        If there is no such metric.
    JobError
        If there is no such experiment.
    FeedbackError
        If its outcomes cannot be read.
    """
    require_metric(metric)
    store = FeedbackStore()
    known = store.experiments() if store.is_there else []
    if not known or (experiment and experiment not in known):
        wanted = f"the experiment {experiment!r}" if experiment else "an experiment"
        raise JobError(f"there is no outcome of {wanted}: known are {', '.join(known) or 'none'}; tonearm serve "
                       "--challenger ALIAS begins one")  # fmt: skip
    chosen = experiment or known[-1]
    events = store.read((*NEEDED, "model", "version", "share"), chosen, in_order=False)
    return analyse(events, chosen, metric, time.time() if now is None else now)


def require_metric(metric: str) -> None:
    """Check the name of a metric.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric is {metric!r}: it must be one of {', '.join(METRICS)}")


def analyse(events: Mapping[str, Sequence[Any]], experiment: str, metric: str, now: float) -> AbTest:
    """What the events of an experiment show at a time, in seconds since 1970."""
    found = outcomes(events)
    shares = sorted(set(events["share"]))
    counted = found.of[LIKES].time  # none, if all listeners were in both arms
    times = np.quantile(counted, np.linspace(0, 1, LOOKS + 1)[1:]) if len(counted) else np.zeros(0)
    values = found.looks([*np.minimum(times, now).tolist(), now])
    looks: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in METRICS}
    for at in values[:-1]:
        for name in METRICS:
            d = difference_of(found, at[name])
            if np.isfinite(d.low):
                looks[name].append((sum(d.counts), d.value, d.low, d.high))
    differences = {name: difference_of(found, values[-1][name]) for name in METRICS}
    ratio = sample_ratio_p(found.sizes, shares[-1])
    versions = _versions(events)
    notes = [f"{found.in_both} listeners were in both arms, and are left out"] if found.in_both else []
    notes += [f"{arm}: {len(versions[arm])} versions answered" for arm in ARMS if len(versions[arm]) > 1]
    winner, why = decide(differences, metric, ratio, shares)
    return AbTest(experiment, shares[-1], found.sizes, found.events, ratio, differences, looks,
                  _parting(differences, values[-1]), versions, metric, winner, why, notes)  # fmt: skip


def difference_of(found: Outcomes, values: np.ndarray) -> SequentialDifference:
    """The challenger's mean over listeners less the champion's, of those who have a value."""
    known = np.isfinite(values)
    return sequential_difference(values[known & ~found.challenged], values[known & found.challenged])


def decide(
    differences: Mapping[str, SequentialDifference], metric: str, ratio_p: float, shares: Sequence[float]
) -> tuple[str, str]:
    """The winner, "" if there is none, and why, in a sentence.

    There is none while the arms are not as large as they should be, while the metric that decides is not shown to
    differ, and where satisfaction in the long term is shown to be worse in the arm that is better by it.
    """
    d = differences[metric]
    said = f"{metric} {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}] of {sum(d.counts)} listeners"
    if len(shares) > 1:
        shown = ", ".join(f"{share:g}" for share in shares)
        return "", f"the share was changed ({shown}), and listeners with it: begin anew with another --salt"
    if ratio_p < RATIO_LEVEL:
        return "", (
            f"the arms are not as large as they should be (p {ratio_p:.2g}): something loses listeners of one "
            "of them, and what is measured is of other people: find it, and begin anew with another --salt"
        )
    if not d.is_shown:
        return "", f"no difference is shown: {said}: wait, or keep the champion"
    better = (d.value > 0) != (metric == EARLY_SKIPS)
    lasting = differences[SATISFACTION]
    if lasting.is_shown and (lasting.value > 0) != better:
        return "", f"{said}, but in the long term it is the other way round: satisfaction {lasting.value:+.4f} " \
                   f"[{lasting.low:+.4f}, {lasting.high:+.4f}]"  # fmt: skip
    return CHALLENGER if better else CHAMPION, said


def _parting(differences: Mapping[str, SequentialDifference], values: Mapping[str, np.ndarray]) -> str:
    """How early skips and repeats part: between the arms, and between listeners."""
    skips, repeats = differences[EARLY_SKIPS], differences[REPEATS]
    known = np.isfinite(values[SATISFACTION])
    if not known.any():
        return "no listener's first week is over yet: nothing is known of repeats"
    one, two = values[EARLY_SKIPS][known], values[REPEATS][known]
    varied = one.std() > 0 and two.std() > 0
    along = f"; over listeners their correlation is {np.corrcoef(one, two)[0, 1]:+.2f}" if varied else ""
    agree = (skips.value < 0) == (repeats.value > 0)
    shown = "" if skips.is_shown and repeats.is_shown else ", which may be chance"
    return (f"early skips {skips.value:+.4f}, repeats {repeats.value:+.4f}: they "
            f"{'say the same' if agree else 'part'}{shown}{along}")  # fmt: skip


def _versions(events: Mapping[str, Sequence[Any]]) -> dict[str, list[tuple[str, str]]]:
    counts = Counter(zip(events["arm"], events["model"], events["version"], strict=True))
    return {arm: [(model, version) for (of, model, version), _ in counts.most_common() if of == arm] for arm in ARMS}


def plan(difference: float, *, metric: str = LIKES, deviation: float = 0.0, share: float = 0.5) -> str:
    """How many listeners an experiment needs, in a sentence.

    Parameters
    ----------
    difference
        That is to be found, in the metric's unit.
    deviation
        Standard deviation of the metric over listeners; 0: that of the feedback so far, whatever arm it is of.

    Raises
    ------
    ConfigError
        For values that cannot be; if no deviation is given, and too few listeners are known.
    """
    require_metric(metric)
    source = "as given"
    if not deviation:
        store = FeedbackStore()
        events = store.read(NEEDED, in_order=False) if store.is_there else {name: [] for name in NEEDED}
        values = outcomes({**events, "arm": [""] * len(events["arm"])}).looks([time.time()])[0][metric]
        known = values[np.isfinite(values)]
        if len(known) < 2 or not known.std():
            raise ConfigError(f"{len(known)} listeners are known, of whom {metric} differs in none: give --deviation, "
                              f"the standard deviation of {metric} over listeners, 0.2 to 0.4 as a rule")  # fmt: skip
        deviation, source = float(known.std(ddof=1)), f"of {len(known)} listeners so far"
    units = needed_units(difference, deviation, share)
    return (
        f"{units} listeners in all, {round(units * share)} of them with the challenger: by then a difference of "
        f"{difference:+g} in {metric} is shown in 80 of 100 experiments (standard deviation {deviation:.3f}, {source})"
    )
