"""Every recipe in miniature, by the code of ``jobs.train``: a recipe that is registered is tested here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces.recipes import RECIPES
from tests.encoder_files import statistics_encoder, torchscript
from tests.shared_ray import driver_environment, leave_ray
from tests.tiny_data import LAYOUTS, Recording, make_recordings, write_factors
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.text import parse_fields
from tonearm.datasets.folder import FolderConfig
from tonearm.datasets.manifest import SPLITS
from tonearm.features.base import Representation
from tonearm.features.weights import register
from tonearm.tasks.relations import Relations
from tonearm.tracking import names
from tonearm.tracking.log import client
from tonearm.training import baseline_trial, evaluate, trial
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, StageConfig
from tonearm.training.stages import FinishedStage
from tonearm.workflows.prepare import choose_dataset, make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.training_data import TrainingRequest, adapt_recipe
from tonearm.workflows.training_report import report_training
from tonearm.workflows.training_runs import FoldRun, Outcome, run_request

pytestmark = pytest.mark.integration

CLIP_SECONDS = 12.2
#: Of each model and estimator: what makes a stage small. Rounds, schedules and batches stay the recipe's own.
SMALL: dict[str, dict[str, Any]] = {
    "albums": {"model.width_mult": 0.1, "feature.size": 32},
    "artist_table": {"task.dimension": 6},
    "cold_start": {"window.frames": 100},
    "freq": {"window.frames": 100, "model.widths": "4,4,8"},
    "genre_ensemble": {"window.frames": 100, "model.time.widths": "4,4,8", "model.freq.widths": "4,4,8",
                       "model.rnn.widths": "4,4", "model.hidden": "8,4"},
    "large_rnn": {"window.frames": 100, "model.widths": "4,4,8"},
    "lyrics": {"model.widths": "4,8", "model.word_dim": 4},
    "mean_kernel": {},
    "playlist_cnn": {"window.frames": 200, "model.channels": 2},
    "recommendation": {"model.vector": "8,4", "model.each": 8, "model.pair": "8,4", "model.coordinate": 2,
                       "model.location": "4", "model.year": "4", "model.joined": "8"},
    "rnn": {"window.frames": 100, "model.widths": "4,4"},
    "simple": {"window.frames": 260, "model.width": 1},  # the least that its strides and pools leave something of
    "spec2d": {"window.frames": 100, "model.widths": "4,4,4,4,4,4,4", "model.hidden": "8"},
    "spec3d": {"window.frames": 440, "model.slices": 20, "model.widths": "4,4,4,4,4,4", "model.hidden": "8"},
    "tabular_mlp": {"model.hidden": "8"},
    "temporal_pooling": {"window.frames": 150, "model.widths": "8,8,8,8", "model.hidden": "8"},
    "time": {"window.frames": 100, "model.widths": "4,4,8"},
    "time_freq": {"window.frames": 100, "model.time.widths": "4,4,8", "model.freq.widths": "4,4,8",
                  "model.hidden": "8,4"},
    "wav1d": {"window.frames": 20480, "model.widths": "2,2", "model.hidden": "8"},
    "wav2d": {"window.frames": 20480, "model.rows": 32, "model.widths": "2,2", "model.hidden": "8"},
    "gradient_boosting": {"estimator.iterations": 5},
    "logistic": {},
    "majority": {},
    "svm": {},
}  # fmt: skip
FOLDS = 2  # of recipes that are cross-validated
#: Recipes that need a fact which no data set has.
WITH_FACTORS = ("temporal_pooling",)


def kind_of(config: StageConfig) -> str:
    return config.model.kind if isinstance(config, TrialConfig) else config.estimator.kind


def lacking(recipe: Recipe) -> str:
    """What must be written before a recipe can be tested; "" if nothing."""
    for stage in recipe.stages:
        if kind_of(stage.config) not in SMALL:
            return (
                f"stage {stage.name!r} trains a {kind_of(stage.config)!r}, and nothing says what makes one small: add "
                f'a line to SMALL in tests/integration/test_recipes.py, such as\n    "{kind_of(stage.config)}": '
                '{"window.frames": 100, "model.widths": "4,4"},'
            )
    if recipe.data.kind not in LAYOUTS:
        return f"there is no tiny copy of the data set {recipe.data.kind!r}: write one in LAYOUTS of tests/tiny_data.py"
    return ""


def settings(recipe: Recipe) -> list[str]:
    """What is typed after ``--set`` to make a recipe small."""
    if lacking(recipe):
        pytest.fail(lacking(recipe))
    found = []
    for stage in recipe.stages:
        changes = {**SMALL[kind_of(stage.config)], "clip.seconds": CLIP_SECONDS}
        if isinstance(stage.config, TrialConfig):
            changes["optim.epochs"] = 1  # of each round
            if not stage.config.representations:
                changes.pop("window.frames", None)  # a picture is one window
        found += [f"{stage.name}.{path}={value!r}" for path, value in changes.items()]
    return found


@dataclass
class Shop:
    """A home that all recipes share: each representation is extracted once, each trial trained once."""

    root: Path
    ray: str
    recordings: Sequence[Recording]
    roots: dict[str, Path] = field(default_factory=dict)

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        for name, value in driver_environment(self.ray, self.root / "home", self.root / "cache").items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def data(self, kind: str) -> str:
        """The folder of a data set, written when it is first asked for."""
        if kind not in self.roots:
            self.roots[kind] = self.root / f"tiny-{kind}"
            LAYOUTS[kind](self.roots[kind], self.recordings)
        return str(self.roots[kind])

    def request(self, name: str) -> TrainingRequest:
        published = RECIPES[name]()
        recipe = adapt_recipe(published, root=self.data(published.data.kind), changes=parse_fields(settings(published)))
        metadata = str(write_factors(self.root / "factors.parquet", self.recordings)) if name in WITH_FACTORS else ""
        # One data set has labels, another none: each has a name of its own.
        unlabelled = recipe.data == FolderConfig(root=recipe.data.root, label="")
        return TrainingRequest(
            name, recipe, "tiny-folder-numbers" if unlabelled else "", folds=FOLDS if published.folds else 0,
            grouped=published.grouped, metadata=metadata,
        )  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("recipes"), shared_ray, make_recordings())
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        stand_in_for_musicnn(made.root)
        extract_all(made)
    yield made
    leave_ray()


def stand_in_for_musicnn(root: Path) -> None:
    """An encoder under its name: its weights would have to be fetched."""
    file = torchscript(root / "musicnn.pt")
    register(statistics_encoder(file, name="musicnn", file=""), file)


def extract_all(made: Shop) -> None:
    """What all recipes need in one go for each kind of clip: Ray's workers start rarely."""
    wanted: dict[ClipConfig, dict[str, Representation]] = {}
    for name in RECIPES:
        for stage in () if lacking(RECIPES[name]()) else made.request(name).recipe.stages:
            wanted.setdefault(stage.config.clip, {}).update({r.store_name(): r for r in stage.representations()})
    catalogue = make_catalogue(choose_dataset("folder", made.data("folder")), "all")
    for clip, representations in wanted.items():
        prepare_catalogue(catalogue, list(representations.values()), clip, min_seconds=1.0)


