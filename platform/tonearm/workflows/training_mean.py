"""The mean of a recipe's stages as a run of its own, so that it can be compared with any other."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.datasets.manifest import Split
from tonearm.ensembles.combine import Mixture, fit_mixture
from tonearm.sweeps.means import log_mean, mean_name
from tonearm.tracking.retry import retry
from tonearm.training.config import MeanConfig, Member
from tonearm.training.predictions import TrackPredictions
from tonearm.workflows.training_runs import FoldRun, Outcome


def mixture_of(run: FoldRun, weighted: bool) -> Mixture:
    """How the results of one seed and fold answer together: in equal parts, or as validation says."""
    validation = [done.validation for done in run.results]
    if not weighted:
        return Mixture((1.0,) * len(validation), (1 / len(validation),) * len(validation))
    _require_same_tracks(validation, "validation")
    return fit_mixture(run.results[0].task, [v.probabilities for v in validation], validation[0].target)


def mean_of(run: FoldRun, split: Split, mixture: Mixture) -> TrackPredictions:
    """What the results of one seed and fold predict together.

    Raises
    ------
    JobError
        If they are of different tracks.
    """
    each = [d.test if split == "test" else d.validation for d in run.results]
    _require_same_tracks(each, split)
    mean = mixture.predict(run.results[0].task, [e.probabilities for e in each])
    return TrackPredictions(each[0].track_ids, each[0].groups, each[0].target, mean, each[0].classes)


def _require_same_tracks(each: Sequence[TrackPredictions], split: Split) -> None:
    if any(e.track_ids != each[0].track_ids for e in each):
        raise JobError(f"the stages' {split} tracks differ, so their answers cannot be averaged")


def log_means(outcome: Outcome, weighted: bool = False) -> None:
    """Write the mean's predictions of every seed and fold, and log them below the training."""
    for run in outcome.runs:
        retry(_log_mean, run, outcome.parent.run_id, weighted)


def _log_mean(run: FoldRun, parent: str, weighted: bool) -> None:
    first = run.results[0]
    members = tuple(Member(name=d.name, trial=d.config.signature(), bundle=d.folder.uri) for d in run.results)
    config = MeanConfig(
        dataset=first.config.dataset, members=members, task=first.task, seed=run.seed, weighted=weighted
    )
    folder = storage.join(home.trials_home(), "single", f"mean-{config.signature()}")
    name = f"{mean_name(config)} seed {run.seed}" + (f" fold {run.fold}" if run.fold else "")
    splits: tuple[Split, ...] = ("validation", "test")
    mixture = mixture_of(run, weighted)
    log_mean(name, config, {split: mean_of(run, split, mixture) for split in splits}, folder, parent)
