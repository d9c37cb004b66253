"""Data sets that cannot be built say what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import encode, tone, track
from tonearm.core.errors import DatasetError
from tonearm.datasets.folder import scan_folder
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.splits import split_by_group


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labelled recordings."""
    for i, name in enumerate(["a/one.wav", "b/two.wav"]):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(encode(tone(440 * (i + 1), 0.1)))
    return tmp_path / "music"


def message(folder: Path, label: str = "folder") -> str:
    with pytest.raises(DatasetError) as caught:
        scan_folder(str(folder), label)
    return str(caught.value)


def test_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file.wav").write_bytes(b"x")
    assert "is no folder: give the folder that holds your recordings" in message(tmp_path / "absent")
    assert "is no folder" in message(tmp_path / "file.wav")


def test_folder_without_audio(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.txt").write_text("no audio")
    (tmp_path / "x.wav").mkdir()
    assert f"no audio below {str(tmp_path)!r}: looked for .mp3, .ogg" in message(tmp_path)


def test_files_without_any_label(folder: Path) -> None:
    text = message(folder, "genre")
    assert "none of 2 audio files" in text and "has a label 'genre'" in text and "LABEL=folder" in text


def test_label_that_nothing_has(folder: Path) -> None:
    assert "has a label 'mood'" in message(folder, "mood")


def test_table_without_a_path_column(folder: Path) -> None:
    (folder / "tracks.csv").write_text("name,mood\none,calm\n")
    text = message(folder, "mood")
    assert "tracks.csv needs a column path (or file, filename, track_id), has ['name', 'mood']" in text


def test_table_without_the_label(folder: Path) -> None:
    (folder / "tracks.csv").write_text("path,mood\na/one.wav,calm\n")
    text = message(folder, "tempo")
    assert "LABEL 'tempo' is no column of" in text and "it has path, mood" in text


def test_table_that_names_other_files(folder: Path) -> None:
    (folder / "tracks.csv").write_text("path,mood\nelse.wav,calm\n")
    text = message(folder, "mood")
    assert "none of 2 audio files" in text
    assert "1 row(s) of tracks.csv name no file that is there, e.g. 'else.wav'" in text
    assert "no row of tracks.csv names a file; these are called e.g. 'a/one.wav'" in text


def test_table_in_another_encoding_is_read_and_a_guess_is_told(folder: Path) -> None:
    text = "path,mood\na/one.wav,ruhig schön\n"
    (folder / "tracks.csv").write_bytes(text.encode("cp1252"))
    tracks, _, _, notes, *_ = scan_folder(str(folder), "mood")
    assert [t.label for t in tracks] == ["ruhig schön"]
    assert notes[0].startswith("tracks.csv is not in UTF-8: read as Windows-1252, e.g. 'a/one.wav,ruhig schön'")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"):
        (folder / "tracks.csv").write_bytes(text.encode(encoding))
        tracks, _, _, notes, *_ = scan_folder(str(folder), "mood")
        assert [t.label for t in tracks] == ["ruhig schön"] and notes == ()


def test_table_that_is_no_text(folder: Path) -> None:
    (folder / "tracks.csv").write_bytes(b"path,mood\na/one.wav,\x81\xff\n")
    assert "is no text in UTF-8, UTF-16 or another known encoding: save it as UTF-8" in message(folder, "mood")


@pytest.mark.parametrize("data", [b"", b"\n\n"])
def test_table_that_is_empty(folder: Path, data: bytes) -> None:
    (folder / "tracks.csv").write_bytes(data)
    assert "tracks.csv cannot be read as a table: No columns" in message(folder, "mood")


def test_table_whose_rows_have_more_than_its_header_is_refused(folder: Path) -> None:
    (folder / "tracks.csv").write_text("path,mood\na/one.wav,sad\nb/two.wav,calm,and,more\n")
    assert "tracks.csv cannot be read as a table: " in message(folder, "mood")


def test_rows_that_end_early_lack_what_is_not_there(folder: Path) -> None:
    (folder / "tracks.csv").write_text('path,mood\na/one.wav\nb/two.wav,calm\n"",\n')
    tracks, rejects, *_ = scan_folder(str(folder), "mood")
    assert [(t.track_id, t.label) for t in tracks] == [("b/two.wav", "calm")]
    assert [r.track_id for r in rejects] == ["a/one.wav"]


def test_one_class_only() -> None:
    with pytest.raises(DatasetError, match=r"1 class\(es\) with at least 10 tracks, two are needed; found a \(30\)"):
        drop_small_classes([track(f"t{i}", "a") for i in range(30)])


def test_fewer_tracks_than_splits() -> None:
    with pytest.raises(DatasetError, match=r"class 'a' has 1 track\(s\), 3 splits need at least 3: add recordings"):
        split_by_group([track("t", "a"), *(track(f"b{i}", "b") for i in range(5))])


def test_one_track_of_each_class() -> None:
    with pytest.raises(DatasetError, match="class 'a' has 1"):
        split_by_group([track("x", "a"), track("y", "b")])
