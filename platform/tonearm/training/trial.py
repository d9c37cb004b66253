"""One trial in its folder: whatever is finished is on disk, and what is on disk is not done again.

::

    config.json            the resolved TrialConfig
    history.json           the metrics of every epoch that is finished
    times.json             when these were finished, in seconds since 1970
    state.pt               the history and all that is needed to go on behind it (read with weights_only)
    bundle/                the best epoch's model
    validation.parquet     the best epoch's predictions, a row a track
    test.parquet           the same on the test split, if requested
    test_windows.json      figures of the test split's single windows, where the task has such
    ended.json             that it was completed
    training.json          who trains it now, or did last
    code.json              the digests of the code that trained it, in their order
    trained_by.json        commit, machine and environment of the process that trained it last
"""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tonearm.core import storage
from tonearm.core.errors import TrainingError
from tonearm.core.lock import DriverLock, running_driver
from tonearm.core.plugins import modules_of
from tonearm.core.seeding import derive_seed
from tonearm.datasets.manifest import Split
from tonearm.models.base import Network
from tonearm.training.batches import Examples
from tonearm.training.bundle import DESCRIPTION, WEIGHTS, Bundle, build_network, load_bundle, save_bundle
from tonearm.training.closed_form import landmark_ids
from tonearm.training.config import Member, TrialConfig
from tonearm.training.fit import fit
from tonearm.training.load_members import load_members
from tonearm.training.logits import window_logits, windows_at_once
from tonearm.training.predictions import TrackPredictions, read_predictions, track_predictions, write_predictions
from tonearm.training.trained_code import code_of

HISTORY, TIMES, ENDED = "history.json", "times.json", "ended.json"
WINDOW_METRICS = "test_windows.json"
LOCK, CODE_FILE, UNKNOWN = "training.json", "code.json", "unknown"


