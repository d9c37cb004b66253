"""What a home holds: data sets, sweeps, trainings, models, catalogues, read without changing anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import DatasetError, TonearmError
from tonearm.core.lock import running_driver
from tonearm.datasets.manifest import summarise_manifest
from tonearm.tracking import names
from tonearm.tracking.overview import Overview, RunGlance, overview
from tonearm.workflows.home_catalogues import ListedCatalogue, list_catalogues

TRIAL = re.compile(r"\d{2,}-[0-9a-f]+")  # names of trials' folders in their sweep's, as earlier versions have them
PREDETERMINED = ("grid", "random")  # searches that propose all their trials before the first one runs


@dataclass(frozen=True)
class ListedDataset:
    """A prepared data set; ``made`` is seconds since 1970, None at a URI."""

    name: str
    label: str
    tracks: int
    classes: int
    made: float | None


@dataclass(frozen=True)
class ListedSweep:
    """A sweep that was begun.

    Attributes
    ----------
    state
        ``running``, ``finished``, or ``stopped``: the same command goes on.
    ended, trials
        How many trials have ended, and how many there are to be.
    best
        The best validation score of its ``metric`` so far; None before the first epoch.
    started
        Seconds since 1970; None if MLflow has no run of it.
    """

    name: str
    dataset: str
    state: str
    ended: int
    trials: int
    metric: str
    best: float | None
    started: float | None


@dataclass(frozen=True)
class ListedTraining:
    """A training of a recipe; ``state`` is MLflow's status in small letters, ``test`` the score of its ``metric``."""

    name: str
    recipe: str
    dataset: str
    state: str
    metric: str
    test: float | None
    started: float


@dataclass(frozen=True)
class ListedModel:
    """A version of a registered model, with its scores of ``metric`` on validation and test."""

    name: str
    version: int
    aliases: tuple[str, ...]
    metric: str
    validation: float | None
    test: float | None
    made: float


@dataclass(frozen=True)
class Listing:
    """All of a home; sweeps, trainings and versions begin with the latest. ``problems`` names what cannot be read."""

    home: str
    datasets: list[ListedDataset]
    sweeps: list[ListedSweep]
    trainings: list[ListedTraining]
    models: list[ListedModel]
    catalogues: list[ListedCatalogue]
    problems: list[str]

    @property
    def empty(self) -> bool:
        return not (self.datasets or self.sweeps or self.trainings or self.models or self.catalogues or self.problems)


def list_home() -> Listing:
    """List what the home and its MLflow hold.

    Raises
    ------
    TrackingError
        If MLflow is a server that cannot be reached.
    """
    known, problems = overview(), list[str]()
    datasets = list(_datasets(problems))
    sweeps = list_sweeps(known, problems)
    catalogues = list_catalogues(known.models, problems)
    return Listing(home.home(), datasets, sweeps, list_trainings(known), _models(known), catalogues, problems)


def _datasets(problems: list[str]) -> Iterable[ListedDataset]:
    for name in storage.list_folders(home.data_root()):
        uri = storage.join(home.data_home(name), "manifest.parquet")
        if storage.exists(uri):
            try:
                found = summarise_manifest(uri)
            except DatasetError as error:
                problems.append(str(error))
                continue
            yield ListedDataset(found.name, found.label, found.tracks, found.classes, storage.modified(uri))


#: What reading a sweep raises whose files are another version's or another program's.
FOREIGN = (TonearmError, ValueError, KeyError, TypeError, IndexError, AttributeError)


def list_sweeps(known: Overview, problems: list[str]) -> list[ListedSweep]:
    """The sweeps in the home's folders, the last started first; those without a run in MLflow at the end."""
    runs = {r.tags[names.SWEEP]: r for r in reversed(known.runs) if names.SWEEP in r.tags and r.parent is None}
    signatures = [s for s in storage.list_folders(home.trials_home()) if storage.exists(_file(s, "sweep.json"))]
    sweeps = []
    for signature in signatures:
        try:
            sweeps.append(_sweep(signature, runs.get(signature)))
        except FOREIGN as error:
            problems.append(f"sweep {_file(signature)} cannot be read: {error}")
    return sorted(sweeps, key=lambda s: -(s.started or 0.0))


