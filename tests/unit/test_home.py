"""Where everything lies, whatever ``TONEARM_HOME`` looks like: absolute once, and never a URI made by gluing text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.tracking.log import RunWriter
from tonearm.tracking.overview import overview
from tonearm.tracking.query import artifact_bytes


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (home.HOME, home.CACHE, home.TRACKING):
        monkeypatch.setenv(name, "x")  # so that what a test's subject sets is undone
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("value", [None, "", "  ", ".tonearm", "./.tonearm/", "a/../.tonearm"])
def test_home_is_a_folder_here_by_default(value: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv(home.HOME, value)
    assert home.home() == str(folder / ".tonearm")
    assert home.tracking_uri() == f"sqlite:///{folder}/.tonearm/mlflow.db"


def test_tilde_is_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "me"))
    for name in (home.HOME, home.CACHE):
        monkeypatch.setenv(name, "~/tonearm")
    monkeypatch.setenv(home.TRACKING, "sqlite:///~/runs.db")
    assert home.home() == home.node_cache() == str(folder / "me" / "tonearm")
    assert home.tracking_uri() == f"sqlite:///{folder}/me/runs.db"
    monkeypatch.setenv(home.HOME, "~nobody-of-that-name/tonearm")
    with pytest.raises(ConfigError, match=r"~nobody-of-that-name/tonearm: .* give an absolute path"):
        home.home()


@pytest.mark.parametrize("value", [None, "mine"])
def test_places_are_fixed_once_and_handed_over(
    value: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value:
        monkeypatch.setenv(home.HOME, value)
        monkeypatch.setenv(home.CACHE, "cache")
        monkeypatch.setenv(home.TRACKING, "sqlite:///runs.db")
    home.fix_places()
    handed = home.place_variables()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")  # as a worker is
    assert home.place_variables() == handed and home.home() == str(folder / (value or ".tonearm"))
    assert all(os.path.isabs(place.removeprefix("sqlite:///")) for place in handed.values())  # noqa: PTH117
    monkeypatch.setenv(home.HOME, str(folder / "other"))  # in a notebook, say: its database comes with it
    assert home.tracking_uri() == f"sqlite:///{folder}/{'runs.db' if value else 'other/mlflow.db'}"


@pytest.mark.parametrize("value", ["s3://bucket/tonearm", "gs://bucket", "file:///tmp/tonearm", "memory://x"])
def test_uri_as_home_needs_a_tracking_uri(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.HOME, value)
    with pytest.raises(ConfigError, match=rf"TONEARM_HOME is {value}: .* set MLFLOW_TRACKING_URI to"):
        home.tracking_uri()
    assert home.TRACKING not in home.place_variables()
    monkeypatch.setenv(home.TRACKING, "http://127.0.0.1:5000")
    assert home.place_variables()[home.TRACKING] == "http://127.0.0.1:5000"
    assert home.home() == value.removeprefix("file://")


def test_any_character_may_be_in_a_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = folder / "My Music #1 100% %20 what? ü"
    monkeypatch.setenv(home.HOME, str(odd))
    run = RunWriter.open("odd", "a run")
    run.text("notes/a.txt", "é")
    run.end()
    assert artifact_bytes(run.run_id, "notes/a.txt") == "é".encode()
    assert [r.name for r in overview().runs] == ["a run"]
    assert (odd / "mlflow.db").is_file()
    assert [p.read_text("utf-8") for p in (odd / "artifacts" / "odd").rglob("a.txt")] == ["é"]
    assert [p.name for p in folder.iterdir()] == [odd.name]
    assert home.sqlite_path(home.tracking_uri()) == str(odd / "mlflow.db")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/music/Song #1 100%.mp3", "/music/Song #1 100%.mp3"),
        ("file:///music/Song #1.mp3", "/music/Song #1.mp3"),
        ("file:///music/What?.mp3", "/music/What?.mp3"),
        ("file:///music/Song%20%231%3F.mp3", "/music/Song #1?.mp3"),
        ("file:///music/100%.mp3", "/music/100%.mp3"),
        ("file://localhost/music/a.mp3", "/music/a.mp3"),
        ("/music/50%20off.mp3", "/music/50%20off.mp3"),
    ],
)
def test_path_of_a_local_uri(uri: str, path: str) -> None:
    assert storage.is_local(uri) and storage.local_path(uri) == Path(path)
    assert storage.local_path(storage.file_uri(uri)) == Path(path), "and back"


def test_file_with_odd_names_is_written_and_read_by_its_uri(folder: Path) -> None:
    for name in ("Song #1.mp3", "What?.mp3", "100%.mp3", "ü %23.mp3"):
        uri = storage.file_uri(str(folder / "made" / name))
        storage.write_bytes(uri, b"x")
        assert storage.exists(uri) and (folder / "made" / name).read_bytes() == storage.read_bytes(uri) == b"x"
        assert storage.list_files(storage.file_uri(str(folder / "made"))).count(name) == 1
