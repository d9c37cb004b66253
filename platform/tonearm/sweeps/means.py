"""The mean of what several trials predict as a run of its own, so that it can be compared with any other."""

from __future__ import annotations

from collections.abc import Mapping

from tonearm.core import storage
from tonearm.datasets.manifest import Split
from tonearm.models import count_parameters
from tonearm.sweeps.results import ENDING, log_config, run_tags
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, status_of
from tonearm.tracking.retry import is_unavailable, retry_best_effort
from tonearm.training.bundle import DESCRIPTION, load_bundle
from tonearm.training.config import EnsembleConfig, MeanConfig
from tonearm.training.predictions import TrackPredictions, write_predictions
from tonearm.training.trial import TrialFolder


def mean_name(config: MeanConfig) -> str:
    """What a mean is of, which its run is called by: ``mean of time, freq``, ``ensemble of 00, 03 x2``."""
    if not isinstance(config, EnsembleConfig):
        return f"{'weighted ' if config.weighted else ''}mean of {', '.join(m.name for m in config.members)}"
    each = [m.name + (f" x{w:g}" if w != 1 else "") for m, w in zip(config.members, config.weights, strict=True)]
    by = "" if config.combination == "mean" else f" by {config.combination}"
    return f"ensemble of {', '.join(each)}{by}"


def log_mean(name: str, config: MeanConfig, found: Mapping[Split, TrackPredictions], folder: str, parent: str) -> None:
    """Write a mean's predictions, and log them with its scores and its members' parameters. May be repeated.

    Parameters
    ----------
    name
        Of the run.
    found
        The mean's predictions; those of validation are needed.
    folder, parent
        URI for the predictions' files, and the run that the new one is nested in.
    """
    own = {names.ENSEMBLE: folder.rstrip("/").rpartition("/")[2]} if isinstance(config, EnsembleConfig) else {}
    by = "tonearm select" if isinstance(config, EnsembleConfig) else "tonearm train"
    tags = {**run_tags(config, folder), **own, names.SOURCE: by, names.NOTE: f"What {name} predict together."}
    writer = RunWriter.open(config.dataset.name, name, parent, config.flatten(), tags)
    written = all(storage.exists(_uri(folder, split)) for split in found)
    if written and writer.status() == "FINISHED" and writer.tags().get(ENDING) == "completed":
        return
    try:
        log_config(writer, config, {split: len(predictions.track_ids) for split, predictions in found.items()})
        _log(writer, config, found, folder)
        writer.tag(ENDING, "completed")
        writer.end()
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        if not is_unavailable(error):  # the caller waits for a server that is, and repeats
            retry_best_effort(writer.end, status_of(error))
        raise


def _log(writer: RunWriter, config: MeanConfig, found: Mapping[Split, TrackPredictions], folder: str) -> None:
    task = config.task
    for split, predictions in found.items():
        uri = _uri(folder, split)
        write_predictions(uri, task, predictions)
        writer.file(uri, "predictions")
        scores = task.metrics(predictions.probabilities, predictions.target, predictions.groups)
        if split == "validation":
            validation = {f"validation_{k}": v for k, v in scores.items()}
            writer.metrics({**validation, f"best_{task.primary}": scores[task.primary], "seconds": 0.0})
        else:
            writer.metrics({f"{names.HELD_OUT}{k}": v for k, v in scores.items()})
    parameters = _parameters(config)
    if parameters is not None:
        writer.tag(names.PARAMETERS, str(parameters))


def _uri(folder: str, split: Split) -> str:
    return storage.join(folder, f"{split}.parquet")


def _parameters(config: MeanConfig) -> int | None:
    """Of all members together; None if one is no network."""
    bundles = [TrialFolder(member.bundle).bundle_uri for member in config.members]
    if not all(storage.exists(storage.join(bundle, DESCRIPTION)) for bundle in bundles):
        return None
    return sum(count_parameters(load_bundle(bundle).network) for bundle in bundles)
