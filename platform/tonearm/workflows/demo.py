"""The whole way in seven steps: recordings, features, listening, sweep, choice, recommender, a server's answer."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import DatasetError, JobError
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.datasets.base import Catalogue
from tonearm.datasets.manifest import Manifest, Track
from tonearm.features.frozen import encoders_in
from tonearm.features.store import store_uri
from tonearm.features.weights import require_weights
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.estimate import expected_epoch_fraction
from tonearm.sweeps.find import is_own
from tonearm.tracking.fetch import fetch_model
from tonearm.tracking.names import CHAMPION
from tonearm.tracking.query import champion_uri, registered
from tonearm.tracking.retry import retry
from tonearm.training.recipe import Recipe, recipe_representations
from tonearm.workflows.demo_listen import Listened, fit_recipe, listen
from tonearm.workflows.demo_record import DemoRequest, record_demo
from tonearm.workflows.demo_summary import find_served, summary, summary_values
from tonearm.workflows.prepare import choose_dataset, make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.ray_session import start_ray, stop_ray
from tonearm.workflows.recommend import evaluate_recommender
from tonearm.workflows.select import select
from tonearm.workflows.set_aside import load_failed, too_short
from tonearm.workflows.several_labels import learn_all_labels
from tonearm.workflows.short_recordings import change_space, fitting_settings, space_recipe
from tonearm.workflows.sweep import resize, run_plan
from tonearm.workflows.sweep_plan import plan_sweep

SECONDS_A_TRACK = 0.10  # decoding, spectrograms and summaries, one core; measured on 2 cores with 30 s MP3
SECONDS_A_TRACK_ENCODED = 0.35  # with a frozen encoder
SECONDS_A_WINDOW = 0.0075  # a training step, a 10 s window of 64 bands, one core
FIXED_SECONDS = 90.0  # starting Ray twice, workers and the server; folds, selecting and registering

logger = logging.getLogger(__name__)

Server = Callable[[str], AbstractContextManager[str]]
"""Serves a model, by its URI, while the context lasts; gives the server's URL."""


def run_demo(request: DemoRequest, space: SearchSpace, listened: Recipe, server: Server) -> str:
    """The seven steps. What is finished is kept: a second run goes on, or recomputes nothing.

    Parameters
    ----------
    listened
        What is trained before the sweep, in seconds, and chosen from beside its trials.
    server
        How the champion is served.

    Returns
    -------
    The summary for people.
    """
    space = resize(space, trials=request.trials, epochs=request.epochs)
    space.check()
    steps, cores = Steps(), os.cpu_count() or 1
    logger.info(f"Tonearm demo on {cores} cores; everything is kept in {home.home()}")
    with steps.step("Catalogue: recordings and their labels"):
        data = (choose_dataset("folder", request.audio, {"label": request.label, **request.options}) if request.audio
                else choose_dataset("scores"))  # fmt: skip
        catalogue = make_catalogue(data, request.name)
        space = learn_all_labels(space, catalogue.tracks)
        minutes = estimate_seconds(len(catalogue.tracks), space, listened, cores) / 60
        logger.info(
            f"  {len(catalogue.tracks)} recordings; about {minutes:.0f} minutes from here if nothing is done yet"
        )
    with steps.step("Features: mel spectrograms at every window length of the sweep, and summaries, in one pass"):
        start_ray()
        prepared, space = _prepare(catalogue, space, listened, request)
        logger.info(prepared.describe())
        manifest = prepared.manifest
    heard: Listened | None = None
    with steps.step("Listen: a model of summaries, solved in closed form"):
        recipe = fit_recipe(listened, space)
        if recipe is not None:
            heard = listen(recipe, prepared)
            logger.info(str(heard))
    plan = plan_sweep(request.space, space, {"": manifest})
    with steps.step(f"Sweep: {space.trials} trials on Ray Tune, logged to MLflow"):
        sweep = run_plan(plan)
        logger.info(str(sweep))
    with steps.step("Select: the best on validation, scored once on test"):
        chosen_from = (sweep, heard.training) if heard else (sweep,)
        selection = select(*chosen_from, told=lambda selection: logger.info(str(selection)))
    # What was selected may be worth too little to be promoted; with no champion before it, it is shown all the same.
    champion = champion_uri(manifest.name) if retry(registered, manifest.name, CHAMPION) else selection.model
    served = find_served(selection)
    with steps.step("Recommend: neighbours in the champion's embedding"):
        quality = evaluate_recommender(manifest, champion)
        logger.info(f"{served.line}{quality}")
    with steps.step("Serve: ask the champion over HTTP"), server(champion) as url:
        answer = ask(url, held_out(manifest))
        logger.info(f"{served.line}{answer}")
    stop_ray()
    reports = home.reports_home(manifest.name)
    file = storage.join(reports, "summary.json")
    before = earlier_summary(file)
    seconds = seconds_of_work(steps.seconds, before, selection.sweep)
    written = summary_values(manifest, selection, served, quality, seconds, heard)
    storage.write_json(file, {**written, "answer": answer.to_dict(), "seconds_of_this_run": steps.seconds})
    text = summary(manifest, selection, served, quality, seconds, sum(steps.seconds.values()), heard)
    stores = [store_uri(home.features_home(), f) for f in prepared.features]
    left = [home.data_home(manifest.name), sweep.folder, reports, fetch_model(champion), *stores,
            *(heard.folders if heard else ())]  # fmt: skip
    record_demo(request, text, manifest.name, left, sweep.folder, is_own(request.space, space))
    return text