@dataclass(frozen=True)
class TrialFolder:
    """Reading and writing of a trial's folder at any URI."""

    uri: str

    def history(self) -> list[dict[str, Any]]:
        """The metrics of the finished epochs, first to last."""
        path = storage.join(self.uri, HISTORY)
        return list(storage.read_json(path)) if storage.exists(path) else []

    def ended(self) -> dict[str, Any] | None:
        """How the trial ended, or None while it has not.

        Only earlier versions said ``stopped`` here: of a trial that one sweep stops, others may want more.
        """
        path = storage.join(self.uri, ENDED)
        return dict(storage.read_json(path)) if storage.exists(path) else None

    def is_completed(self, tested: bool = False) -> bool:
        """Whether the trial was trained to its end; with ``tested`` also whether its test predictions are there."""
        completed = (self.ended() or {}).get("how") == "completed"
        return completed and (not tested or storage.exists(self.predictions_uri("test")))

    def complete(self) -> None:
        """Mark the trial as trained to its end."""
        storage.write_json(storage.join(self.uri, ENDED), {"how": "completed"})

    def lock(self) -> DriverLock:
        """Held while it is trained: who comes meanwhile waits, and then goes on from there."""
        return DriverLock(self.uri, "trial", LOCK, wait=True)

    def trainer(self) -> dict[str, Any] | None:
        """Who trains it now, as :func:`tonearm.core.lock.running_driver` says."""
        return running_driver(self.uri, LOCK)

    def code(self) -> list[str]:
        """Digests of the code that trained it, one after the other; earlier versions did not write that down."""
        path = storage.join(self.uri, CODE_FILE)
        return list(storage.read_json(path)) if storage.exists(path) else []

    def note_code(self, now: str, begun: bool) -> None:
        """Write down the code that trains it now; if it has begun, after that which did."""
        before = self.code() or [UNKNOWN] if begun else []
        if before[-1:] != [now]:
            storage.write_json(storage.join(self.uri, CODE_FILE), [*before, now])

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
            state: dict[str, Any] = torch.load(io.BytesIO(storage.read_bytes(path)), "cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{path} is damaged ({error}): delete it, then the trial begins anew") from None
        return state

    def continue_from(self, start: Member) -> None:
        """Take over what another trial has reached, and which code trained that, unless it was done before; its state
        comes last.

        Raises
        ------
        TrainingError
            If the folder holds another trial, or it has finished no epoch.
        """
        source, state = TrialFolder(start.bundle), storage.join(self.uri, "state.pt")
        if storage.exists(state):
            return
        if not storage.exists(storage.join(source.uri, "state.pt")):
            raise TrainingError(f"trial {start.trial}, which this one goes on from, has no state in {start.bundle}")
        if source.config().signature() != start.trial:
            raise TrainingError(f"{start.bundle} holds trial {source.config().signature()}, not {start.trial}")
        if source.code():
            storage.write_json(storage.join(self.uri, CODE_FILE), source.code())
        for file in (f"bundle/{WEIGHTS}", f"bundle/{DESCRIPTION}", "validation.parquet", "state.pt"):
            storage.write_bytes(storage.join(self.uri, file), storage.read_bytes(storage.join(source.uri, file)))

    def save(self, state: dict[str, Any], history: list[dict[str, Any]]) -> None:
        """Record a finished epoch. All that is known of it is one file, so that a kill cannot part what belongs
        together: model, predictions and the history for people are made from it, again where a kill came between."""
        buffer = io.BytesIO()
        torch.save({**state, "history": history}, buffer)
        storage.write_bytes(storage.join(self.uri, "state.pt"), buffer.getvalue())

    def keep(self, config: TrialConfig, batches: Examples, model: Network, kept: dict[str, Any]) -> None:
        """Write the best epoch's predictions and model: its description last, which says that all is there. Until then
        there is none, so that nobody takes what is of two epochs for one."""
        storage.remove(storage.join(self.bundle_uri, DESCRIPTION))
        found = track_predictions(config.task, batches, "validation", kept["predictions"].numpy())
        write_predictions(self.predictions_uri("validation"), config.task, found)
        ids = landmark_ids(model, batches, config.seed)
        save_bundle(self.bundle_uri, Bundle(config, batches.classes, kept["metrics"], model, batches.fitted, ids))

    def kept_epoch(self) -> int | None:
        """The epoch whose model and predictions lie here; None before there are any."""
        path = storage.join(self.bundle_uri, DESCRIPTION)
        return int(storage.read_json(path)["metrics"]["epoch"]) if storage.exists(path) else None

    def publish(self, history: list[dict[str, Any]]) -> None:
        """Write the history for people and plots, and the time of its last epoch, the first time that it is there."""
        storage.write_json(storage.join(self.uri, HISTORY), history)
        times = {str(epoch): seconds for epoch, seconds in self.times().items()}
        if history and str(history[-1]["epoch"]) not in times:
            storage.write_json(storage.join(self.uri, TIMES), {**times, str(history[-1]["epoch"]): time.time()})

    def times(self) -> dict[int, float]:
        """When each epoch was finished, in seconds since 1970; earlier versions did not write that down."""
        path = storage.join(self.uri, TIMES)
        kept: dict[str, float] = storage.read_json(path) if storage.exists(path) else {}
        return {int(epoch): seconds for epoch, seconds in kept.items()}

    @property
    def bundle_uri(self) -> str:
        return storage.join(self.uri, "bundle")

    def predictions_uri(self, split: Split) -> str:
        """Where the predictions on a split lie."""
        return storage.join(self.uri, f"{split}.parquet")

    def predictions(self, split: Split) -> TrackPredictions:
        """The kept model's predictions on a split."""
        return read_predictions(self.predictions_uri(split))

    def window_metrics(self) -> dict[str, float]:
        """Figures of the test split's single windows; empty where there are none."""
        path = storage.join(self.uri, WINDOW_METRICS)
        return dict(storage.read_json(path)) if storage.exists(path) else {}

    def validation(self) -> TrackPredictions:
        """The best epoch's predictions on the validation split."""
        return self.predictions("validation")


Begin = Callable[[Sequence[dict[str, Any]]], object]


