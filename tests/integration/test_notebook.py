"""The library from a notebook, in an empty folder: prepare and train, and what shows itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import search_spaces.recipes  # noqa: F401  what is installed is found by its entry point
import tonearm
from tests.tiny_data import make_recordings, write_audio
from tonearm.core.errors import ConfigError
from tonearm.training.recipe import Recipe
from tonearm.workflows import training_runs
from tonearm.workflows.ray_session import stop_ray

pytestmark = pytest.mark.integration

CLIP = tonearm.ClipConfig(seconds=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, and recordings elsewhere."""
    root = tmp_path_factory.mktemp("notebook")
    write_audio(root / "music", make_recordings())
    (root / "work").mkdir()
    ray_folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", ray_folder)
        yield root
        stop_ray()
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "work")
    monkeypatch.delenv("TONEARM_HOME")


@pytest.fixture(scope="module")
def data(folder: Path) -> tonearm.PreparedData:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "work")
        patch.delenv("TONEARM_HOME", raising=False)
        return tonearm.prepare("folder", root=str(folder / "music"), features=["mel"], clip=CLIP)


def small(recipe: Recipe) -> Recipe:
    return recipe.replace({"clip.seconds": 10, "window.frames": 60, "model.widths": "8,8", "optim.epochs": 2})


def test_data_set_shows_itself(folder: Path, data: tonearm.PreparedData) -> None:
    assert data.name == "music" and data.classes == ("high", "low") and [f.kind for f in data.features] == ["mel"]
    shown = repr(data)
    assert "20 tracks extracted now" in shown and "music: train 12 (60.0%)" in shown and "x real time" in shown
    assert shown.splitlines()[-1].startswith("data set music: 20 tracks, signature ")
    tracks = data.tracks
    assert list(tracks.index) == [t.track_id for t in data.manifest.tracks]
    assert tracks.label.value_counts().to_dict() == {"high": 10, "low": 10}
    assert tracks.danceability.isna().sum() == 1
    assert data.splits.loc["high"].to_dict() == {"train": 6, "validation": 2, "test": 2}
    assert (folder / "work" / ".tonearm" / "reports" / "music" / "extraction.png").exists()
    assert [p.name for p in (folder / "work").iterdir()] == [".tonearm"]


def test_training_takes_the_data_set_extracts_what_lacks_and_shows_itself(
    folder: Path, data: tonearm.PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    train_stage = training_runs.train_stage

    def watched(*arguments: Any) -> Any:
        threads.append(torch.get_num_threads())
        return train_stage(*arguments)

    monkeypatch.setattr(training_runs, "train_stage", watched)
    before = torch.get_num_threads()
    result = tonearm.train(small(tonearm.recipes.rnn_mfcc()), data, seeds=2, threads=2)  # MFCC are extracted now
    assert threads == [2, 2], "starting Ray leaves one thread"
    assert torch.get_num_threads() == before or before > 1
    assert result.outcome.manifest == data.manifest and len(result.runs) == 2
    scores = result.scores
    assert list(scores.index) == ["rnn_mfcc", "majority class"]
    mean = np.mean([row["f1_micro"] for row in result.rows[0].each])
    assert scores.loc["rnn_mfcc", "f1_micro"] == pytest.approx(mean)
    assert scores.loc["rnn_mfcc", "f1_micro_low"] <= mean <= scores.loc["rnn_mfcc", "f1_micro_high"]
    assert repr(result).startswith("=== rnn_mfcc on music: ") and "test, 2 seeds" in repr(result)
    assert "majority class" in result._repr_html_() and result.figure.axes
    assert result.folder in repr(result) and (Path(result.folder) / "summary.json").exists()
    (bundles,) = result.bundles.values()
    assert len(bundles) == 2
    assert tonearm.load(bundles[0]).predict(data.tracks.source.iloc[0]).labels == data.classes


def test_what_cannot_be_is_named(folder: Path, data: tonearm.PreparedData) -> None:
    music = str(folder / "music")
    recipe = small(tonearm.recipes.rnn_mfcc())
    for settings, message in (
        ({"seeds": 0}, "seeds 0, folds 0: train at least once"),
        ({"folds": 1}, "folds 1: train at least once, and with 0 or at least 2 folds"),
        ({"max_rejected": 2}, "max_rejected is 2: a share is within 0 and 1"),
        ({"device": "gpu"}, "device 'gpu': there is no such device here"),
        ({"dataset_name": "other"}, "'music' is prepared already: give them to prepare"),
    ):
        with pytest.raises(ConfigError, match=message):
            tonearm.train(recipe, data, **settings)
    with pytest.raises(ConfigError, match=r"20 of 20 tracks cannot be extracted .*: too_short"):
        tonearm.train(recipe.replace({"clip.seconds": 30, "window.frames": 643}), data)
    for arguments, message in (
        ({"root": music, "features": ["mell"]}, "Did you mean 'mel'"),
        ({"root": music, "min_seconds": 40}, "min_seconds is 40: it must be above 0 and at most a clip's 30 s"),
        ({"root": music, "max_rejected": -1}, "max_rejected is -1"),
        ({}, "data set folder needs the folder of its files: root"),
    ):
        with pytest.raises(ConfigError, match=message):
            tonearm.prepare("folder", **arguments)
