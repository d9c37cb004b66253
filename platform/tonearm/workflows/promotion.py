"""Who becomes champion: a candidate that is shown to be better on tracks that neither learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tonearm.comparison.contrast import SIGNIFICANCE_LEVEL, format_p_value
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import TrackingError
from tonearm.core.text import command
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Manifest, Track
from tonearm.statistics.intervals import Interval
from tonearm.tasks import Task
from tonearm.tracking import names
from tonearm.tracking.query import RegisteredVersion, champion_uri, find_runs, last_promoted, registered
from tonearm.tracking.register import explain_version, promote, roll_back, rolled_back
from tonearm.tracking.retry import retry
from tonearm.workflows.champion import IncomparableError, predict_as_champion
from tonearm.workflows.home_catalogues import told_left_behind
from tonearm.workflows.paired import compare_predictions, gain_with_interval
from tonearm.workflows.prepared_names import prepared_name

SMALL = 0.02


@dataclass(frozen=True)
class Candidate:
    """A registered version, and what it predicts of tracks that it did not learn from.

    Of validation tracks what was chosen without them predicts; its networks' epochs and settings were chosen on them.

    Attributes
    ----------
    version
        In the registry.
    manifest
        What it was trained on, with the splits.
    task, classes
        Its task and outputs.
    tracks
        Of validation and test; of test alone where nothing was chosen without the validation tracks.
    target, groups
        Of these tracks, the target as the task encodes it.
    predictions
        (tracks, outputs) of them, several times over where validation tracks were predicted by several halves.
    trivial
        The prediction (outputs,) that needs no model, from the training split.
    """

    version: str
    manifest: Manifest
    task: Task
    classes: tuple[str, ...]
    tracks: tuple[Track, ...]
    target: np.ndarray
    groups: list[str]
    predictions: tuple[FloatArray, ...]
    trivial: FloatArray

    def score(self) -> float:
        """Its primary metric on these tracks."""
        name = (self.task.primary,)
        found = [self.task.selected_metrics(name, p, self.target, self.groups) for p in self.predictions]
        return float(np.mean([f[self.task.primary] for f in found]))

    def trivial_score(self) -> float:
        """The same of what needs no model."""
        always = np.tile(self.trivial, (len(self.tracks), 1))
        return self.task.selected_metrics((self.task.primary,), always, self.target, self.groups)[self.task.primary]

    def on(self, tracks: Sequence[Track]) -> Candidate:
        """The same on some of its tracks."""
        wanted = {t.track_id for t in tracks}
        rows = [i for i, t in enumerate(self.tracks) if t.track_id in wanted]
        return dataclasses.replace(
            self, tracks=tuple(self.tracks[i] for i in rows), target=self.target[rows],
            groups=[self.groups[i] for i in rows], predictions=tuple(p[rows] for p in self.predictions),
        )  # fmt: skip


@dataclass(frozen=True)
class Promotion:
    """Whether a version is the champion now, and the reason.

    Attributes
    ----------
    figures
        What the reason rests on, by name.
    """

    promoted: bool
    why: str
    figures: Mapping[str, float] = field(default_factory=dict)


def decide_promotion(
    candidate: Candidate, promote_anyway: bool | None = None, device: str = "cpu", known: str = ""
) -> Promotion:
    """Make a version its data set's champion, if it should be; the reason and its figures go to the registry.

    Parameters
    ----------
    promote_anyway
        Whether it is to become the champion; None: if it is shown to be better than the present one.
    device
        Where the champion predicts.
    known
        Why it became the champion, if it did before.
    """
    dataset = candidate.manifest.name
    now = retry(registered, dataset, names.CHAMPION)
    if now is not None and now.version == candidate.version:
        return Promotion(True, known or "it is the champion already")
    return carry_out(dataset, candidate.version, judge(candidate, now, device), promote_anyway)


def carry_out(dataset: str, version: str, found: Promotion, promote_anyway: bool | None = None) -> Promotion:
    """Make a version the champion, or leave it, as was found; the reason and its figures go to the registry. A version
    that was rolled back stays so, unless it is to be promoted anyway.

    Parameters
    ----------
    promote_anyway
        As :func:`decide_promotion` has it.
    """
    left = retry(rolled_back, dataset, version)
    if found.promoted and left:
        which = "it" if left == version else f"version {left}, which is the same choice,"
        found = Promotion(False, f"{which} was rolled back, although {found.why}", found.figures)
    if promote_anyway is not None and promote_anyway != found.promoted:
        found = Promotion(promote_anyway, f"as was asked for, although {found.why}", found.figures)
    if found.promoted:
        retry(promote, dataset, version, found.why, found.figures)
    else:
        retry(explain_version, dataset, version, f"Not promoted: {found.why}", found.figures)
    return found


def judge(candidate: Candidate, champion: RegisteredVersion | None, device: str = "cpu") -> Promotion:
    """Whether a candidate is to replace the champion.

    It is not where it is worse than what needs no model, where the two cannot be compared, and where its advantage on
    tracks that neither learned from may be noise.
    """
    task = candidate.task
    score, trivial = candidate.score(), candidate.trivial_score()
    figures = {task.primary: score, "trivial": trivial, "tracks": float(len(candidate.tracks))}
    which = "test tracks that it neither learned from nor was chosen on"
    if any(t.split == "validation" for t in candidate.tracks):
        which = ("validation and test tracks that it did not learn from; test tracks chose nothing, validation tracks "
                 "its epochs and settings")  # fmt: skip
    of_both = f"{task.primary} {rounded(score)}, {task.trivial_name} {rounded(trivial)}"
    said = f"{of_both}, on {len(candidate.tracks)} {which}"
    if (score < trivial) if task.maximise else (score > trivial):
        return Promotion(False, f"it is worse than what needs no model: {said}", figures)
    if champion is None:
        return Promotion(True, f"the first one: {said}", figures)
    old = f"the champion, version {champion.version}"
    try:
        theirs = predict_as_champion(champion, candidate.manifest, candidate.tracks, task, candidate.classes, device)
    except IncomparableError as problem:
        return Promotion(False, f"it cannot be compared with {old}: {problem}", figures)
    shared = candidate.on(theirs.tracks)
    found = compare_predictions(task, shared.target, shared.groups, shared.predictions, theirs.predictions)
    if found is None:
        return Promotion(False, f"it cannot be compared with {old}: the {len(shared.tracks)} tracks that neither "
                                "learned from are of one group", figures)  # fmt: skip
    d = found.difference
    figures |= {"champion": float(champion.version), "difference": d.value, "low": d.low, "high": d.high, "p": found.p,
                "compared_tracks": float(found.tracks)}  # fmt: skip
    by = (f"by {gain_with_interval(found)} in {task.primary}, p {format_p_value(found.p)}, on {found.tracks} tracks of "
          f"{found.groups} that neither learned from{f' ({theirs.unusable})' * bool(theirs.unusable)}")  # fmt: skip
    if found.p < SIGNIFICANCE_LEVEL and found.gain > 0:
        return Promotion(True, f"it is better than {old}, {by}", figures)
    if found.gain < 0:
        return Promotion(False, f"it is {'worse' if found.p < SIGNIFICANCE_LEVEL else 'no better'} than {old}: {by}",
                         figures)  # fmt: skip
    return Promotion(False, f"it is not shown to be better than {old}: {by}", figures)


def undo_promotion(text: str = "") -> str:
    """Make the champion before the present one the champion again; what was done, in a sentence. May be repeated.

    Parameters
    ----------
    text
        A data set, or the name of one of its sweeps or trainings in MLflow; "": that of the model promoted last.

    Raises
    ------
    TrackingError
        If there is none before it, or no such data set or run.
    """
    dataset = prepared_name(text) or text or retry(last_promoted).removeprefix(names.model_name(""))
    if text and retry(registered, dataset, names.CHAMPION) is None:
        if prepared_name(text) or retry(registered, dataset, names.CANDIDATE) is not None:
            raise TrackingError(f"the data set {dataset} has no champion yet, so that there is none before it: "
                                f"{command('select', 'SWEEP', '--promote')} makes one")  # fmt: skip
        dataset = retry(find_runs, text, seconds=60.0)[0].experiment
    left, now = retry(roll_back, dataset)
    name = names.model_name(dataset)
    uris = [f"models:/{name}/{version}" for version in (left, now)]
    told = best_effort("the catalogues of the version that was left", told_left_behind, *uris, champion_uri(dataset))
    return f"{name}: version {now} is the champion again, version {left} no longer{told or ''}"


def rounded(value: float) -> str:
    """A figure to three decimals, a small one (an error, as a rule) to five."""
    return f"{value:.3f}" if value == 0 or abs(value) >= SMALL else f"{value:.5f}"


def format_with_interval(value: Interval) -> str:
    """An estimate with the ends of its interval."""
    return f"{rounded(value.value)} [{rounded(value.low)}, {rounded(value.high)}]"
