"""Finished runs in MLflow without any training: predictions of known truth."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.builders import CLASSES
from tonearm.comparison.candidates import Candidate, flat_fields
from tonearm.comparison.contrast import Side
from tonearm.comparison.predictions import Predictions
from tonearm.core.types import FloatArray
from tonearm.features import Mel
from tonearm.models.simple import SimpleConfig
from tonearm.sweeps.results import ENDING, ERROR, AnyConfig
from tonearm.tasks import SingleLabel
from tonearm.tracking import names
from tonearm.tracking.log import LogEntry, RunWriter
from tonearm.training.config import DatasetRef, TrialConfig
from tonearm.training.predictions import TrackPredictions, write_predictions

BASE = TrialConfig(
    dataset=DatasetRef(name="toy", label="sound", data_signature="d0"), feature=Mel(), model=SimpleConfig(),
    task=SingleLabel(),
)  # fmt: skip


def with_changes(changes: Mapping[str, Any]) -> TrialConfig:
    return BASE.replace(changes)


@dataclass(frozen=True)
class Tracks:
    """Test tracks of three classes, an artist after the other, and what makes some of them hard."""

    groups: tuple[str, ...]
    target: np.ndarray
    hardness: np.ndarray

    @property
    def ids(self) -> list[str]:
        return [f"track{i:04d}" for i in range(len(self.groups))]

    def right(self, share: float | np.ndarray, seed: int = 0, noise: float = 0.3) -> np.ndarray:
        """Which tracks a system of about that share of right answers has right: mostly the easy ones."""
        rng = np.random.default_rng(seed)
        drawn = np.where(rng.uniform(size=len(self.groups)) < noise, rng.uniform(size=len(self.groups)), self.hardness)
        return np.asarray(drawn < share)

    def predictions(self, right: np.ndarray, seed: int = 0, sure: float = 0.7) -> FloatArray:
        """Probabilities (tracks, 3) that answer so."""
        rng = np.random.default_rng(seed)
        answer = np.where(right, self.target, (self.target + rng.integers(1, 3, len(self.target))) % 3)
        p = np.full((len(self.target), 3), (1 - sure) / 2)
        p[np.arange(len(p)), answer] = sure
        return p.astype(np.float32)


def tracks(artists: int = 60, each: int = 3, seed: int = 0, alike: bool = False) -> Tracks:
    """So many artists of so many tracks; if they are alike, an artist's tracks are equally hard and of one class."""
    rng = np.random.default_rng(seed)
    count = artists * each
    hardness = np.repeat(rng.uniform(size=artists), each) if alike else rng.uniform(size=count)
    target = np.repeat(np.arange(artists) % 3, each) if alike else np.arange(count) % 3
    return Tracks(tuple(f"artist:{i // each:03d}" for i in range(count)), target.astype(np.int64), hardness)


def log_sweep(name: str, experiment: str = "toy", tags: Mapping[str, str] | None = None) -> RunWriter:
    return RunWriter.open(experiment, name, tags=dict(tags or {}))


def log_trial(
    parent: RunWriter | None, name: str, config: AnyConfig, predictions: FloatArray | None,
    of: Tracks, best: float = 0.5, ending: str = "completed", error: str = "", epochs: int = 3,
    classes: Sequence[str] = CLASSES, target: np.ndarray | None = None, keep: Sequence[int] | None = None,
    metrics: Mapping[str, float] | None = None, more: Mapping[str, str] | None = None,
) -> RunWriter:  # fmt: skip
    """A run as jobs.sweep and jobs.train leave it.

    Parameters
    ----------
    predictions
        Of the tracks; the same are kept as validation predictions. None: the run kept none.
    keep
        The tracks that were tested; default all.
    more
        Tags besides.
    """
    task, fold = config.task, config.dataset.fold
    tags = {names.CONFIG: config.signature(), names.SEED: str(config.seed), names.FOLD: fold,
            names.DATA: config.dataset.data_signature, names.PARAMETERS: "12000", **(more or {})}  # fmt: skip
    # Opened by its name: what has the tags already is another run, as in databases where a trial was run twice.
    run = RunWriter.open("toy", name, parent.run_id if parent else None, config.flatten())
    run.log([LogEntry(tags=tags)])
    run.text("config.json", json.dumps(config.to_dict()))
    for epoch in range(1, epochs + 1):
        run.metrics({f"validation_{task.primary}": best * epoch / epochs, "train_loss": 1 / epoch}, epoch)
    if epochs:
        run.metrics({f"best_{task.primary}": best, "seconds": 20.0, **(metrics or {})})
    if predictions is not None:
        rows = np.arange(len(of.groups)) if keep is None else np.asarray(keep)
        truth = of.target if target is None else target
        found = TrackPredictions([of.ids[i] for i in rows], [of.groups[i] for i in rows], truth[rows],
                                 predictions[rows], tuple(classes))  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            for split in ("validation", *(["test"] if ending == "completed" else [])):
                uri = str(Path(folder) / f"{split}.parquet")
                write_predictions(uri, task, found)
                run.file(uri, "predictions")
    if error:
        run.tag(ERROR, error)
    run.tag(ENDING, ending)
    run.end("FAILED" if ending == "failed" else "FINISHED")
    return run


def log_grid(
    parent: RunWriter, of: Tracks, configs: Sequence[TrialConfig], right: Callable[[TrialConfig], np.ndarray],
    seeds: int = 1,
) -> None:  # fmt: skip
    """A trial for each config and seed, right where told."""
    for i, config in enumerate(configs):
        for seed in range(seeds):
            own = config.replace({"seed": seed})
            hits = right(own)
            log_trial(parent, f"{i:02d}-{own.signature()}", own, of.predictions(hits, seed), of, float(hits.mean()))


def answers(
    of: Tracks, hits: Sequence[np.ndarray], label: str = "A", changes: Mapping[str, Any] | None = None,
    groups: Sequence[str] | None = None,
) -> Predictions:  # fmt: skip
    """What a candidate answers, right where told by each seed; no run stands behind it."""
    config = with_changes(changes or {})
    candidate = Candidate(label, flat_fields(config), ())
    seeds = tuple((of.predictions(right, i), of.target) for i, right in enumerate(hits))
    return Predictions(candidate, label, config.task, CLASSES, tuple(of.ids), tuple(groups or of.groups), seeds)


def side(of: Tracks, *hits: np.ndarray, label: str = "A", groups: Sequence[str] | None = None) -> Side:
    return Side(label, (answers(of, hits, label, groups=groups),))
