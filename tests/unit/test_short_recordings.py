"""Recordings that are shorter than a recipe's clips: the error says which settings fit them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import SPACES
from search_spaces.recipes import RECIPES
from tests.builders import RATE, encode, music
from tests.extract_in_process import extract_in_process
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.text import parse_fields
from tonearm.datasets.manifest import Reject
from tonearm.training.bundle import build_network
from tonearm.training.config import TrialConfig
from tonearm.workflows import prepare, sweep_data
from tonearm.workflows.short_recordings import advice, change_space
from tonearm.workflows.sweep_data import SweepRequest, complete_features
from tonearm.workflows.training_data import TrainingRequest, adapt_recipe, prepare_data


def rejects(*lengths: float) -> list[Reject]:
    detail = "{:.2f} s of audio, at least 29.81 s are needed"
    return [Reject(track_id=str(i), source="", stage="extract", reason="too_short", detail=detail.format(s))
            for i, s in enumerate(lengths)]  # fmt: skip


@pytest.mark.parametrize(("name", "lengths", "wanted"), [
    ("time_freq_mel", [15.0] * 30, "--set clip.seconds=15 --set window.frames=323"),
    ("time_freq_mel", [1.2, *[20.5] * 30], "--set clip.seconds=20 --set window.frames=431"),
    ("time_mel", [29.5] * 3, "--set clip.seconds=29 --set window.frames=625"),
    ("time_freq_mel", [], ""), ("tabular_ensemble", [15.0], ""),
    ("time_freq_mel", [0.4] * 5, "too short for this network"), ("time_freq_mel", [2.0] * 5, "too short for this"),
    ("time_chroma", [8.0] * 5, "Recordings of 8.0 s are too short for this network"),
])  # fmt: skip
def test_settings_fit_most_of_them(name: str, lengths: list[float], wanted: str) -> None:
    found = advice(RECIPES[name](), rejects(*lengths))
    assert wanted in found and bool(found) == bool(wanted)
    if "--set" in found:
        changed = RECIPES[name]().replace(parse_fields(found.partition(": ")[2].replace("--set ", "").split()))
        seconds = changed.stages[0].config.min_seconds  # type: ignore[union-attr]
        assert seconds <= sorted(lengths)[len(lengths) // 10]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Recordings of 14.4 s of two classes."""
    extract_in_process(monkeypatch, batch=20)
    for n in range(20):
        path = tmp_path / "Short" / "ab"[n % 2] / f"{n}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.tile(music(1.0, seed=n), 15)[: int(14.4 * RATE)]))
    return str(tmp_path / "Short")


def typed(error: Exception) -> dict[str, object]:
    """The settings that an error prints."""
    found = re.findall(r"--set (\S+=\S+)", str(error))
    assert len(found) == 2, error
    return parse_fields(found)


@pytest.mark.parametrize("name", ["time_mel", "time_freq_chroma", "simple_mfcc", "rnn_chroma", "temporal_pooling"])
def test_the_settings_that_an_error_prints_work(name: str, folder: str) -> None:
    recipe = adapt_recipe(RECIPES[name](), "folder", folder, {"label": "" if name == "temporal_pooling" else "folder"})
    with pytest.raises(JobError, match=r"20 of 20 tracks cannot be used \(too_short 20\)") as caught:
        prepare_data(TrainingRequest(name, recipe))
    changes = typed(caught.value)
    assert changes == {"clip.seconds": 14, "window.frames": 302}
    shorter = recipe.replace(changes)
    (manifest,) = prepare_data(TrainingRequest(name, shorter)).values()
    assert len(manifest.tracks) == 20
    for stage in shorter.stages:
        if isinstance(stage.config, TrialConfig) and not stage.members:
            spec = stage.config.feature.example_spec(stage.config.window.frames)
            network = build_network(stage.config, 2).eval()
            with torch.no_grad():
                assert network(torch.zeros(1, *spec.shape)).shape == (1, 2)


def test_a_name_like_the_reason_is_no_reason(folder: str) -> None:
    """Other errors than those of short recordings get no advice, whatever the files are called and earlier runs had."""
    recipe = adapt_recipe(RECIPES["simple_mfcc"](), "folder", folder, {"label": "folder"})
    with pytest.raises(JobError, match="For recordings as short as these"):
        prepare_data(TrainingRequest("simple_mfcc", recipe))
    for path in Path(folder).rglob("*.wav"):
        path.with_stem(f"too_short-{path.stem}").write_text(f"no audio, {path}")
        path.unlink()
    with pytest.raises(JobError, match=r"undecodable 20.*a/too_short-0\.wav") as caught:
        prepare_data(TrainingRequest("simple_mfcc", recipe))
    assert "--set" not in str(caught.value)


def test_what_was_stored_of_another_request_is_told_with_settings_too(folder: str) -> None:
    made = prepare.prepare("folder", root=folder, features="mfcc")
    assert len(made.manifest.tracks) == 20
    recipe = adapt_recipe(RECIPES["simple_mfcc"](), "folder", folder)
    with pytest.raises(JobError, match=r"1\d\.\d\d s of audio, at least 29\.81 s are needed \(") as caught:
        prepare_data(TrainingRequest("simple_mfcc", recipe))
    assert typed(caught.value)["clip.seconds"] == 14
    with pytest.raises(ConfigError, match="20 of 20 tracks cannot be extracted as is wanted") as other:
        prepare_data(TrainingRequest("simple_mfcc", recipe, prepared=made))
    assert typed(other.value) == typed(caught.value)


def test_a_sweep_says_which_settings_it_takes(folder: str) -> None:
    space = SPACES["demo"]()
    longer = change_space(space, {"clip.seconds": 30.0, "window.frames": 640})
    made = prepare.prepare("folder", root=folder, features="mfcc")
    with pytest.raises(ConfigError, match="20 of 20 tracks cannot be extracted as is wanted") as caught:
        complete_features(longer, made.manifest)
    assert change_space(longer, typed(caught.value)).trial.clip.seconds == 14
    with pytest.raises(JobError, match=r"For recordings as short as these: --set clip\.seconds=14"):
        sweep_data.sweep_data(SweepRequest("s", longer, "folder", folder))
    with pytest.raises(ConfigError, match=r"the space varies feature\.n_fft"):
        change_space(SPACES["demo"](), {"feature.n_fft": 512})
