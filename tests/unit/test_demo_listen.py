"""The demo's step Listen, in this process: its model is scored, cross-validated, chosen beside a sweep's trials, served
and asked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from search_spaces import SPACES
from search_spaces.recipes import RECIPES
from tests.builders import encode, sounds_like
from tests.extract_in_process import extract_in_process
from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.datasets import FolderConfig
from tonearm.inference import load, predict_tracks
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.results import read_result
from tonearm.tasks import SingleLabel
from tonearm.training.recipe import Recipe, Stage, recipe_representations
from tonearm.workflows import select as selecting
from tonearm.workflows.demo_listen import Listened, fit_recipe, listen
from tonearm.workflows.demo_summary import Served, summary, summary_values
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.prepare import make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.recommend import evaluate_recommender
from tonearm.workflows.select import select
from tonearm.workflows.several_labels import learn_all_labels
from tonearm.workflows.short_recordings import change_space
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.train import train
from tonearm.workflows.trial_library import find_library, join_libraries, library_of_sweep

pytestmark = pytest.mark.usefixtures("database")
SHORT = {"clip.seconds": 3.0, "window.seconds": 3.0, "feature.hop": 256, "optim.epochs": 1}
LABELS, PER_CLASS = ("bass", "noise"), 10


@dataclass(frozen=True)
class Heard:
    """A small collection that was listened to, and a sweep of one trial on it."""

    space: SearchSpace
    data: PreparedData
    listened: Listened
    sweep: Sweep


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is now, no Ray is started."""
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))


def listen_to(folder: Path, name: str, several: bool = False) -> Heard:
    """Make recordings, labelled by what they sound like; and, where they have several labels, by who owns them."""
    rows = ["path,genre,artist"]
    for label in LABELS:
        for i in range(PER_CLASS):
            file = folder / f"{label}{i:02d}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode(sounds_like(label, 100 * len(label) + i, 3.1)))
            rows.append(f"{file.name},{label}{'|mine' if several and i % 2 else ''},{label} {i}")
    (folder / "tracks.csv").write_text("\n".join(rows) + "\n")
    catalogue = make_catalogue(FolderConfig(root=str(folder), label="genre", separator="|" * several), name)
    space = learn_all_labels(change_space(SPACES["demo"](), SHORT), catalogue.tracks)
    recipe = fit_recipe(RECIPES["small_collection"](), space)
    assert recipe is not None
    features = [*space.representations(), *recipe_representations(recipe.stages)]
    data = prepare_catalogue(catalogue, features, space.trial.clip, space.trial.min_seconds)
    trained = train(Recipe(FolderConfig(), (Stage("time", space.trial),), ""), data)
    (run,) = trained.runs
    done = run.finished["time"]
    result = read_result(0, "00 time", done.config, done.folder)  # type: ignore[arg-type]
    sweep = Sweep("demo", f"a1-{name}", data.manifest, {}, (result,))
    sweep.save()
    sweep.open().end()
    return Heard(space, data, listen(recipe, data), sweep)


@pytest.fixture(scope="module", params=["one", "several"])
def heard(one_home: Path, request: pytest.FixtureRequest) -> Iterator[Heard]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        extract_in_process(patch, batch=100)
        yield listen_to(one_home / f"music-{request.param}", request.param, request.param == "several")


def test_what_is_heard_at_once_is_told_beside_chance_and_in_folds(heard: Heard) -> None:
    told = str(heard.listened)
    one = isinstance(heard.space.trial.task, SingleLabel)
    assert "blocks at once" in told and "blocks in 5 folds" in told
    assert f"in 5 folds each of {len(LABELS) * PER_CLASS} tracks is tested once" in told
    assert ("majority class" in told and "chance" in told) == one
    row, folds = heard.listened.training.rows[-1], heard.listened.folds
    assert folds is not None and len(folds.runs) == 5
    task, first = row.task, row.task.primary
    for found in (row, folds.rows[-1]):
        gains = [own[first] - trivial[first] for own, trivial in zip(found.each, found.trivial, strict=True)]
        assert np.mean(gains) * (1 if task.maximise else -1) > 0


