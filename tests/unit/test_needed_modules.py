"""The modules outside Tonearm that a config needs, and the recipes and spaces that a notebook finds by name."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

import tonearm
from tests.architecture.files import ROOT
from tests.builders import tiny_config, toy_batches
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.plugins import GROUP, modules_of
from tonearm.core.registry import Registry
from tonearm.features import Mel, presets
from tonearm.features.presets import PRESETS
from tonearm.sweeps import Choice, SearchSpace
from tonearm.training.recipe import find_recipe
from tonearm.training.trial import TrialFolder, run_trial

# --- what a config needs


def test_modules_of_nothing() -> None:
    assert modules_of() == [] and modules_of(None, 3, "text", Choice(1, "a")) == []


class Part(Config):
    registry = Registry("part")


class OwnPart(Part, kind="own"):
    size: int = 1


class Whole(Config):
    parts: tuple[Part, ...]


def test_config_names_the_modules_of_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert modules_of(tiny_config()) == []
    assert modules_of(Whole(parts=(OwnPart(),)), {"also": [OwnPart()]}) == [__name__]
    assert modules_of(tiny_config(), {"metric": tiny_config, "deviation": test_modules_of_nothing}) == [
        "tests.builders",
        __name__,
    ]
    monkeypatch.setattr(OwnPart, "__module__", "__main__")
    with pytest.raises(ConfigError, match=r"OwnPart: made in a script.*put it into a file, such as mine.py"):
        modules_of(Whole(parts=(OwnPart(),)))


def test_what_no_worker_could_import_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config()
    monkeypatch.setattr(type(config.model), "__module__", "__main__")
    with pytest.raises(ConfigError, match="SimpleConfig: made in a script or notebook"):
        SearchSpace(config, {"optim.lr": Choice(1e-3)}).check()
    with pytest.raises(ConfigError, match="SimpleConfig: made in a script or notebook"):
        next(run_trial(config, toy_batches(tmp_path, config), TrialFolder(str(tmp_path / "trial"))))
    assert not (tmp_path / "trial").exists()


# --- what a notebook finds


def test_notebook_has_recipes_and_spaces_by_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][GROUP] == {"search_spaces": "search_spaces"}
    importlib.import_module("search_spaces")  # as its entry point does where Tonearm is installed
    assert tonearm.recipes.small_collection().stages and tonearm.spaces.demo().over
    assert "time_freq_mel" in dir(tonearm.recipes) and "demo_grid" in dir(tonearm.spaces)
    with pytest.raises(AttributeError, match="Did you mean 'time_mel'"):
        _ = tonearm.recipes.time_mell
    assert find_recipe("time_mel") == tonearm.recipes.time_mel()


def test_representation_of_ones_own_is_known_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    mels = {name: preset for name, preset in PRESETS.items() if name != "mel"}
    monkeypatch.setattr(presets, "PRESETS", mels)  # now it is a registered kind alone, as one of one's own is
    assert presets.as_representation("mel(n_mels=64)") == Mel(n_mels=64)
    with pytest.raises(UnknownNameError, match="unknown representation 'table'"):
        presets.as_representation("table")