def run_trial(
    config: TrialConfig, batches: Examples, folder: TrialFolder, device: str = "cpu", test: bool = False,
    begin: Begin | None = None,
) -> Generator[dict[str, Any]]:  # fmt: skip
    """Run a trial, or what is left of it: recorded epochs are given back as they were, then training goes on.

    While another process trains it, this one waits; then it takes what is there.

    Parameters
    ----------
    test
        Whether the kept model's predictions on the test split belong to a completed trial.
    begin
        Called with the metrics of the epochs that are recorded when training is to go on: nobody else trains it then.

    Yields
    ------
    The metrics of each epoch, with ``epoch``, ``best`` (the best primary metric so far), ``improved`` (whether
    this epoch's model is the one to keep) and ``replayed``.
    Everything is on disk before an epoch is yielded.

    Raises
    ------
    ConfigError
        If the config has a class of a script or notebook, which nobody else could import.
    """
    modules_of(config)  # a model that no other process could load is refused before it is trained
    if not folder.is_completed():
        with folder.lock() as lock:
            if not folder.is_completed():  # by whom it waited for
                yield from _train(config, batches, folder, device, test, begin, lock)
                return
    for past in folder.history():
        yield {**past, "replayed": True}
    if test and not folder.is_completed(tested=True):  # killed before that, or trained by an earlier version
        with folder.lock() as lock:
            score_test(config, batches, folder, device, lock)


def _train(
    config: TrialConfig, batches: Examples, folder: TrialFolder, device: str, test: bool, begin: Begin | None,
    lock: DriverLock,
) -> Generator[dict[str, Any]]:  # fmt: skip
    if config.start:
        folder.continue_from(config.start)
    state = folder.state()
    history = (state or {}).pop("history", [])
    kept: dict[str, Any] = (state or {}).pop("kept", {})
    if begin:
        begin(history)
    for past in history:
        yield {**past, "replayed": True}
    storage.write_json(storage.join(folder.uri, "config.json"), config.to_dict())
    folder.note_code(code_of(config), bool(history))
    # Not by the config's signature: then a field that changes nothing would change the first weights.
    torch.manual_seed(derive_seed("weights", config.seed, config.model.kind))
    model = build_network(config, len(batches.classes))
    load_members(model, config, batches.classes)
    best = history[-1]["best"] if history else None
    if state and kept and folder.kept_epoch() != kept["metrics"]["epoch"]:  # killed before the model was written
        model.load_state_dict(state["best_weights"])
        folder.keep(config, batches, model, kept)
    if history:  # a kill may have come between it and the state
        folder.publish(history)
    for report in fit(model, config.task, batches, config.optim, config.seed, state, device):
        if report.improved:
            best = report.metrics[f"validation_{config.task.primary}"]
            scores = {k: v for k, v in report.metrics.items() if k.startswith("validation_")}
            kept = {"metrics": {**scores, "epoch": report.epoch}, "predictions": torch.from_numpy(report.predictions)}
        metrics = {"epoch": report.epoch, **report.metrics, "best": best, "improved": report.improved}
        metrics["replayed"] = False
        history = [*history, metrics]
        lock.require()
        folder.save({**report.state, "kept": kept}, history)
        if report.improved:
            folder.keep(config, batches, model, kept)
        folder.publish(history)
        yield metrics
    if test:
        score_test(config, batches, folder, device, lock)
    lock.require()
    folder.complete()


def score_test(
    config: TrialConfig, batches: Examples, folder: TrialFolder, device: str = "cpu", lock: DriverLock | None = None
) -> TrackPredictions:
    """The kept model's predictions on the test split, made once and kept beside the bundle, while ``lock`` is held."""
    uri = folder.predictions_uri("test")
    if not storage.exists(uri):
        task, network = config.task, load_bundle(folder.bundle_uri).network.to(device)
        at_once = windows_at_once(config.optim, device)
        parts = list(window_logits(network, batches, "test", device, at_once))
        by_window = task.window_metrics([track for part in parts for track in part], batches.targets("test"))
        if lock:
            lock.require()
        storage.write_json(storage.join(folder.uri, WINDOW_METRICS), by_window)
        predictions = np.concatenate([task.pool(logits) for logits in parts])
        write_predictions(uri, task, track_predictions(task, batches, "test", predictions))
    return read_predictions(uri)