@pytest.mark.parametrize("heard", ["one"], indirect=True)
def test_it_is_not_trained_twice_and_its_folds_are_those_of_tonearm_train(heard: Heard) -> None:
    recipe = fit_recipe(RECIPES["small_collection"](), heard.space)
    assert recipe is not None
    before = {folder: storage.stamp(f"{folder}/ended.json") for folder in heard.listened.folders}
    assert len(before) == 6
    again = train(recipe, heard.data, folds=5)
    assert heard.listened.folds is not None and again.name == heard.listened.folds.name
    folders = listen(recipe, heard.data).folders
    assert {folder: storage.stamp(f"{folder}/ended.json") for folder in folders} == before


def test_it_is_chosen_from_beside_the_trials_and_the_choice_is_explained(heard: Heard) -> None:
    selection = select(heard.sweep, heard.listened.training)
    name = heard.listened.training.name
    assert selection.others == {1: name} and 1 in selection.members, "the other trial was trained for one epoch"
    assert f"trial 01 is of {name}" in str(selection)
    assert select(heard.sweep, name) == selection, "it was selected anew"
    assert selection.chosen_from == (heard.sweep.name, name)
    quality = evaluate_recommender(heard.data.manifest, selection.model)
    served = Served(selection.version, selection.version)
    first = summary(heard.data.manifest, selection, served, quality, {"Listen": 2.0}, 2.0, heard.listened)
    assert "chosen of the sweep's trials and blocks (trial 01): " in first and "blocks in 5 folds" in first
    kept = selection.from_dict(
        json.loads(json.dumps({**selection.to_dict(), "bundle": selection.bundle}, sort_keys=True)),
        selection.sweep, selection.dataset, selection.headline, selection.others,
    )  # fmt: skip
    assert summary(heard.data.manifest, kept, served, quality, {"Listen": 2.0}, 2.0, heard.listened) == first
    values = summary_values(heard.data.manifest, selection, served, quality, {}, heard.listened)
    assert values["listened"]["recipe"] == "blocks"
    assert list(values["listened"]["folds"]) == list(selection.headline)
    assert json.loads(json.dumps(values))["choice"] == selection.choice


def test_registered_it_answers_from_audio_as_from_what_is_stored(heard: Heard) -> None:
    """Alone, with a catalogue: predict, recommend, and the vector that neighbours are found by."""
    selection = select(heard.listened.training, promotion=True)
    model = load(selection.model)
    tracks = heard.data.manifest.of("test")[:4]
    stored = predict_tracks(load(selection.bundle), tracks, home.features_home(), home.node_cache())
    for track, expected in zip(tracks, stored, strict=True):
        found, near = model.predict(track.source), model.recommend(track.source, 2).neighbours
        nearest = model.recommender.index.search(found.embedding, 1)[0]
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
        np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-4)
        assert nearest.track["track_id"] == track.track_id and nearest.similarity == pytest.approx(1.0, abs=1e-3)
        assert len(near) == 2 and track.track_id not in {n.track["track_id"] for n in near}


@pytest.mark.parametrize("heard", ["one"], indirect=True)
def test_of_other_data_nothing_is_chosen_together(heard: Heard) -> None:
    library = library_of_sweep(heard.sweep)
    other = dataclasses.replace(library, name="other", manifest=dataclasses.replace(library.manifest, name="other"))
    with pytest.raises(JobError, match=r"demo-.* and other are of other data sets or splits"):
        join_libraries(library, other)
    assert join_libraries(library, library).results == library.results, "what is there twice counts once"
    assert len(join_libraries(library, find_library(heard.listened.training.name)).results) == 2


def test_what_it_cannot_learn_is_left_to_the_sweep() -> None:
    assert fit_recipe(RECIPES["small_collection"](), SPACES["embedding_mel"]()) is None
    numbers = fit_recipe(RECIPES["small_collection"](), SPACES["spec2d"]())
    assert numbers is not None and numbers.stages[0].config.task == SPACES["spec2d"]().trial.task
