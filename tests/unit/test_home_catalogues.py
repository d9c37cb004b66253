"""Catalogues of a home: listed with their models, cleaned away where these are gone, indexed again for others."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from jobs import ls
from tests.builders import write_recordings
from tests.commands import run_job
from tests.unit.test_predict_files import write_model
from tonearm.core import home
from tonearm.inference import load
from tonearm.tracking.overview import ModelGlance
from tonearm.workflows import clean as cleaning
from tonearm.workflows.clean import clean
from tonearm.workflows.home_catalogues import (
    GONE,
    KNOWN,
    UNKNOWN,
    IndexRequest,
    commands_for,
    list_catalogues,
    write_request,
)
from tonearm.workflows.index import index_library
from tonearm.workflows.listing import list_home


@pytest.fixture(autouse=True)
def alone(tonearm_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes left in the machine's temporary folder is not listed, nor deleted."""
    monkeypatch.setattr(cleaning, "find_jobs", list)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    write_recordings(tmp_path / "my music", per_class=2)
    return tmp_path / "my music"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path / "model")


def rewritten(uri: str, **changes: object) -> None:
    path = Path(uri) / "library.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_catalogues_are_listed_with_their_models_and_sizes(music: Path, model: str) -> None:
    made = index_library(model, audio=[str(music)])
    (found,) = list_home().catalogues
    assert (found.name, found.kind, found.rows, found.model, found.state) == ("my-music", "track", 6, model, KNOWN)
    assert found.bytes > 1000 and found.uri == made.uri and found.origin == str(music)
    code, told = run_job(ls.main)
    assert code == 0 and "catalogues\n" in told and "6 tracks" in told and "KiB" in told and "is gone" not in told
    assert json.loads(run_job(ls.main, "--json")[1])["catalogues"][0]["rows"] == 6


def test_a_catalogue_whose_model_is_gone_is_cleaned_away_and_no_other(
    music: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = index_library(model, audio=[str(music)]).uri
    other = write_model(tmp_path / "other", seed=7)
    gone = index_library(other, audio=[str(music)], kind="track", name="mine").uri
    shutil.rmtree(other)
    assert {c.uri: c.state for c in list_home().catalogues} == {stays: KNOWN, gone: GONE}
    assert GONE in run_job(ls.main)[1]
    assert gone not in str(clean(hours=1)), "it was written just now"
    found = clean(hours=0)
    assert "catalogues whose model is gone" in str(found) and gone in str(found) and Path(gone).exists()
    clean(delete=True, hours=0)
    assert not Path(gone).exists() and Path(stays, "catalogue.json").exists()


def test_files_of_the_future_are_new_and_deleted_where_no_age_is_asked_for(
    music: Path, model: str, tmp_path: Path
) -> None:
    """A clock that was set back, by a second or by an hour."""
    gone = index_library(write_model(tmp_path / "other", seed=7), audio=[str(music)]).uri
    shutil.rmtree(tmp_path / "other")
    for path in Path(gone).rglob("*"):
        os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert gone not in str(clean(hours=0.1)) and gone in str(clean(hours=0))


def test_a_catalogue_of_a_trial_that_was_deleted_as_a_whole_is_without_model(music: Path, model: str) -> None:
    trial = Path(home.trials_home()) / "single" / "cold_start-3f2a"
    rewritten(index_library(model, audio=[str(music)]).uri, model=str(trial / "bundle"))
    assert list_catalogues([], [])[0].state == UNKNOWN, "nor are any trials there: the home may be another's"
    trial.parent.mkdir(parents=True)
    assert list_catalogues([], [])[0].state == GONE


def test_what_cannot_be_told_of_a_model_is_left_alone(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A drive that is not here, another MLflow server, a catalogue of an earlier version."""
    uri, version = index_library(model, audio=[str(music)]).uri, ModelGlance("tonearm-x", 3, "", 0, (), {})

    def state() -> str:
        return list_catalogues([version], [])[0].state

    rewritten(uri, model="models:/tonearm-x/3")
    assert state() == KNOWN
    rewritten(uri, model="models:/tonearm-x/2")
    assert state() == GONE
    rewritten(uri, tracking="http://elsewhere:5000")
    assert state() == UNKNOWN
    rewritten(uri, model=str(tmp_path / "drive" / "model"))
    assert state() == UNKNOWN
    (Path(uri) / "library.json").unlink()
    assert state() == UNKNOWN
    done = clean(delete=True, hours=0)
    assert not any("catalogue" in found.kind for found in done.leftovers) and Path(uri).exists()
    assert f"the catalogue {uri} is left alone" in str(done)


def test_a_catalogue_is_kept_for_another_version_of_the_same_content(
    music: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes version 2 leaves version 3, of equal files, its library."""
    uri, champion = index_library(model, audio=[str(music)]).uri, ModelGlance("tonearm-x", 3, "", 0, ("champion",), {})
    rewritten(uri, model="models:/tonearm-x/2")
    problems = list[str]()
    assert list_catalogues([champion], problems)[0].state == UNKNOWN, "the champion cannot be asked"
    assert "tonearm-x version 3 cannot be loaded" in problems[0]
    served = load(model)
    monkeypatch.setattr(sys.modules["tonearm.inference.loading"], "load", lambda uri: served)
    assert list_catalogues([champion], [])[0].state == KNOWN
    rewritten(uri, model="models:/tonearm-x/2")
    assert list_catalogues([], [])[0].state == UNKNOWN, "a database that is away looks like one without models"


def test_a_damaged_catalogue_is_named_and_hides_no_other(music: Path, model: str) -> None:
    good = index_library(model, audio=[str(music)]).uri
    bad = Path(index_library(model, audio=[str(music)], name="bad").uri)
    (bad / "catalogue.json").write_text("{")
    listed = list_home()
    assert [c.uri for c in listed.catalogues] == [good]
    assert len(listed.problems) == 1 and f"the catalogue {bad} cannot be read" in listed.problems[0]


def test_a_library_is_indexed_for_another_model_by_the_command_that_is_told(music: Path, model: str) -> None:
    tracks = index_library(model, audio=[str(music)]).uri
    earlier = index_library(model, audio=[str(music)], name="who").uri
    (Path(earlier) / "library.json").unlink()  # as earlier versions left it
    first, second = commands_for("models:/tonearm-x@champion", [tracks, earlier])
    assert first == second == f"tonearm index --audio '{music}' --model models:/tonearm-x@champion"
    of_data = f"{home.catalogues_home()}/space/data"
    write_request(of_data, IndexRequest("m", dataset="music", name="other", kind="artist"))
    assert commands_for("new", [of_data]) == ["tonearm index --dataset music --kind artist --name other --model new"]
    assert commands_for("new", ["nowhere"]) == ["nowhere (it does not say of what library it is)"]
