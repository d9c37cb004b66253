"""Who becomes champion: the rules, and the tags of a registered version that they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tonearm.statistics.intervals import Interval
from tonearm.tasks import Task
from tonearm.tracking import names
from tonearm.tracking.query import registered
from tonearm.tracking.register import promote
from tonearm.tracking.retry import retry

SMALL = 0.02


@dataclass(frozen=True)
class Promotion:
    """Whether a version is the champion now, and the reason."""

    promoted: bool
    why: str


def decide_promotion(
    dataset: str, version: str, task: Task, promote_anyway: bool | None = None, known: str = ""
) -> Promotion:
    """Make a data set's newest candidate the champion, if it should be.

    Parameters
    ----------
    promote_anyway
        Whether it is to become the champion; None: if it is no worse by the same metric on the same validation tracks,
        or they are others.
    known
        Why it became the champion, if it did before.
    """
    now, candidate = (retry(registered, dataset, alias) for alias in (names.CHAMPION, names.CANDIDATE))
    if now is not None and now.version == version:
        return Promotion(True, known or "it is the champion already")
    if promote_anyway is not None:
        found = Promotion(promote_anyway, "as was asked for")
    elif now is not None and candidate is not None:
        found = validates_as_well(candidate.tags, now.tags, task)
        found = Promotion(found.promoted, f"{found.why}; the champion was version {now.version}")
    else:
        found = Promotion(True, "the first one")
    if found.promoted:
        retry(promote, dataset, version)
    return found


def validates_as_well(candidate: Mapping[str, str], champion: Mapping[str, str], task: Task) -> Promotion:
    """Whether a version validates at least as well as another, where that can be said.

    Parameters
    ----------
    candidate, champion
        Tags of the two versions.
    """
    if champion.get(names.DATA) != candidate[names.DATA]:
        return Promotion(True, "the champion was chosen on other data, so its score cannot be compared")
    metric, other = candidate[names.METRIC], champion.get(names.METRIC)
    if other != metric:
        return Promotion(False, f"evaluated by {metric}, the champion by {other or 'none'}: the promote option decides")
    ours, theirs = float(candidate[names.VALIDATION]), float(champion[names.VALIDATION])
    better = ours >= theirs if task.maximise else ours <= theirs
    return Promotion(better, f"validation {task.primary} {rounded(ours)}, the champion's {rounded(theirs)}")


def rounded(value: float) -> str:
    """A figure to three decimals, a small one (an error, as a rule) to five."""
    return f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.5f}"


def format_with_interval(value: Interval) -> str:
    """An estimate with the ends of its interval."""
    return f"{rounded(value.value)} [{rounded(value.low)}, {rounded(value.high)}]"
