"""One trial in its folder: whatever is finished is on disk, and what is on disk is not done again.

::

    config.json            the resolved TrialConfig
    history.json           the metrics of every epoch that is finished
    state.pt               the same and all that is needed to go on behind it (read with weights_only)
    bundle/                the best epoch's model
    validation.parquet     the best epoch's predictions, a row a track
    ended.json             why it ended: "completed", "stopped" (by the scheduler) or "failed", with the error
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from tonearm.core import storage
from tonearm.core.errors import TrainingError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.training.batches import Batches
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.fit import fit

Ending = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True)
class TrackPredictions:
    """Predictions of a split: ids, groups, true class indices (tracks,), probabilities (tracks, classes)."""

    track_ids: list[str]
    groups: list[str]
    target: np.ndarray
    probabilities: FloatArray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TrialFolder:
    """Reading and writing of a trial's folder at any URI."""

    uri: str

    def history(self) -> list[dict[str, Any]]:
        """The metrics of the finished epochs, first to last."""
        path = storage.join(self.uri, "history.json")
        return list(storage.read_json(path)) if storage.exists(path) else []

    def ended(self) -> dict[str, Any] | None:
        """How the trial ended, or None while it has not."""
        path = storage.join(self.uri, "ended.json")
        return dict(storage.read_json(path)) if storage.exists(path) else None

    def end(self, how: Ending, error: str = "") -> None:
        """Mark the trial as ended; the first mark stays."""
        if self.ended() is None:
            storage.write_json(storage.join(self.uri, "ended.json"), {"how": how, "error": error})

    def config(self) -> TrialConfig:
        """The trial's config."""
        return TrialConfig.from_dict(storage.read_json(storage.join(self.uri, "config.json")))

    def state(self) -> dict[str, Any] | None:
        """All that is needed to go on, with the history so far, or None before the first epoch is finished.

        Raises
        ------
        TrainingError
            If the file is damaged.
        """
        path = storage.join(self.uri, "state.pt")
        if not storage.exists(path):
            return None
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(storage.read_bytes(path)), weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{path} is damaged ({error}): delete it, then the trial begins anew") from None
        return state

    def save(self, state: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Record a finished epoch. State and history are one file, so that a kill cannot part them."""
        buffer = io.BytesIO()
        torch.save({**state, "history": history}, buffer)
        storage.write_bytes(storage.join(self.uri, "state.pt"), buffer.getvalue())
        storage.write_json(storage.join(self.uri, "history.json"), history)  # the same, for people and plots

    @property
    def bundle_uri(self) -> str:
        return storage.join(self.uri, "bundle")

    def validation(self) -> TrackPredictions:
        """The best epoch's predictions on the validation split."""
        return read_predictions(storage.join(self.uri, "validation.parquet"))


def run_trial(config: TrialConfig, batches: Batches, folder: TrialFolder) -> Iterator[dict[str, Any]]:
    """Run a trial, or what is left of it: recorded epochs are given back as they were, then training goes on.

    Yields
    ------
    The metrics of each epoch, with ``epoch``, ``best`` (the best primary metric so far), ``improved`` (whether
    this epoch's model is the one to keep) and ``replayed``.
    Everything is on disk before an epoch is yielded.
    """
    ended = folder.ended()
    state = None if ended else folder.state()
    history = folder.history() if ended else (state or {}).pop("history", [])
    for past in history:
        yield {**past, "replayed": True}
    if ended:
        return
    storage.write_json(storage.join(folder.uri, "config.json"), config.to_dict())
    torch.manual_seed(derive_seed("weights", config.seed, config.signature()))
    model = build_network(config, len(batches.classes))
    best = history[-1]["best"] if history else None
    for report in fit(model, config.task, batches, config.optim, config.seed, state):
        if report.improved:
            best = report.metrics[f"validation_{config.task.primary}"]
            scores = {k: v for k, v in report.metrics.items() if k.startswith("validation_")}
            kept = {**scores, "epoch": report.epoch}
            save_bundle(folder.bundle_uri, Bundle(config, batches.classes, kept, model, batches.scaling))
            write_predictions(storage.join(folder.uri, "validation.parquet"), batches, report.predictions)
        metrics = {
            "epoch": report.epoch,
            **report.metrics,
            "best": best,
            "improved": report.improved,
            "replayed": False,
        }
        history = [*history, metrics]
        folder.save(report.state, history)
        yield metrics
    folder.end("completed")


def write_predictions(uri: str, batches: Batches, probabilities: FloatArray) -> None:
    """Write the validation predictions as Parquet: a row a track, a column a class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tracks = batches.tracks("validation")
    columns: dict[str, Sequence[Any]] = {
        "track_id": [t.track_id for t in tracks],
        "group": [t.group for t in tracks],
        "label": [t.label for t in tracks],
        "predicted": [batches.classes[i] for i in probabilities.argmax(axis=1)],
        **{f"p:{c}": probabilities[:, i].tolist() for i, c in enumerate(batches.classes)},
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    storage.write_bytes(uri, buffer.getvalue())


def read_predictions(uri: str) -> TrackPredictions:
    """The inverse of :func:`write_predictions`."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(storage.read_bytes(uri)))
    classes = tuple(n.removeprefix("p:") for n in table.column_names if n.startswith("p:"))
    index = {c: i for i, c in enumerate(classes)}
    return TrackPredictions(
        table["track_id"].to_pylist(),
        table["group"].to_pylist(),
        np.array([index[label] for label in table["label"].to_pylist()], dtype=np.int64),
        np.stack([table[f"p:{c}"].to_numpy() for c in classes], axis=1).astype(np.float32),
        classes,
    )
