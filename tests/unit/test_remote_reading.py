"""How much is fetched of recordings elsewhere, and how one that was replaced meanwhile is told."""

# ruff: noqa: F811  fixtures of another file
from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from tests.builders import encode
from tests.extract_in_process import extract_in_process
from tests.unit.test_remote_folder import local, plain, prepared, put, recording  # noqa: F401
from tonearm.audio import unchanged
from tonearm.audio.sources import open_named
from tonearm.audio.windows import ClipConfig
from tonearm.core import remote_files, remote_path, storage
from tonearm.core.errors import AudioError
from tonearm.core.remote_path import RemotePath
from tonearm.datasets import content, file_table
from tonearm.datasets.folder import scan_folder
from tonearm.workflows import prepare_catalogue


def test_where_only_tags_are_to_be_read_again_files_are_not_fetched_whole(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = local / "long.flac"
    long.write_bytes(encode(np.random.default_rng(0).uniform(-1, 1, 44_100 * 25).astype(np.float32), container="FLAC"))
    uri, block = put(local), remote_files.HEAD_BYTES
    assert long.stat().st_size > 6 * block
    first = scan_folder(uri, "artist")
    monkeypatch.setattr(content, "tag_reader", lambda: "another")
    fetched: list[tuple[str, int]] = []
    whole: list[str] = []
    read_bytes = remote_path.read_bytes
    monkeypatch.setattr(remote_path, "read_bytes", lambda uri: whole.append(uri) or read_bytes(uri))

    class Counted(AbstractBufferedFile):
        """As files of S3 are read: by ranges."""

        def _fetch_range(self, start: int, end: int) -> bytes:
            fetched.append((self.path.rpartition("/")[2], end - start))
            return bytes(self.fs.store[self.path].getvalue()[start:end])

    monkeypatch.setattr(
        MemoryFileSystem, "_open", lambda self, path, mode="rb", **named: Counted(self, path, mode, **named)
    )
    assert plain(scan_folder(uri, "artist"), uri) == plain(first, uri)
    assert whole == [f"{uri}/tracks.csv"] and max(n for _, n in fetched) <= block
    assert sum(n for name, n in fetched if name == "long.flac") <= 4 * block


def test_what_an_earlier_version_wrote_is_known(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (local / "tracks.csv").unlink()
    uri = put(local)
    with monkeypatch.context() as patch:
        patch.setattr(content, "tag_reader", lambda: "another")
        first = scan_folder(uri, "genre")
    (piece,) = (local.parent / "home" / file_table.FOLDER).glob("*/*.parquet")
    pq.write_table(pq.read_table(piece).drop_columns("foreign"), piece)
    monkeypatch.setattr(RemotePath, "read_bytes", lambda self: pytest.fail("its digest is known"))
    assert plain(scan_folder(uri, "genre"), uri) == plain(first, uri) and piece.exists()


@pytest.mark.parametrize(("place", "whence"), [(-1, 0), (-2, 1), (-10, 2)])
def test_no_reader_of_tags_gets_before_the_beginning(tmp_path: Path, place: int, whence: int) -> None:
    (tmp_path / "a.mp3").write_bytes(b"abc")
    for data in (None, b"abc"):
        with open_named(str(tmp_path / "a.mp3"), data) as file:
            assert file.read(1) == b"a"
            with pytest.raises(OSError, match=r"."):
                file.seek(place, whence)
            assert file.tell() == 1 and file.seek(-3, 2) == 0


def test_a_file_that_is_written_between_scan_and_extraction_is_told(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_in_process(monkeypatch)
    uri, memory, extract = put(local), fsspec.filesystem("memory"), prepare_catalogue._extract

    def written_before(*given: Any) -> Any:
        memory.pipe_file(f"{uri}/Rock 2/c.flac", recording(11))
        return extract(*given)

    monkeypatch.setattr(prepare_catalogue, "_extract", written_before)
    made = prepared(uri, ClipConfig(seconds=1.0), "there")
    assert ("Rock 2/c.flac", "changed") in [(r.track_id, r.reason) for r in made.rejects if r.stage == "extract"]


@pytest.mark.parametrize(("failures", "reason"), [(2, ""), (9, "missing")])
def test_a_store_that_is_busy_for_a_moment_is_asked_again(
    local: Path, monkeypatch: pytest.MonkeyPatch, failures: int, reason: str
) -> None:
    uri = f"{put(local)}/Rock/a.flac"
    stamp, asked = storage.stamp_now(uri), list[str]()
    info = MemoryFileSystem.info

    def busy(self: Any, path: str, **more: Any) -> Any:
        asked.append(path)
        if len(asked) <= failures:
            raise OSError("Please reduce your request rate")
        return info(self, path, **more)

    monkeypatch.setattr(MemoryFileSystem, "info", busy)
    monkeypatch.setattr(unchanged, "WAITS", (0.0, 0.0))
    if not reason:
        unchanged.require_unchanged(uri, stamp)
        return
    with pytest.raises(AudioError, match="reduce your request rate") as error:
        unchanged.require_unchanged(uri, stamp)
    assert error.value.reason == reason
