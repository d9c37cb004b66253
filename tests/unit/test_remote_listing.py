"""A folder elsewhere, listed by any driver: what cannot be listed, chains, homes, tables, marks and what stays held."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.remote_files import written_at
from tonearm.core.remote_path import is_unlistable, list_remote, name_below
from tonearm.datasets.base import Catalogue
from tonearm.datasets.find_files import find_recordings
from tonearm.datasets.folder import scan_folder
from tonearm.datasets.manifest import Manifest, Track, save_manifest
from tonearm.workflows.dataset_identity import require_own_name
from tonearm.workflows.index_changes import _out_of_reach
from tonearm.workflows.prepare import choose_dataset
from tonearm.workflows.prepared_names import manifest_uri

TABLE = b"path,mood\nRock/a.flac,calm\n"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder elsewhere with two recordings, in a storage that is listed folder by folder, as most drivers do it."""
    monkeypatch.setattr(MemoryFileSystem, "find", AbstractFileSystem.find)
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    uri, memory = f"memory://{uuid.uuid4().hex}/music", fsspec.filesystem("memory")
    for name in ("Rock/a.flac", "Ska/Live/b.flac"):
        memory.pipe_file(f"{uri}/{name}", b"fLaC")
    return uri


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the storage refuse to list what is in a folder that is called so."""
    ls = MemoryFileSystem.ls

    def refuse(name: str, error: Exception | None = None) -> None:
        def refusing(self: Any, path: str, *rest: Any, **more: Any) -> Any:
            if f"/{name}/" in f"{path}/":
                raise error or PermissionError(13, "Permission denied")
            return ls(self, path, *rest, **more)

        monkeypatch.setattr(MemoryFileSystem, "ls", refusing)

    return refuse


def test_folders_that_cannot_be_listed_are_noted(uri: str, refuse: Callable[..., None]) -> None:
    refuse("Ska")
    found = find_recordings(uri)
    assert list(found.files) == ["Rock/a.flac"]
    assert found.notes == ("1 folder(s) cannot be read, e.g. 'Ska': PermissionError: [Errno 13] Permission denied",)


def test_rows_of_such_folders_stay_and_those_of_files_that_are_gone_do_not(
    uri: str, refuse: Callable[..., None]
) -> None:
    refuse("Ska")
    assert _out_of_reach(f"{uri}/Ska/Live/b.flac", is_unlistable) and _out_of_reach(f"{uri}/Ska/c.flac", is_unlistable)
    assert not _out_of_reach(f"{uri}/Rock/gone.flac", is_unlistable)
    assert not _out_of_reach(f"{uri}/Gone/gone.flac", is_unlistable)


def test_a_folder_that_is_left_out_anyway_is_not_missed(uri: str, refuse: Callable[..., None]) -> None:
    fsspec.filesystem("memory").pipe_file(f"{uri}/lost+found/x/c.flac", b"fLaC")
    refuse("lost+found")
    found = find_recordings(uri)
    assert len(found.files) == 2
    assert found.notes == ("1 hidden or system folder(s) not looked at, e.g. 'lost+found'",)


def test_a_root_that_cannot_be_listed_is_told_by_its_cause(uri: str, refuse: Callable[..., None]) -> None:
    refuse("music")
    with pytest.raises(DatasetError, match=r"cannot be listed \(PermissionError: .* credentials that may list"):
        find_recordings(uri)


def test_a_server_that_goes_away_meanwhile_ends_the_listing(uri: str, refuse: Callable[..., None]) -> None:
    refuse("Ska", ConnectionResetError(104, "reset by peer"))
    with pytest.raises(DatasetError, match=r"cannot be listed \(ConnectionResetError"):
        find_recordings(uri)


@pytest.mark.parametrize("chain", ["zip://music::memory://q/all", "simplecache::memory://q/music"])
def test_chains_are_refused(chain: str) -> None:
    with pytest.raises(DatasetError, match=r"chains storages, .*: unpack or copy them"):
        find_recordings(chain)


def test_a_table_that_is_listed_and_cannot_be_read_is_told(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan_folder(uri, "").table.rows == {}, "there is none"
    fsspec.filesystem("memory").pipe_file(f"{uri}/tracks.csv", TABLE)
    assert scan_folder(uri, "").table.rows

    def stumbling(self: Any, path: str, *rest: Any, **more: Any) -> Any:
        raise OSError("Please reduce your request rate")

    monkeypatch.setattr(MemoryFileSystem, "info", stumbling)
    monkeypatch.setattr(MemoryFileSystem, "cat_file", stumbling)
    with pytest.raises(DatasetError, match=r"tracks\.csv cannot be read \(OSError: Please reduce your request rate"):
        scan_folder(uri, "")


def test_a_home_in_the_folder_is_left_out_however_it_is_spelled(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for spelled in (f"{uri}/Ska", f"{uri}/Ska/", uri.replace("memory://", "memory:///") + "//Ska"):
        monkeypatch.setenv("TONEARM_HOME", spelled)
        assert list(find_recordings(uri).files) == ["Rock/a.flac"], spelled


@pytest.mark.parametrize(
    ("place", "root", "name"),
    [
        ("s3a://b/lib/home/", "s3://b/lib", "home"),
        ("s3://b/lib//home", "s3://b/", "lib/home"),
        ("s3://b/library", "s3://b/lib", ""),
        ("s3://b/lib", "s3://b/lib", ""),
        ("memory://b/lib/home", "s3://b/lib", ""),
        ("/b/lib/home", "s3://b/lib", ""),
        ("nosuch://b/lib", "s3://b", ""),
    ],
)
def test_places_are_compared_as_their_storage_has_them(place: str, root: str, name: str) -> None:
    assert name_below(place, root) == name


def test_nothing_of_a_listing_stays_in_the_driver(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ls = MemoryFileSystem.ls

    def listed(self: Any, *rest: Any, **more: Any) -> Any:
        asked.append("ls")
        return ls(self, *rest, **more)

    monkeypatch.setattr(MemoryFileSystem, "ls", listed)
    monkeypatch.setattr(MemoryFileSystem, "invalidate_cache", lambda self: asked.append("forget"))
    list_remote(uri)
    assert asked[0] == asked[-1] == "forget" and "ls" in asked


@pytest.mark.parametrize(
    "entry", [{"modify": "20240102030405"}, {"modify": "20240102030405.000"}, {"modificationTime": 1704164645000}]
)
def test_times_of_ftp_and_hdfs_are_known(entry: dict[str, Any]) -> None:
    assert written_at(entry) == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert written_at({"modify": "Jan 02 03:04"}) is None


def test_a_storage_that_tells_nothing_of_contents_is_noted(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ls = MemoryFileSystem.ls

    def bare(self: Any, *rest: Any, **more: Any) -> Any:
        return [{key: e[key] for key in ("name", "size", "type")} for e in ls(self, *rest, **more)]

    assert not find_recordings(uri).notes
    monkeypatch.setattr(MemoryFileSystem, "ls", bare)
    (note,) = find_recordings(uri).notes
    assert "2 file(s) whose storage tells neither" in note and "fetched anew every time" in note


def test_a_data_set_of_this_machine_may_be_given_as_a_file_uri(tmp_path: Path) -> None:
    assert choose_dataset("fma", (tmp_path / "my fma").as_uri()).root == str(tmp_path / "my fma")


def test_a_library_that_moved_from_elsewhere_is_the_same_one(uri: str, tmp_path: Path) -> None:
    track = Track(track_id="a", source=f"{uri}/Rock/a.flac", content="c" * 32, label="", group="a")
    there = Manifest(name="music", label="", tracks=(track,), root=uri)
    save_manifest(manifest_uri("music"), there)
    moved = Catalogue("music", "", [track], root=str(tmp_path / "music"))
    with pytest.raises(ConfigError, match="is taken"):
        require_own_name(moved)
    fsspec.filesystem("memory").rm(uri, recursive=True)
    require_own_name(moved)
