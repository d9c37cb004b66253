"""Recordings that lie elsewhere are the data set that they are on this machine; only what is new is fetched."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import mutagen
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.builders import encode, music
from tests.extract_in_process import extract_in_process
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, remote_files
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.remote_path import RemotePath
from tonearm.datasets import content
from tonearm.datasets.find_files import find_recordings
from tonearm.datasets.folder import FolderConfig, FolderScan, scan_folder
from tonearm.features.store import FeatureStore, track_key
from tonearm.pipelines import decoding
from tonearm.workflows.classify import expand_files
from tonearm.workflows.prepare import choose_dataset, prepare

TABLE = "path,mood,tempo\nRock/a.flac,calm,90\nRock/b.ogg,wild,180\n"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with all that people have: tags, a table, copies, what is hidden, foreign, empty or no audio."""
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    now = time.time_ns
    monkeypatch.setattr(content.time, "time_ns", lambda: now() + 60 * 10**9)  # all was written long before
    monkeypatch.setattr(content, "BYTES_AT_ONCE", 30_000)  # the digests of larger files are read by blocks
    root = tmp_path / "My Music"
    for i, name in enumerate(["Rock/a.flac", "Rock/b.ogg", "Rock 2/c.flac", "Ska/Kino, Noch #1?.mp3", "d%20.flac"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording(i, path.suffix[1:].upper()))
        file: Any = mutagen.File(path, easy=True)
        if i != 1:
            file.update({"title": [f"T{i}"], "artist": [f"Artist {i % 2}"], "genre": ["rock"]})
            file.save()
    (root / "Ska" / "copy.flac").write_bytes((root / "Rock" / "a.flac").read_bytes())
    for name in (".hidden.flac", ".trash/x.flac", "@eaDir/y.flac", "Rock/cover.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"fLaC")
    (root / "Ska" / "page.mp3").write_text("<html>" * 20_000)
    (root / "Ska" / "empty.wav").write_bytes(b"")
    (root / "Ska" / "old.wma").write_bytes(b"x")
    (root / "tracks.csv").write_text(TABLE)
    return root


def put(root: Path) -> str:
    """The same library elsewhere."""
    uri = f"memory://{uuid.uuid4().hex}/My Music"
    memory = fsspec.filesystem("memory")
    for path in root.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"{uri}/{path.relative_to(root).as_posix()}", path.read_bytes())
    return uri


def recording(seed: int, container: str = "FLAC") -> bytes:
    return encode(music(2.0, seed=seed), container=container)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The names of the files elsewhere whose bytes were asked for since the last call."""
    names: list[str] = []
    open_file, cat_file = MemoryFileSystem._open, MemoryFileSystem.cat_file

    def opened(self: Any, path: str, mode: str = "rb", **more: Any) -> Any:
        names.extend([path.rpartition("/")[2]] if mode == "rb" else [])
        return open_file(self, path, mode, **more)

    def fetched_whole(self: Any, path: str, *more: Any) -> Any:
        names.append(path.rpartition("/")[2])
        return cat_file(self, path, *more)

    def since() -> list[str]:
        found = sorted(set(names))
        names.clear()
        return found

    monkeypatch.setattr(MemoryFileSystem, "_open", opened)
    monkeypatch.setattr(MemoryFileSystem, "cat_file", fetched_whole)
    return since


def plain(found: FolderScan, root: str) -> dict[str, Any]:
    """What was found, whatever the place."""
    return {
        "tracks": [dataclasses.replace(t, source=t.source.removeprefix(root)) for t in found.tracks],
        "rejects": [dataclasses.replace(r, source=r.source.removeprefix(root)) for r in found.rejects],
        "notes": found.notes, "table": found.table, "label": found.label, "found": found.found,
    }  # fmt: skip


@pytest.mark.parametrize("label", ["folder", "artist", "genre", "mood", ""])
def test_what_lies_elsewhere_is_the_same_data_set(local: Path, label: str) -> None:
    uri = put(local)
    assert plain(scan_folder(uri, label), uri) == plain(scan_folder(str(local), label), str(local))
    assert FolderConfig(root=uri, label=label).catalogue().name == "my-music"
    assert scan_folder(local.as_uri(), label).tracks == scan_folder(str(local), label).tracks
    sources = [t.source for t in scan_folder(uri, label).tracks]
    assert sources and all(s.startswith(f"{uri}/") for s in sources)


def test_features_are_the_same_and_a_second_time_nothing_is_fetched(
    local: Path, monkeypatch: pytest.MonkeyPatch, fetched: Callable[[], list[str]]
) -> None:
    extract_in_process(monkeypatch)
    uri, clip = put(local), ClipConfig(seconds=1.0)
    there = prepared(uri, clip, "there")
    assert next(t.source for t in there.manifest.tracks).startswith(uri)
    (mel,) = there.features
    store = FeatureStore(f"{home.features_home()}/{mel.store_name()}")
    first = {t.content: store.read(track_key(t.content, clip), 0) for t in there.manifest.tracks}
    monkeypatch.setenv("TONEARM_HOME", f"{local.parent}/another")
    here = prepared(str(local), clip, "here")
    store = FeatureStore(f"{home.features_home()}/{mel.store_name()}")
    assert {t.content for t in here.manifest.tracks} == first.keys()
    for key, stored in first.items():
        np.testing.assert_array_equal(stored.values, store.read(track_key(key, clip), 0).values)

    monkeypatch.setenv("TONEARM_HOME", str(local.parent / "home"))
    fetched()
    again = prepared(uri, clip, "there")
    assert again.extraction is not None and again.extraction.extracted == 0
    assert fetched() == ["tracks.csv"]
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"{uri}/Rock/new.flac", recording(9))
    memory.pipe_file(f"{uri}/Rock/b.ogg", recording(10, "OGG"))
    memory.rm_file(f"{uri}/Rock 2/c.flac")
    grown = prepared(uri, clip, "there")
    assert fetched() == ["b.ogg", "new.flac", "tracks.csv"]
    assert grown.extraction is not None and grown.extraction.extracted == 2
    ids = {t.track_id for t in grown.manifest.tracks}
    assert "Rock/new.flac" in ids and "Rock 2/c.flac" not in ids


def prepared(root: str, clip: ClipConfig, name: str) -> Any:
    return prepare("folder", root=root, label="folder", features="mel", clip=clip, name=name, classes=None,
                   max_rejected=1.0)  # fmt: skip


def test_what_has_no_label_is_not_fetched_again(local: Path, fetched: Callable[[], list[str]]) -> None:
    uri = put(local)
    first = scan_folder(uri, "genre")
    assert {r.track_id: r.reason for r in first.rejects} == {
        "Rock/b.ogg": "no_label", "Ska/copy.flac": "duplicate", "Ska/empty.wav": "empty", "Ska/page.mp3": "undecodable",
    }  # fmt: skip
    fetched()
    assert plain(scan_folder(uri, "genre"), uri) == plain(first, uri)
    assert fetched() == ["tracks.csv"]


def test_what_cannot_be_fetched_now_is_set_aside_and_fetched_the_next_time(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put(local)
    open_file = MemoryFileSystem._open

    def broken(self: Any, path: str, *more: Any, **named: Any) -> Any:
        if path.endswith("a.flac"):
            raise PermissionError("Forbidden\nThe rest of a page")
        return open_file(self, path, *more, **named)

    assert (local / "Rock" / "a.flac").stat().st_size > content.BYTES_AT_ONCE
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "_open", broken)
        found = scan_folder(uri)
    (missing,) = [r for r in found.rejects if r.reason == "missing"]
    assert (missing.track_id, missing.source) == ("Rock/a.flac", f"{uri}/Rock/a.flac")
    assert missing.detail == "cannot be read: PermissionError: Forbidden" and missing.bytes > 0
    assert "Rock/a.flac" in {t.track_id for t in scan_folder(uri, "genre").tracks}


def test_a_file_that_is_written_while_it_is_extracted_is_told(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract_in_process(monkeypatch)
    uri = put(local)
    memory, load = fsspec.filesystem("memory"), decoding.load_clips

    def written_meanwhile(source: str, *rest: Any) -> Any:
        yield from load(source, *rest)
        if source.endswith("c.flac"):
            memory.pipe_file(source, recording(11))

    monkeypatch.setattr(decoding, "load_clips", written_meanwhile)
    made = prepared(uri, ClipConfig(seconds=1.0), "there")
    assert [(r.track_id, r.reason) for r in made.rejects if r.stage == "extract"] == [
        ("Rock 2/c.flac", "changed"), ("Ska/page.mp3", "undecodable"),
    ]  # fmt: skip


def test_a_home_in_the_same_place_is_no_music(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = put(local)
    monkeypatch.setenv("TONEARM_HOME", f"{uri}/Ska")
    assert {t.track_id for t in scan_folder(uri).tracks} == {"Rock/a.flac", "Rock/b.ogg", "Rock 2/c.flac", "d%20.flac"}


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("memory://nothing-here/music", "holds no files: give the URI"),
        ("s3://", "names no bucket: give one and the folder in it, such as s3://BUCKET/MUSIC"),
        ("nosuch://bucket/music", "of no storage that is known (nosuch://)"),
        ("https://example.org/music", "cannot be listed, https:// is of single files"),
        ("sftp://anna:geheim@host/music", "AUDIO sftp://anna:***@host/music has a password"),
    ],
)
def test_what_cannot_be_listed_is_told_with_the_fix(root: str, said: str) -> None:
    with pytest.raises(DatasetError) as error:
        find_recordings(root)
    assert said in str(error.value) and "geheim" not in str(error.value)


def test_a_file_is_no_folder(local: Path) -> None:
    uri = put(local)
    with pytest.raises(DatasetError, match="is a file: give the folder"):
        find_recordings(f"{uri}/Rock/a.flac")


def test_a_folder_of_other_files_holds_no_audio() -> None:
    uri = f"memory://{uuid.uuid4().hex}/texts"
    fsspec.filesystem("memory").pipe_file(f"{uri}/.hidden/a.txt", b"a")
    with pytest.raises(DatasetError, match=r"no audio below .* 1 hidden or system folder\(s\) not looked at"):
        find_recordings(uri)


@pytest.mark.parametrize("kind", ["fma", "playlists", "artists", "spotify", "cifar100"])
def test_data_sets_that_are_read_here_alone_say_so(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"data set {kind} is read from a folder of this machine, not from s3://b/"):
        choose_dataset(kind, "s3://b/music")


def test_files_that_a_model_is_to_hear_may_be_a_folder_elsewhere(local: Path) -> None:
    uri = put(local)
    files, unusable, notes = expand_files([uri, f"{uri}/Rock/a.flac", "https://example.org/stream"])
    assert files[0] == f"{uri}/Rock/a.flac" and len(files) == 9 and files[-1] == "https://example.org/stream"
    assert not unusable and any(".wma" in note for note in notes)


def test_two_colons_in_a_name_chain_nothing() -> None:
    uri = "s3://bucket/Kino :: Noch/a::b #1.mp3"
    filesystem, path = remote_files.filesystem_of(uri)
    assert "s3" in filesystem.protocol and path == "bucket/Kino :: Noch/a::b #1.mp3"


@pytest.mark.parametrize(
    ("entry", "mark"),
    [({"ETag": '"abc-2"'}, "abc-2"), ({"etag": "0x8D"}, "0x8D"), ({"generation": 17}, "17"), ({"size": 3}, "")],
)
def test_stores_mark_contents_in_several_ways(entry: dict[str, Any], mark: str) -> None:
    assert remote_files.mark_of(entry) == mark
    at = RemotePath("s3://b/a.mp3", 3, 5.0, mark).stamp
    assert at == (3, 5 * 10**9, 5 * 10**9) if not mark else at[:2] == (3, 0)
    assert at != RemotePath("s3://b/a.mp3", 3, 6.0, f"{mark}x" if mark else "").stamp
