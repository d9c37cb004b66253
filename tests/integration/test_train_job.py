"""``jobs.train`` as a user runs it, in this process but for one run and one that is killed: folds, facts, errors."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import train as train_job
from search_spaces.recipes import RECIPES
from tests.integration.conftest import Workplace, kill_group, workplace
from tests.tiny_data import make_recordings, write_audio
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.tracking import names
from tonearm.training.trial import TrialFolder

pytestmark = pytest.mark.integration

#: A recurrent network on ten seconds of each recording; what numba compiles has no part in its training.
SMALL = ("--set", "clip.seconds=10", "--set", "window.frames=60", "--set", "model.widths=8,8", "--threads", "1")
GENRES = ("--recipe", "rnn_mfcc", "--dataset", "folder", *SMALL)
NUMBERS = ("--recipe", "spec2d", "--set", "clip.seconds=10", "--set", "window.frames=100",
           "--set", "model.widths=2,2,2,2,2,2,2", "--set", "model.hidden='8'", "--set", "optim.epochs=2")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared_ray: str) -> Iterator[Workplace]:
    """Thirty recordings without artists, three broken files, and another folder with artists and numbers."""
    root = tmp_path_factory.mktemp("place")
    write_audio(root / "songs", make_recordings())
    yield from workplace(root, shared_ray, fresh=True)


def train(place: Workplace, *arguments: str) -> str:
    """The output of the job, in this process."""
    code, said = place.here(train_job.main, *arguments)
    assert code == 0, said
    return said


def songs(place: Workplace) -> str:
    return str(place.music.parent / "songs")


def manifest_of(place: Workplace, name: str) -> Manifest:
    return load_manifest(str(place.home / "data" / name / "manifest.parquet"))


def summary_of(place: Workplace, dataset: str, recipe: str) -> dict[str, Any]:
    """The newest report of a recipe."""
    found = max((place.home / "reports" / dataset).glob(f"{recipe}-*/summary.json"), key=lambda p: p.stat().st_mtime_ns)
    return dict(json.loads(found.read_text()))


def trials(place: Workplace, kind: str) -> list[Path]:
    return sorted((place.home / "trials" / "single").glob(f"{kind}-*"))


# --- what there is


def test_list_names_every_recipe_with_a_sentence(place: Workplace) -> None:
    listed = train(place, "--list").splitlines()
    assert listed[0].split() == ["recipe", "what", "it", "trains", "source's", "figure"]
    assert [line.split()[0] for line in listed[1:]] == list(RECIPES)
    for line in listed[1:]:
        assert len(line.split()) > 4, f"{line}: no sentence says what it trains"
    assert any(line.startswith("time_freq_mel") and "F1 micro 0.628" in line for line in listed)


# --- folds and seeds

FOLDED = (*GENRES, "--set", "optim.epochs=2", "--folds", "2", "--seeds", "2")


@pytest.fixture(scope="module")
def output(place: Workplace) -> str:
    return place.job("jobs.train", *FOLDED, "--data", str(place.music), joins=True)


def test_table_has_means_deviations_and_what_needs_no_model(place: Workplace, output: str) -> None:
    number = r"0\.\d{4}"
    assert re.search(r"test, 2 seeds x 2 folds +F1 micro|test, 2 seeds x 2 folds +f1_micro", output)
    assert re.search(rf"rnn_mfcc +{number} ± {number}, all {number} \[{number}, {number}\]", output)
    assert re.search(rf"majority class +{number}", output) and re.search(r"chance +0\.3333", output)
    assert "set aside: 3" in output and output.count(": 2 epochs") == 4
    row = summary_of(place, "music", "rnn_mfcc")["rows"][0]
    scores = [each["f1_micro"] for each in row["each"]]
    assert len(scores) == 4
    assert f"{np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f}" in output
    for whole in row["pooled"]["intervals"].values():  # the interval is of the figure beside it
        assert f", all {whole['value']:.4f} [{whole['low']:.4f}, {whole['high']:.4f}]" in output
    # Both folds' test tracks together are all tracks, each once.
    assert row["pooled"]["tracks"] == len(manifest_of(place, "music").tracks) == 30
    right: dict[int, list[bool]] = defaultdict(list)
    for path in (place.home / "trials" / "single").glob("rnn-*"):
        folder = TrialFolder(str(path))
        found = folder.predictions("test")
        right[folder.config().seed] += (found.probabilities.argmax(axis=1) == found.target).tolist()
    assert sorted(right) == [0, 1]
    wanted = pytest.approx(np.mean([np.mean(seed) for seed in right.values()]))
    assert row["pooled"]["intervals"]["f1_micro"]["value"] == row["pooled"]["metrics"]["f1_micro"] == wanted


def test_every_fold_is_a_run_within_the_whole_and_holds_its_stages(
    place: Workplace, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}
    above = {r.info.run_id: r.data.tags.get(names.PARENT_RUN) for r in runs}
    tops = [r for r in runs if above[r.info.run_id] is None]
    folds = [r for r in runs if above[r.info.run_id] == tops[0].info.run_id]
    assert len(tops) == 1 and tops[0].data.params["folds"] == "2"
    assert sorted((r.data.params["fold"], r.data.params["seed"]) for r in folds) == [
        ("1/2", "0"), ("1/2", "1"), ("2/2", "0"), ("2/2", "1"),
    ]  # fmt: skip
    for fold in folds:
        (stage,) = [r for r in runs if above[r.info.run_id] == fold.info.run_id]
        assert stage.data.params["dataset.fold"] == fold.data.params["fold"]
        assert stage.data.params["seed"] == fold.data.params["seed"] == stage.data.tags[names.SEED]
        assert {m.step for m in api.get_metric_history(stage.info.run_id, "epoch/validation_f1_micro")} == {1, 2}
    assert len(runs) == 9


def test_second_call_gives_the_same_and_trains_nothing_unless_it_was_other_code(place: Workplace, output: str) -> None:
    call, below = (place, *FOLDED, "--data", str(place.music)), (place.home / "trials").rglob
    before = {path: path.stat().st_mtime_ns for path in below("*") if path.is_file()}
    again, table = train(*call), output[output.index("===") : output.index("chance")]
    assert {path: path.stat().st_mtime_ns for path in below("*") if path.is_file()} == before
    assert table in again and "0 tracks extracted now" in again
    (code := next(path for path in before if path.name == "code.json")).write_text('["0ld"]')
    assert train(*call, "--retrain").count("is trained anew: it was trained by code 0ld") == 1
    assert {p.parent for p, at in before.items() if p.stat().st_mtime_ns != at} == {code.parent, code.parent / "bundle"}


# --- a kill

EPOCHS = 20
LONG = (*GENRES, "--set", f"optim.epochs={EPOCHS}", "--set", f"optim.patience={EPOCHS}", "--seeds", "2")


def of_data(place: Workplace, name: str) -> list[TrialFolder]:
    """The trials of many epochs on a data set, by their seed."""
    found = {}
    for path in (place.home / "trials" / "single").glob("rnn-*"):
        config = json.loads((path / "config.json").read_text()) if (path / "config.json").exists() else None
        if config and config["dataset"]["name"] == name and config["optim"]["epochs"] == EPOCHS:
            found[config["seed"]] = TrialFolder(str(path))
    return [found[seed] for seed in sorted(found)]


def test_killed_training_goes_on_as_if_it_had_never_stopped(
    place: Workplace, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (*LONG, "--data", str(place.music))
    driver = place.start("jobs.train", *command, joins=True)
    deadline = time.monotonic() + 400
    while not (begun := of_data(place, "music")) or len(begun[0].history()) < 2:
        assert driver.poll() is None, driver.stdout.read() if driver.stdout else ""
        assert time.monotonic() < deadline, "no two epochs in 400 s"
        time.sleep(0.02)
    kill_group(driver)
    (killed,) = of_data(place, "music")
    done = killed.history()
    assert 2 <= len(done) < EPOCHS and killed.ended() is None, "the kill came too late to test anything"

    train(place, *command)
    train(place, *command, "--name", "undisturbed")  # the same recordings: other trials, on the same stored features

    assert killed.history()[: len(done)] == done, "epochs that were finished were trained again"
    both, undisturbed = of_data(place, "music"), of_data(place, "undisturbed")
    assert len(both) == len(undisturbed) == 2
    for one, other in zip(both, undisturbed, strict=True):
        assert one.uri != other.uri and len(one.history()) == EPOCHS
        assert timeless(one.history()) == timeless(other.history())
        assert np.array_equal(one.predictions("test").probabilities, other.predictions("test").probabilities)
    row, other_row = (summary_of(place, name, "rnn_mfcc")["rows"][0] for name in ("music", "undisturbed"))
    assert row["each"] == other_row["each"] and row["pooled"] == other_row["pooled"]
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.log import client

    api = client()
    runs = api.search_runs([api.get_experiment_by_name("music").experiment_id])
    assert {r.info.status for r in runs} == {"FINISHED"}, "a run is left running"
    assert len(runs) == 9 + 1 + 2, "a run was made twice"
    long = [r for r in runs if r.data.params.get("optim.epochs") == str(EPOCHS)]
    for run in long:
        steps = [m.step for m in api.get_metric_history(run.info.run_id, "epoch/train_loss")]
        assert sorted(steps) == list(range(1, EPOCHS + 1)), "an epoch was logged twice, or not"
    assert len(long) == 2


def timeless(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in epoch.items() if k not in ("epoch_seconds", "replayed")} for epoch in history]


# --- numbers


@pytest.fixture(scope="module")
def tempo(place: Workplace) -> str:
    return train(place, *NUMBERS, "--data", songs(place), "--descriptors", "--set", "task.target=tempo",
                     "--set", "task.low=40", "--set", "task.high=220")  # fmt: skip


def test_measured_tempo_can_be_predicted(place: Workplace, tempo: str) -> None:
    assert re.search(r"spec2d +\d+\.\d{4} \[", tempo) and "training mean" in tempo and "chance" not in tempo
    measured = manifest_of(place, "songs").metadata
    values = measured.of(measured.track_ids, "tempo")
    assert len(values) == 20 and ((values > 40) & (values < 220)).all()
    row = summary_of(place, "songs", "spec2d")["rows"][0]
    assert 0 < row["each"][0]["mae"] < 180
    assert {"tempo", "energy", "danceability"} <= set(measured)  # those of the table stay


def test_splits_keep_artists_together_unless_told_otherwise(place: Workplace, tempo: str) -> None:
    assert "no leak" in tempo
    by_artist = {(t.artist, t.split) for t in manifest_of(place, "songs").tracks}
    assert len(by_artist) == 10
    said = train(place, *NUMBERS, "--data", songs(place), "--ungrouped", "--name", "flattered")
    assert "LEAK" in said
    mixed = manifest_of(place, "flattered")
    assert len({(t.artist, t.split) for t in mixed.tracks}) > 10
    assert "0 tracks extracted now" in said and "spec2d: 1 of 20 tracks left out: no target" in said


def test_facts_of_a_file_can_be_predicted(place: Workplace, tempo: str, tmp_path: Path) -> None:
    known = [f"Artist {i}" for i in range(9)]
    save_metadata(str(tmp_path / "moods.parquet"), Metadata(known, {"mood": np.linspace(0.1, 0.9, 9)}))
    train(
        place, *NUMBERS, "--data", songs(place), "--facts", str(tmp_path / "moods.parquet"), "--set", "task.target=mood"
    )
    facts = manifest_of(place, "songs").metadata
    mood = dict(zip(facts.track_ids, facts.of(facts.track_ids, "mood"), strict=True))
    assert mood["high/02.mp3"] == mood["high/03.mp3"] == pytest.approx(0.2) and np.isnan(mood["low/19.mp3"])
    (config,) = [c for p in trials(place, "spec2d")
                 if (c := json.loads((p / "config.json").read_text()))["task"]["target"] == "mood"]  # fmt: skip
    assert config["dataset"]["name"] == "songs"


# --- what cannot be


def test_error_is_one_line_and_exit_code_1(place: Workplace) -> None:
    code, said = place.here(train_job.main, "--recipe", "tim_mel", "--data", str(place.music))
    assert code == 1
    lines = [line for line in said.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: unknown recipe 'tim_mel'. Did you mean 'time_mel'?")


@pytest.mark.parametrize("arguments", ["--seeds 0", "--max-rejected 2", "--folds -1", "--threads -1"])
def test_number_out_of_its_range_is_named(arguments: str, place: Workplace) -> None:
    code, said = place.here(train_job.main, "--recipe", "majority", *arguments.split())
    assert code == 2 and f"Invalid value for '{arguments.split()[0]}'" in said and "or equal to" in said, said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "name a recipe with --recipe; --list shows them"),
        ("--recipe rnn_mfcc --data MUSIC --set optim.epoch=3", "no field 'epoch'. Did you mean 'epochs'?"),
        ("--recipe rnn_mfcc --data MUSIC --set optim.epochs", "'optim.epochs' is no setting"),
        ("--recipe rnn_mfcc --data MUSIC --option subst=small", "no field 'subst'. Did you mean 'subset'?"),
        ("--recipe rnn_mfcc", "data set fma needs the folder of its files"),
        ("--recipe rnn_mfcc --dataset foldr --data MUSIC", "unknown data set 'foldr'. Did you mean 'folder'?"),
        ("--recipe majority --data EMPTY", "no audio below"),
        ("--recipe majority --data EMPTY/nowhere", "is no folder"),
        ("--recipe rnn_mfcc --data MUSIC", "no tracks.csv in"),
        (
            "--recipe rnn_mfcc --data MUSIC --set clip.seconds=10",
            "window.frames 643 is longer than the 216 frames",
        ),
        ("--recipe majority --data MUSIC --folds 1", "--folds 1: train with 0 or at least 2 folds"),
        ("--recipe majority --data MUSIC --device gpu", "device 'gpu': there is no such device here; use cpu"),
        ("--recipe rnn_mfcc --data MUSIC --set seed=3", "--set seed: it is filled in"),
    ],
)
def test_mistake_is_named_with_its_fix(arguments: str, message: str, place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    typed = [a.replace("MUSIC", str(place.music)).replace("EMPTY", str(tmp_path / "empty")) for a in arguments.split()]
    code, said = place.here(train_job.main, *typed)
    assert code == 1 and said.count("error: ") == 1 and message in said, said


def test_fact_that_nobody_knows_is_named_with_those_that_are(place: Workplace, tempo: str) -> None:
    code, said = place.here(train_job.main, *NUMBERS, "--data", songs(place), "--set", "task.target=happiness")
    assert code == 1
    assert "error: " in said and "'happiness'" in said and "danceability" in said and "Traceback" not in said
