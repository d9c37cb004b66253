"""The place of a bare recording: what trained networks of audio say, joined, with all else masked."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell_artists import AUDIO
from tests.builders import tiny_config, toy_batches, track
from tests.unit.model_examples import EXAMPLES
from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.datasets.manifest import SPLITS, Manifest
from tonearm.datasets.metadata import Metadata
from tonearm.models import ColdStartConfig, ModelConfig
from tonearm.models.cold_start import JOINED, ColdStartNetwork
from tonearm.training.fit import fit
from tonearm.training.optim import OptimConfig
from tonearm.training.recipe import Recipe
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.workflows.training_data import fitting_recipe

LACKING = ("lyrics", "albums", "latitude", "longitude", "year")


def network() -> ColdStartNetwork:
    made = EXAMPLES["cold_start"].build("cold_start").eval()
    assert isinstance(made, ColdStartNetwork)
    return made


def windows(size: int) -> dict[str, Tensor]:
    found = EXAMPLES["cold_start"].batch(size)
    assert not isinstance(found, Tensor)
    return dict(found)


# --- the network


def test_it_is_the_recommendation_of_what_the_parts_say_with_all_else_masked() -> None:
    model, x = network(), windows(3)
    with torch.no_grad():
        said = {name: F.normalize(model.members[name](x[reads]), dim=1)
                for name, reads in model.member_inputs.items() if reads}  # fmt: skip
        unknown = {"lyrics": torch.full((3, 5), math.nan)} | {
            name: torch.full((3, 1), math.nan) for name in ("latitude", "longitude")
        }
        wanted = model.members[JOINED]({**said, **unknown})
        torch.testing.assert_close(model(x), wanted)
        torch.testing.assert_close(model.embed(x), wanted)
    assert list(said) == list(AUDIO) and model.embedding_dim == 5


def test_windows_of_a_track_are_joined_by_their_mean_direction_before_they_are_mapped() -> None:
    model, x = network(), windows(6)
    gathered, count = model.gather(x, 3)
    with torch.no_grad():
        said = {name: F.normalize(F.normalize(model.members[name](x[reads]), dim=1).reshape(2, 3, -1).mean(1), dim=1)
                for name, reads in model.member_inputs.items() if reads}  # fmt: skip
        unknown = {n: torch.full((2, 5 if n == "lyrics" else 1), math.nan) for n in ("lyrics", "latitude", "longitude")}
        torch.testing.assert_close(model(gathered), model.members[JOINED]({**said, **unknown}))
        one, _ = model.gather(windows(2), 1)
        torch.testing.assert_close(model(one), model(windows(2)))
    assert count == 1 and len(model(gathered)) == 2


def test_what_does_not_fit_is_named_before_anything_is_built() -> None:
    config, specs = ModelConfig.from_dict({"kind": "cold_start", **EXAMPLES["cold_start"].fields}), EXAMPLES[
        "cold_start"
    ].specs  # fmt: skip
    assert isinstance(specs, dict) and config.problems_with(specs, 5) == []
    without = {name: spec for name, spec in specs.items() if name != "mfcc"}
    assert config.problems_with(without, 5) == ["it lacks the input 'mfcc'"]
    assert config.problems_with({**specs, "stft": InputSpec(1, 9, 9)}, 5) == ["no part reads the input 'stft'"]
    assert config.problems_with(specs["mel"], 5) == ["it takes several inputs by name, it was given a single one"]
    no_place = config.replace({"absent": ("latitude",)}).problems_with(specs, 5)
    assert no_place == ["recommendation: only latitude is given: a place needs latitude and longitude; give both or "
                        "neither"]  # fmt: skip
    with pytest.raises(ConfigError, match="it has no parts: a recipe fills them in"):
        ColdStartConfig().build(specs, 5)


# --- nothing is left to learn


def test_a_network_of_frozen_members_has_one_epoch_that_judges_it(tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": 5})
    batches = toy_batches(tmp_path, config)
    model = config.built_model.build(config.inputs, len(batches.classes)).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (report,) = fit(model, config.task, batches, OptimConfig(epochs=5))
    assert report.improved and report.predictions.shape == (len(batches.ids("validation")), len(batches.classes))
    assert all(math.isfinite(v) for v in report.metrics.values()) and report.metrics["train_loss"] > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not list(fit(model, config.task, batches, OptimConfig(epochs=5), state=report.state))
    learning = TrialFolder(str(tmp_path / "learning"))
    assert len(list(run_trial(config, batches, learning))) == 5, "what can learn does"


# --- the recipe


def recipe(changes: dict[str, Any] | None = None) -> Recipe:
    return RECIPES["artist_recommender"]().replace(changes or {})


def placing(of: Recipe) -> ColdStartConfig:
    model = of.stages[-1].config.model  # type: ignore[union-attr]
    assert isinstance(model, ColdStartConfig)
    return model


def test_the_last_stage_is_what_the_stages_before_it_train() -> None:
    made = recipe({"mel_freq.feature.n_mels": 128, "mfcc.model.widths": "8,4", "recommendation.model.joined": "16"})
    by_name = {s.name: s.config for s in made.stages}
    parts = {p.name: p for p in placing(made).parts}
    assert tuple(parts) == AUDIO and placing(made).absent == LACKING
    inputs = made.stages[-1].config.feature.named_inputs()  # type: ignore[union-attr]
    for name, part in parts.items():
        own = by_name[name]
        assert part.model == own.built_model and inputs[part.reads] == own.feature  # type: ignore[union-attr]
    assert parts["mel_time"].reads == "mel" and parts["mel_freq"].reads == "mel_freq"
    assert placing(made).joined == by_name[JOINED].model and placing(made).joined.branch_dropout == 0.3  # type: ignore[union-attr]
    assert recipe({"window.frames": 300}).stages[-1].config.window.frames == 300  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mel_time.window.frames": 200}, "the networks of audio hear windows of .*: give all of them the same"),
        ({"chroma.task.loss_kind": "mse"}, "chroma learns embedding.*a place is a direction"),
    ],
)
def test_members_that_give_no_place_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(changes)
    with pytest.raises(ConfigError, match="no stage trains its member 'recommendation'"):
        whole = recipe()
        last = dataclasses.replace(whole.stages[-1], members={n: n for n in AUDIO})
        dataclasses.replace(whole, stages=(*whole.stages[:-1], last))


def manifest(**columns: Any) -> Manifest:
    tracks = tuple(track(f"t{i}", "", split=SPLITS[i % 3]) for i in range(6))
    return Manifest("artists", "artist", tracks, metadata=Metadata([t.track_id for t in tracks], columns))


def test_networks_of_what_the_data_set_lacks_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tonearm")
    words, art = [f"some words {i}" for i in range(6)], [f"{i}.png" for i in range(6)]
    assert fitting_recipe(recipe(), manifest(lyrics=words, picture=art)) == recipe() and not caplog.messages
    no_test = [text if i % 3 != 2 else "" for i, text in enumerate(words)]
    found = fitting_recipe(recipe(), manifest(lyrics=no_test, picture=art))
    assert caplog.messages == ["  lyrics is left out: artists has none in test"]
    assert "lyrics" not in [s.name for s in found.stages] and placing(found).absent == LACKING[1:]
    joining = next(s for s in found.stages if s.name == JOINED)
    assert "lyrics" not in joining.vectors and "lyrics" not in joining.config.feature.named_inputs()  # type: ignore[union-attr]
    bare = fitting_recipe(recipe(), manifest(year=[1990.0] * 6))
    assert placing(bare).absent == ("latitude", "longitude", "year")
    assert np.array_equal([s.name for s in bare.stages], ["artist_table", *AUDIO, JOINED, "artist_recommender"])