def _prepare(
    catalogue: Catalogue, space: SearchSpace, listened: Recipe, request: DemoRequest
) -> tuple[PreparedData, SearchSpace]:
    """The data set with all features of the space and of the recipe; of shorter clips if most recordings need them."""

    def prepare(chosen: SearchSpace) -> PreparedData:
        recipe = fit_recipe(listened, chosen)
        features = [*chosen.representations(), *(recipe_representations(recipe.stages) if recipe else ())]
        require_weights(features)
        return prepare_catalogue(catalogue, list(dict.fromkeys(features)), chosen.trial.clip, chosen.trial.min_seconds,
                                 request.seed, request.max_rejected, descriptors=True)  # fmt: skip

    try:
        return prepare(space), space
    except (JobError, DatasetError):
        fitting = fitting_settings(space_recipe(space), load_failed(catalogue.name), partial(change_space, space))
        if not fitting or fitting.problem or not too_short(catalogue.name):
            raise
        logger.info(f"  many recordings are too short for clips of {space.trial.min_seconds:.1f} s: "
                    + ", ".join(f"{name} is {value:g}" for name, value in fitting.changes.items()))  # fmt: skip
        shorter = change_space(space, fitting.changes)
        return prepare(shorter), shorter


@dataclass
class Steps:
    """The steps, announced as they begin, with the seconds each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run one step."""
        logger.info(f"\n[{len(self.seconds) + 1}] {name}")
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        logger.info(f"  done in {self.seconds[name]:.1f} s")


def seconds_of_work(now: Mapping[str, float], before: Mapping[str, Any], sweep: str) -> dict[str, float]:
    """Of each step the most that a run of this demo took: one that finds its work done takes next to nothing.

    Parameters
    ----------
    now
        Seconds of this run, by step.
    before
        The summary that an earlier run wrote; it counts if it is of the same sweep.
    """
    kept = before.get("seconds") if before.get("sweep") == sweep else {}
    known = {k: v for k, v in kept.items() if isinstance(v, int | float)} if isinstance(kept, dict) else {}
    return {step: max(seconds, known.get(step, 0.0)) for step, seconds in now.items()}


def earlier_summary(file: str) -> dict[str, Any]:
    """The summary of an earlier run; empty if there is none, or it is damaged: it is written anew."""
    try:
        found = storage.read_json(file) if storage.exists(file) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def estimate_seconds(tracks: int, space: SearchSpace, listened: Recipe, cores: int) -> float:
    """About how many seconds the demo takes on recordings that lie ready."""
    encoded = any(encoders_in(feature) for feature in recipe_representations(listened.stages))
    a_track = SECONDS_A_TRACK_ENCODED if encoded else SECONDS_A_TRACK
    trial = space.trial
    epochs = space.trials * trial.optim.epochs * expected_epoch_fraction(space.scheduler, space.trials)
    windows = tracks * (0.6 * trial.window.train_per_track + 0.2 * trial.window.per_track / 3)
    return FIXED_SECONDS + (tracks * a_track + epochs * windows * SECONDS_A_WINDOW) / cores


def held_out(manifest: Manifest) -> Track:
    """A test track, the same one every time."""
    return min(manifest.of("test"), key=lambda t: digest("held-out", t.track_id))


@dataclass(frozen=True)
class ServedAnswer:
    """What a server said of a track.

    Attributes
    ----------
    classified
        The answer of ``/v1/classify``.
    neighbours
        Of ``/v1/recommend``, without the track itself.
    """

    track: Track
    classified: dict[str, Any]
    neighbours: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """As the demo's summary has it."""
        return {"track": self.track.track_id, "truth": self.track.label, "answer": self.classified,
                "neighbours": self.neighbours}  # fmt: skip

    def __str__(self) -> str:
        track, ranked = self.track, self.classified["probabilities"][:3]
        rows = [("similarity", "neighbour", "artist", "label")]
        rows += [(f"{n['similarity']:.3f}", n["title"] or n["track_id"], n["artist"] or "", n["label"])
                 for n in self.neighbours]  # fmt: skip
        return "\n".join([
            f"  asked with a clip held out from training: {track.name} ({track.artist or 'artist unknown'})",
            format_table([("truth", ", ".join(track.all_labels))]),
            format_table([(f"answer {i}", p["label"], f"{p['probability']:.3f}") for i, p in enumerate(ranked, 1)]),
            *([f"  why: {self.classified['why']}"] if self.classified.get("why") else []),
            format_table(rows),
        ])  # fmt: skip


def ask(url: str, track: Track) -> ServedAnswer:
    """Send a track's audio to both endpoints, as any client would."""
    import httpx

    audio = storage.read_bytes(track.source)

    def post(path: str, **params: int) -> dict[str, Any]:
        upload = {"audio": (Path(track.source).name, io.BytesIO(audio), "application/octet-stream")}
        found: dict[str, Any] = (
            httpx.post(f"{url}{path}", params=params, files=upload, timeout=60, trust_env=False)  # not by a proxy
            .raise_for_status()
            .json()
        )
        return found

    classified, found = post("/v1/classify"), post("/v1/recommend", k=6)
    # The catalogue holds the clip itself, which is no recommendation.
    others = [n for n in found["neighbours"] if n["track_id"] != track.track_id][:5]
    return ServedAnswer(track, classified, others)
