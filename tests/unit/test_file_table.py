"""Files that are as they were are not opened again; those that changed, in any way that shows, are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen.id3
import pytest

from tests.builders import encode, tone
from tonearm.core import home, storage
from tonearm.datasets import content, file_table
from tonearm.datasets.content import content_digest, digest_files, read_files
from tonearm.datasets.file_table import FOLDER, FileTable
from tonearm.datasets.folder import scan_folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that were written long before they are read."""
    now = time.time_ns
    monkeypatch.setattr(content.time, "time_ns", lambda: now() + 60 * 10**9)
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path / "home"))
    for name in ("a.mp3", "b.mp3", "c.mp3"):
        path = tmp_path / "music" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return tmp_path / "music"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The names of the files whose bytes were read since the last call."""
    names: list[str] = []
    digest = content.content_digest
    monkeypatch.setattr(content, "content_digest", lambda path: names.append(path.name) or digest(path))

    def since() -> list[str]:
        found = sorted(names)
        names.clear()
        return found

    return since


def scan(root: Path, tags: bool = False) -> dict[str, str]:
    files = {path.name: path for path in sorted(root.glob("*.mp3"))}
    read, rejects = read_files(files, str(root), tags)
    assert not rejects
    found = {name: reading.content for name, reading in read.items()}
    assert found == {name: content_digest(path) for name, path in files.items()}
    return found


def test_a_second_scan_opens_no_file(root: Path, opened: Callable[[], list[str]]) -> None:
    scan(root)
    assert opened() == ["a.mp3", "b.mp3", "c.mp3"]
    scan(root)
    assert opened() == []
    (root / "d.mp3").write_bytes(b"new")
    (root / "a.mp3").unlink()
    scan(root)
    assert opened() == ["d.mp3"]


def test_a_second_scan_of_a_data_set_opens_no_recording(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(tone(440, 0.5), container="MP3")
    for name in ("a.mp3", "b.mp3", "c.mp3"):
        (root / name).write_bytes(data)
        tags = mutagen.id3.ID3()
        tags.add(mutagen.id3.TPE1(encoding=0, text="\xca\xe8\xed\xee"))
        tags.add(mutagen.id3.TIT2(encoding=3, text=name))
        tags.add(mutagen.id3.TCON(encoding=3, text="Rock"))
        tags.save(root / name)
    first = scan_folder(str(root), "genre")
    assert len(first.tracks) == 3 and any("cp1251" in note for note in first.notes)
    reads: list[str] = []
    open_path = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: reads.append(str(self)) or open_path(self, *a, **k))
    open_file = open
    monkeypatch.setattr("builtins.open", lambda path, *a, **k: reads.append(str(path)) or open_file(path, *a, **k))
    second = scan_folder(str(root), "genre")
    assert (second.tracks, second.notes, second.rejects) == (first.tracks, first.notes, first.rejects)
    assert not [name for name in reads if name.endswith(".mp3")]


def put_time_back(path: Path, data: bytes) -> None:
    """Change a file in place, as programs that edit tags do when they are to keep its time."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "other bytes, equal size": lambda path: path.write_bytes(b"B.MP3" * 100),
    "time put back": lambda path: put_time_back(path, b"B.MP3" * 100),
    "another file in its place": lambda path: (path.parent / "new").rename(path) if (path.parent / "new").write_bytes(
        b"other" * 100) else None,
    "touched": lambda path: os.utime(path),
    "older": lambda path: os.utime(path, (10**9, 10**9)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_read_again_and_nothing_else(root: Path, opened: Callable[[], list[str]], change: str) -> None:
    scan(root)
    opened()
    CHANGES[change](root / "b.mp3")
    scan(root)
    assert opened() == ["b.mp3"]
    scan(root)
    assert opened() == []


def test_what_was_just_written_is_read_again(
    root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = max(path.stat().st_ctime_ns for path in root.iterdir())
    monkeypatch.setattr(content.time, "time_ns", lambda: written + 10**9)
    scan(root)
    scan(root)
    assert opened() == sorted(2 * ["a.mp3", "b.mp3", "c.mp3"])


def test_a_file_that_changes_while_it_is_read_is_read_again(
    root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = content.content_digest

    def slowly(path: Path) -> str:
        found = digest(path)
        if path.name == "b.mp3":
            path.write_bytes(b"after" * 100)
        return found

    with monkeypatch.context() as during:
        during.setattr(content, "content_digest", slowly)
        read_files({p.name: p for p in root.iterdir()}, str(root))
    opened()
    scan(root)
    assert opened() == ["b.mp3"]


def test_what_was_read_is_kept_when_the_scan_is_broken_off(
    root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "FILES_AT_ONCE", 1)
    digest = content.content_digest

    def stopped(path: Path) -> str:
        if path.name == "c.mp3":
            raise KeyboardInterrupt
        return digest(path)

    with monkeypatch.context() as during:
        during.setattr(content, "content_digest", stopped)
        with pytest.raises(KeyboardInterrupt):
            scan(root)
    opened()
    scan(root)
    assert opened() == ["c.mp3"]


def test_what_was_read_is_written_now_and_then(
    root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is killed cannot write at its end."""
    monkeypatch.setattr(file_table, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(FileTable, "close", lambda self: None)
    scan(root)
    opened()
    scan(root)
    assert opened() == []


def test_pieces_are_made_one(root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_table, "MOST_PIECES", 3)
    for i in range(6):
        (root / f"{i}.mp3").write_bytes(b"new" * i + b"1")
        scan(root)
        (folder,) = Path(storage.join(home.home(), FOLDER)).iterdir()
        assert len(list(folder.iterdir())) <= 3
    opened()
    scan(root)
    assert opened() == []


def test_a_damaged_piece_costs_a_reading(
    root: Path, opened: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    scan(root)
    (folder,) = Path(storage.join(home.home(), FOLDER)).iterdir()
    for piece in folder.iterdir():
        piece.write_bytes(piece.read_bytes()[:100])
    opened()
    scan(root)
    assert "is damaged" in caplog.text and len(opened()) == 3
    scan(root)
    assert opened() == []


def test_other_code_reads_tags_again(
    root: Path, opened: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    read_own = content._read_own
    monkeypatch.setattr(content, "_read_own", lambda path, *data: read.append(path) or read_own(path, *data))
    scan(root)
    assert len(opened()) == 3 and not read
    scan(root, tags=True)
    assert not opened() and len(read) == 3  # their bytes are as they were
    scan(root, tags=True)
    assert not opened() and len(read) == 3
    monkeypatch.setattr(content, "tag_reader", lambda: "another")
    scan(root, tags=True)
    assert not opened() and len(read) == 6


def test_what_changed_before_its_tags_were_read_is_read_as_a_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(root)
    known = content._known

    def changed_meanwhile(*given: Any) -> Any:
        found = known(*given)
        (root / "b.mp3").write_bytes(b"other" * 99)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(content, "_known", changed_meanwhile)
        files = {path.name: path for path in sorted(root.glob("*.mp3"))}
        read, _ = read_files(files, str(root), tags=True)
    assert read["b.mp3"].content == content_digest(root / "b.mp3")
    scan(root, tags=True)


def test_contents_alone_need_no_root(root: Path, opened: Callable[[], list[str]]) -> None:
    """As a data set of one's own asks for them, see platform/README.md."""
    (root / "deeper").mkdir()
    (root / "deeper" / "d.mp3").write_bytes(b"d")
    files = {path.name: path for path in sorted(root.rglob("*.mp3"))}
    for reads in (4, 0):
        contents, rejects = digest_files({**files, "e": root / "absent.mp3"})
        assert contents == {name: content_digest(path) for name, path in files.items()}
        assert [r.reason for r in rejects.values()] == ["missing"] and len(opened()) == reads
    assert digest_files({}) == ({}, {})


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_root_whose_name_is_no_text(root: Path, opened: Callable[[], list[str]]) -> None:
    odd = root.rename(Path(os.fsdecode(os.fsencode(root.parent) + b"/\xff")))
    scan(odd)
    opened()
    scan(odd)
    assert opened() == []


def test_where_nothing_can_be_kept_all_is_read_and_that_is_said(
    root: Path, opened: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    Path(home.home()).write_text("a file in the way")
    scan(root)
    scan(root)
    assert len(opened()) == 6 and "cannot be kept" in caplog.text