def _file(signature: str, *parts: str) -> str:
    return storage.join(home.trials_home(), signature, *parts)


def _sweep(signature: str, run: RunGlance | None) -> ListedSweep:
    description = storage.read_json(_file(signature, "sweep.json"))
    params = description["params"]
    ledger = _file(signature, "trials.json")
    proposed = storage.read_json(ledger) if storage.exists(ledger) else []
    trials = int(params["trials"]) * int(params["seeds"])
    if proposed and str(params["search"]).lower().startswith(PREDETERMINED):
        trials = len(proposed)  # a grid has as many as it has points
    ended = _ended(signature, proposed)
    state = "running" if running_driver(_file(signature)) else "finished" if 0 < trials <= ended else "stopped"
    metric, best = _best(signature, run if state == "finished" else None)
    dataset = run.experiment if run else str(proposed[0]["config"]["dataset"]["name"]) if proposed else ""
    return ListedSweep(f"{description['name']}-{signature}", dataset, state, ended, trials, metric, best,
                       run.started / 1000 if run else None)  # fmt: skip


def _ended(signature: str, proposed: Sequence[Mapping[str, Any]]) -> int:
    """How many trials of a ledger have ended, wherever they lie; read without torch."""
    kept = _file(signature, "stopped.json")
    stopped = storage.read_json(kept) if storage.exists(kept) else {}
    places = [row["trial"] for i, row in enumerate(proposed) if row.get("trial") and str(i) not in stopped]
    # Of earlier versions: in the sweep's own folder.
    places += [f"{signature}/{f}" for f in storage.list_folders(_file(signature)) if TRIAL.fullmatch(f)]
    done = sum(storage.exists(storage.join(home.trials_home(), p, "ended.json")) for p in dict.fromkeys(places))
    return done + len(stopped)


def _best(signature: str, run: RunGlance | None) -> tuple[str, float | None]:
    """Metric and best validation score of a sweep: from MLflow once it is over, until then from its trials."""
    for key, value in run.scores.items() if run else ():
        if key.startswith("best_"):
            return key.removeprefix("best_"), value
    from tonearm.sweeps.ledger import Ledger  # lazy: torch, which most lists need not wait for
    from tonearm.sweeps.results import best_result, result_in_sweep

    ledger = Ledger(_file(signature))
    results = [result_in_sweep(ledger, p) for p in ledger.proposals]
    if not any(r.best is not None for r in results):
        return "", None
    best = best_result(results)
    return best.config.task.primary, best.best


def list_trainings(known: Overview) -> list[ListedTraining]:
    """The trainings of recipes that MLflow holds, the last started first."""
    below: dict[str, list[RunGlance]] = {}
    for run in known.runs:
        below.setdefault(run.parent or "", []).append(run)
    found = []
    for run in below.get("", []):
        if "recipe" not in run.params:
            continue
        metric = _primary(run, below)
        found.append(ListedTraining(run.name, run.params["recipe"], run.experiment, run.status.lower(), metric,
                                    run.scores.get(f"test_{metric}"), run.started / 1000))  # fmt: skip
    return found


def _primary(run: RunGlance, below: dict[str, list[RunGlance]]) -> str:
    """The metric that a training's last stage was chosen by; "" if it has not come to an end."""
    ahead = [run]
    while ahead:
        at = ahead.pop(0)
        for key in at.scores:
            metric = key.removeprefix("best_")
            if metric != key and f"test_{metric}" in run.scores:
                return metric
        ahead += below.get(at.run_id, [])
    return ""


def _models(known: Overview) -> list[ListedModel]:
    def score(tags: dict[str, str], key: str) -> float | None:
        return float(tags[key]) if key in tags else None

    return [
        ListedModel(m.name, m.version, m.aliases, m.tags.get(names.METRIC, ""), score(m.tags, names.VALIDATION),
                    score(m.tags, names.TEST), m.made / 1000)
        for m in known.models
    ]  # fmt: skip