@pytest.fixture(autouse=True)
def at_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared home, and intervals that take no time."""
    shop.enter(monkeypatch)
    monkeypatch.setattr(evaluate, "RESAMPLES", (20, 20))


def refuse(*arguments: Any, **named: Any) -> Any:
    raise AssertionError("something that is finished is trained again")


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipe_trains_and_reports_and_a_second_call_trains_nothing(
    name: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not lacking(RECIPES[name]()), lacking(RECIPES[name]())
    request = shop.request(name)
    outcome = run_request(request)
    result = report_training(request, outcome)
    rows = result.rows

    stages = [s.name for s in request.recipe.stages]
    assert [list(run.finished) for run in outcome.runs] == [stages] * (request.folds or 1)
    for run in outcome.runs:
        for done in run.finished.values():
            check_stage(done)
    assert [r.name for r in rows][: len(stages)] == stages
    for row in rows:
        assert all(math.isfinite(v) for scores in (*row.each, *row.trivial) for v in scores.values()), row
    check_tracking(request, outcome)
    folder = Path(home.reports_home(outcome.manifest.name)) / f"{name}-{outcome.signature}"
    summary = storage.read_json(str(folder / "summary.json"))
    assert summary["recipe"] == name and [r["name"] for r in summary["rows"]] == [r.name for r in rows]
    assert (folder / "runs.png").read_bytes()[:4] == b"\x89PNG"

    monkeypatch.setattr(trial, "fit", refuse)
    monkeypatch.setattr(baseline_trial, "fit_baseline", refuse)
    again = run_request(request)
    again.parent.end()
    assert again.parent.run_id == outcome.parent.run_id
    for one, other in zip(outcome.runs, again.runs, strict=True):
        check_same(one, other)


def test_seeds_whose_artist_vectors_lie_in_other_spaces_are_each_scored_by_their_own(shop: Shop) -> None:
    request = dataclasses.replace(shop.request("lyrics"), seeds=2)
    outcome = run_request(request)
    table, words = report_training(request, outcome).rows
    assert table.by_seed[0].track_ids != table.by_seed[1].track_ids  # pairs are drawn by the seed
    first, second = (seed.target for seed in words.by_seed)
    assert first.shape == second.shape and not np.allclose(first, second)
    for row in (table, words):
        for name in row.task.headline:
            assert row.pooled.intervals[name].value == pytest.approx(row.mean(name))


def check_stage(done: FinishedStage) -> None:
    """It ended well, and its predictions are of all tracks of their splits."""
    assert done.folder.ended() == {"how": "completed"}
    history = done.folder.history()
    if isinstance(done.config, TrialConfig):
        assert len(history) == 1 + len(done.config.optim.rounds)
        assert [h["round"] for h in history] == list(range(len(history)))
        bundle = load_bundle(done.folder.bundle_uri)
        assert bundle.config.signature() == done.config.signature()
        assert all(v.isfinite().all() for v in bundle.network.state_dict().values())
    else:
        assert len(history) == 1
    for h in history:
        assert all(math.isfinite(v) for v in h.values() if isinstance(v, float)), h
    for split, found in (("validation", done.validation), ("test", done.test)):
        assert storage.exists(done.folder.predictions_uri(split))  # type: ignore[arg-type]
        assert found.probabilities.shape == (len(found.track_ids), len(found.classes)) and len(found.track_ids)
        assert np.isfinite(found.probabilities).all()
        if not isinstance(done.task, Relations):  # which judges pairs
            assert sorted(found.track_ids) == sorted(t.track_id for t in done.manifest.of(split))  # type: ignore[arg-type]
    assert all(done.manifest.of(split) for split in SPLITS)


def check_tracking(request: TrainingRequest, outcome: Outcome) -> None:
    """The parent's run holds one a fold, or one a stage; these hold one a stage."""
    api = client()
    parent = api.get_run(outcome.parent.run_id)
    assert parent.info.status == "FINISHED" and parent.data.params["recipe"] == request.name
    artifacts = {a.path for a in api.list_artifacts(outcome.parent.run_id)}
    learned = {a for a in artifacts if a.startswith("learning_") and a.endswith(".png")}
    assert {"runs.png", "environment.txt"} <= artifacts and len(learned) <= len(request.recipe.stages)
    assert all(a.endswith("_test.png") for a in artifacts - learned - {"runs.png", "environment.txt"}), artifacts
    assert any(m.startswith(names.HELD_OUT) for m in parent.data.metrics)

    def nested(run_id: str) -> list[Any]:
        experiments = [e.experiment_id for e in api.search_experiments()]
        return list(api.search_runs(experiments, f"tags.`{names.PARENT_RUN}` = '{run_id}'"))

    def without_means(run_id: str) -> list[Any]:
        return [r for r in nested(run_id) if not r.info.run_name.startswith(("mean of ", "weighted mean of "))]

    means = len(nested(outcome.parent.run_id)) - len(without_means(outcome.parent.run_id))
    assert means == (len(outcome.runs) if request.recipe.ensemble else 0)
    above = without_means(outcome.parent.run_id) if request.folds else [parent]
    assert len(above) == (request.folds or 1)
    for run in above:
        own = without_means(run.info.run_id)
        assert len(own) == len(request.recipe.stages)
        assert {r.info.status for r in [run, *own]} == {"FINISHED"}
        for one in own:
            artifacts = {a.path for a in api.list_artifacts(one.info.run_id)}
            assert "predictions" in artifacts and not any("test_" in m for m in one.data.metrics)


def check_same(one: FoldRun, other: FoldRun) -> None:
    assert (one.seed, one.fold) == (other.seed, other.fold)
    for name, done in one.finished.items():
        again = other.finished[name]
        assert again.config == done.config
        assert again.test.track_ids == done.test.track_ids
        assert np.array_equal(again.test.probabilities, done.test.probabilities)


def test_every_small_setting_is_used() -> None:
    used = {kind_of(stage.config) for name in RECIPES for stage in RECIPES[name]().stages}
    assert used == set(SMALL), "SMALL names what no recipe trains"
