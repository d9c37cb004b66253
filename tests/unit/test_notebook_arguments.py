"""What a notebook passes: paths, names, functions and results where the jobs pass texts; wrong objects are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tonearm
from tests.builders import tiny_config
from tonearm.comparison.document import Document
from tonearm.core.errors import BundleError, ConfigError
from tonearm.datasets.folder import FolderConfig
from tonearm.sweeps.space import SearchSpace
from tonearm.workflows.compare import Report
from tonearm.workflows.prepare import with_root

SPACE = SearchSpace(base=tiny_config(), over={})


def test_what_is_no_run_cannot_be_compared() -> None:
    wrong: Any = 3
    with pytest.raises(
        ConfigError, match="a int cannot be compared: give sweeps, what train or select gives, or names of runs"
    ):
        tonearm.compare(wrong)
    with pytest.raises(ConfigError, match="top is 1: compare at least 2"):
        tonearm.compare("a", top=1)
    with pytest.raises(ConfigError, match="split is 'train'"):
        tonearm.compare("a", split=cast_any("train"))


def cast_any(value: object) -> Any:
    return value


def test_what_is_no_space_cannot_be_swept() -> None:
    with pytest.raises(ConfigError, match="a TinyRecipe cannot be swept: give a SearchSpace"):
        tonearm.sweep(cast_any(type("TinyRecipe", (), {})()), "music")
    with pytest.raises(ConfigError, match="gpus 2: a trial needs"):
        tonearm.sweep(lambda: SPACE, "music", gpus=2)


def test_a_data_set_that_is_not_prepared_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no manifest of a data set 'Nothing'"):
        tonearm.sweep(SearchSpace(base=tiny_config(), over={}, trials=1), "Nothing")


def test_paths_may_be_paths_and_begin_with_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert with_root(FolderConfig(root="~/Music")).root == str(tmp_path / "Music")
    for path in (Path("~/nothing"), tmp_path / "nothing"):
        with pytest.raises(BundleError, match=str(tmp_path / "nothing")):
            tonearm.load(path)
    report = Report(Document("Title", (), ()), "1")
    assert report.save(Path("~/page.html")) == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").exists()
