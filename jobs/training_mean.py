"""The mean of a recipe's stages as a run of its own, so that it can be compared with any other."""

from __future__ import annotations

from jobs.training_run import Outcome, Run
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.datasets.manifest import Split
from tonearm.ensembles.combine import weighted_mean
from tonearm.sweeps.results import ENDING, log_config, run_tags
from tonearm.tracking.log import RunWriter
from tonearm.tracking.patience import patiently
from tonearm.training.config import MeanConfig, Member
from tonearm.training.predictions import TrackPredictions, write_predictions


def mean_of(run: Run, split: Split) -> TrackPredictions:
    """What the results of one seed and fold predict together.

    Raises
    ------
    JobError
        If they are of different tracks.
    """
    each = [d.test if split == "test" else d.validation for d in run.results]
    if any(e.track_ids != each[0].track_ids for e in each):
        raise JobError(f"the stages' {split} tracks differ, so their answers cannot be averaged")
    mean = weighted_mean([e.probabilities for e in each], [1.0] * len(each))
    return TrackPredictions(each[0].track_ids, each[0].groups, each[0].target, mean, each[0].classes)


def log_means(outcome: Outcome) -> None:
    """Write the mean's predictions of every seed and fold, and log them below the training."""
    for run in outcome.runs:
        patiently(_log_mean, run, outcome.parent.run_id)


def _log_mean(run: Run, parent: str) -> None:
    first, task = run.results[0], run.results[0].task
    members = tuple(Member(name=d.name, trial=d.config.signature(), bundle=d.folder.uri) for d in run.results)
    config = MeanConfig(dataset=first.config.dataset, members=members, task=task, seed=run.seed)
    name = f"mean-{config.signature()}"
    folder = storage.join(home.trials_home(), "single", name)
    writer = RunWriter.open(config.dataset.name, name, parent, config.flatten(), run_tags(config, folder))
    log_config(writer, config)
    splits: tuple[Split, ...] = ("validation", "test")
    for split in splits:
        found, uri = mean_of(run, split), storage.join(folder, f"{split}.parquet")
        write_predictions(uri, task, found)
        writer.file(uri, "predictions")
        scores = task.metrics(found.probabilities, found.target, found.groups)
        if split == "validation":
            writer.metrics({f"best_{task.primary}": scores[task.primary], "seconds": 0.0})
        else:
            writer.metrics({f"test_{k}": v for k, v in scores.items()})
    writer.tag(ENDING, "completed")
    writer.end()
