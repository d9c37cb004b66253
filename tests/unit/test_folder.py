"""A folder of recordings: labels by folder, tags or table, and what is set aside."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.builders import encode, tone
from tests.unit.test_tags import write_tagged
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets import DatasetConfig
from tonearm.datasets.folder import FolderConfig, scan_folder
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest


@pytest.fixture
def music_folder(tmp_path: Path) -> Path:
    """Two artists' folders; the first file of each is tagged."""
    root = tmp_path / "music"
    for i, name in enumerate(["Björk/a.flac", "Björk/b.flac", "Ella/c.ogg", "Ella/live/d.ogg"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tagged(path, {"title": f"Title {i}", "genre": "rock"} if i % 2 else {})
    for i, name in enumerate(["Björk/a.flac", "Ella/c.ogg"]):
        tags = {"title": f"T{i}", "artist": f"Artist {i}", "album": f"Album {i}", "genre": "jazz", "date": "1994-05"}
        write_tagged(root / name, tags)
    (root / "Björk" / "cover.jpg").write_bytes(b"no audio")
    (root / ".hidden.flac").write_bytes(b"hidden")
    return root


def table(root: Path, text: str, encoding: str = "utf-8") -> None:
    (root / "tracks.csv").write_text(text, encoding)


def test_folders_are_labels(music_folder: Path) -> None:
    tracks, rejects, *_ = scan_folder(str(music_folder))
    assert rejects == []
    assert [(t.track_id, t.label) for t in tracks] == [
        ("Björk/a.flac", "Björk"), ("Björk/b.flac", "Björk"), ("Ella/c.ogg", "Ella"), ("Ella/live/d.ogg", "live"),
    ]  # fmt: skip
    first = tracks[0]
    assert (first.title, first.artist, first.album, first.year) == ("T0", "Artist 0", "Album 0", 1994)
    assert first.group == "artist:artist 0" and tracks[1].group == "track:Björk/b.flac"
    assert Path(first.source).is_absolute() and len(first.content) == 32


def test_tags_are_labels_and_untagged_files_are_set_aside(music_folder: Path) -> None:
    tracks, rejects, *_ = scan_folder(str(music_folder), "genre")
    assert [t.label for t in tracks] == ["jazz", "rock", "jazz", "rock"] and rejects == []
    tracks, rejects, *_ = scan_folder(str(music_folder), "artist")
    assert [t.label for t in tracks] == ["Artist 0", "Artist 1"]
    assert [(r.track_id, r.stage, r.reason) for r in rejects] == [
        ("Björk/b.flac", "scan", "no_label"), ("Ella/live/d.ogg", "scan", "no_label"),
    ]  # fmt: skip


def test_table_wins_over_tags_and_tags_fill_its_gaps(music_folder: Path) -> None:
    rows = "./Björk/a.flac,blues,Someone,1901,64.1,sad\nElla/c.ogg,,,,,\n"
    table(music_folder, f"path,genre,artist,year,latitude,mood\n{rows}")
    tracks, *_ = scan_folder(str(music_folder), "genre")
    by_id = {t.track_id: t for t in tracks}
    first = by_id["Björk/a.flac"]
    assert (first.label, first.artist, first.title) == ("blues", "Someone", "T0")
    assert (first.year, first.latitude) == (1901, 64.1)
    assert first.group == "artist:someone"
    assert by_id["Ella/c.ogg"].label == "jazz" and by_id["Ella/c.ogg"].artist == "Artist 1"
    assert [(t.track_id, t.label) for t in scan_folder(str(music_folder), "mood")[0]] == [("Björk/a.flac", "sad")]


def test_column_may_be_empty_in_the_first_row(music_folder: Path) -> None:
    table(music_folder, "path,mood\nBjörk/a.flac,\nElla/c.ogg,calm\n")
    tracks, rejects, *_ = scan_folder(str(music_folder), "mood")
    assert [(t.track_id, t.label) for t in tracks] == [("Ella/c.ogg", "calm")] and len(rejects) == 3


@pytest.mark.parametrize("header", ["file", "filename", "track_id"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_table_finds_its_files_by_other_columns_and_stems(music_folder: Path, header: str, encoding: str) -> None:
    table(music_folder, f"{header},mood\na,sad\nd,calm\nabsent,angry\n", encoding)
    assert [t.label for t in scan_folder(str(music_folder), "mood")[0]] == ["sad", "calm"]


def test_an_artist_is_one_group_however_the_name_is_written(music_folder: Path) -> None:
    names = ("Björk", " BJO\u0308RK", "\uff42jörk", "Ella  F.")
    files = ("Björk/a.flac", "Björk/b.flac", "Ella/c.ogg", "Ella/live/d.ogg")
    table(music_folder, "path,artist\n" + "".join(f"{f},{n}\n" for f, n in zip(files, names, strict=True)))
    tracks = scan_folder(str(music_folder))[0]
    assert [t.group for t in tracks] == ["artist:björk"] * 3 + ["artist:ella f."]
    assert tracks[2].artist == "\uff42jörk"  # shown as it is written


def test_rows_that_count_for_no_file_are_counted_with_an_example(music_folder: Path) -> None:
    (music_folder / "Ella" / "a.flac").write_bytes((music_folder / "Björk" / "b.flac").read_bytes() + b"x")
    rows = ("c,angry", "a,sad", "absent,calm", "absent too,calm", "./Ella/c.ogg,calm", "d,soft", "d,loud", "b,sad")
    table(music_folder, "path,mood\n" + "\n".join(rows) + "\n")
    catalogue = FolderConfig(root=str(music_folder), label="mood").catalogue()
    assert {t.track_id: t.label for t in catalogue.tracks} == {
        "Ella/c.ogg": "calm", "Björk/b.flac": "sad",
    }  # fmt: skip
    (contradiction,) = [r for r in catalogue.rejects if r.reason == "two_labels"]
    assert contradiction.detail == "tracks.csv gives Ella/live/d.ogg two labels: 'soft' and 'loud'"
    assert catalogue.notes == (
        "2 row(s) of tracks.csv name no file that is there, e.g. 'absent': left out",
        "1 row(s) of tracks.csv name several files, e.g. 'a': left out; it may be Björk/a.flac or Ella/a.flac: write "
        "more of the paths",
        "1 row(s) of tracks.csv come second for a file, e.g. 'c': left out",
        "1 row(s) of tracks.csv contradict the first one of their file, e.g. of 'Ella/live/d.ogg' mood is 'soft' and "
        "'loud'",
        f"1 file(s) are recordings under two labels, left out of training: e.g. {contradiction.detail}",
    )


@pytest.mark.parametrize("separator", [";", "\t"])
def test_table_may_be_separated_by_semicolons_or_tabs(music_folder: Path, separator: str) -> None:
    rows = (("", "path", "mood", "tempo"), ("0", "Björk/a.flac", "sad, calm", "120"), ("1", "c", "NA", "90"))
    table(music_folder, "\n".join(separator.join(row) for row in rows) + "\n")
    catalogue = FolderConfig(root=str(music_folder), label="mood").catalogue()
    assert [t.label for t in catalogue.tracks] == ["sad, calm", "NA"]
    assert catalogue.metadata.columns == ["tempo"]  # the nameless column is an index


def test_the_same_bytes_are_one_track(music_folder: Path) -> None:
    (music_folder / "Björk" / "again.flac").write_bytes((music_folder / "Björk" / "a.flac").read_bytes())
    tracks, rejects, *_ = scan_folder(str(music_folder))
    assert len(tracks) == 4
    assert [(r.track_id, r.reason, r.detail) for r in rejects] == [
        ("Björk/again.flac", "duplicate", "the same bytes as Björk/a.flac")
    ]


def test_content_is_the_identity_and_not_the_place(music_folder: Path) -> None:
    before = {t.content for t in scan_folder(str(music_folder))[0]}
    music_folder.rename(music_folder.with_name("moved"))
    assert {t.content for t in scan_folder(str(music_folder.with_name("moved")))[0]} == before
    assert len(before) == 4


def test_files_that_cannot_be_read_are_set_aside(music_folder: Path) -> None:
    (music_folder / "dangling.mp3").symlink_to(music_folder / "absent.mp3")
    (music_folder / "folder.wav").mkdir()
    os.mkfifo(music_folder / "pipe.wav")
    Path(os.fsdecode(os.fsencode(music_folder) + b"/caf\xe9.wav")).write_bytes(encode(tone(440, 0.1)))
    tracks, rejects, *_ = scan_folder(str(music_folder))
    assert len(tracks) == 4
    reasons = {r.track_id: r.reason for r in rejects}
    assert reasons == {"dangling.mp3": "missing", "pipe.wav": "missing", "caf\\xe9.wav": "bad_name"}


ODD_NAMES = ["日本語.wav", "new\nline.wav", "a'b\"c.wav", "-rf.wav", "UPPER.WAV", "e\u0301.wav", "🎵.wav"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_go_through_to_the_manifest_and_back(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "music" / "läbel"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(encode(tone(440, 0.1)))
    tracks, rejects, *_ = scan_folder(str(tmp_path / "music"))
    assert rejects == [] and [t.track_id for t in tracks] == [f"läbel/{name}"]
    uri = str(tmp_path / "m.parquet")
    save_manifest(uri, Manifest("folder", "folder", tuple(tracks)))
    assert load_manifest(uri).tracks == tuple(tracks)


@pytest.mark.parametrize(
    ("year", "wanted", "noted"),
    [
        ("1959", 1959, False),
        ("1959.0", 1959, False),
        ("1", 1, False),
        ("9999", 9999, False),
        ("", None, False),
        ("nan", None, False),
        ("0", None, False),  # how tables write "unknown"
        ("long ago", None, True),
        ("inf", None, True),
        ("-3", None, True),
        ("10000", None, True),
        ("99999999999", None, True),
    ],
)
def test_year_is_within_1_to_9999_or_absent_and_nothing_else_is_lost(
    year: str, wanted: int | None, noted: bool, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").write_bytes(encode(tone(440, 0.1)))
    table(tmp_path, f"path,mood,year,artist\na.wav,calm,{year},Ann\n")
    found = FolderConfig(root=str(tmp_path), label="mood").catalogue()
    (track,) = found.tracks
    assert (track.year, track.label, track.artist) == (wanted, "calm", "Ann")
    assert found.notes == (
        (f"1 row(s) of tracks.csv have an impossible year, e.g. {year!r}: unknown",) if noted else ()
    )
    uri = str(tmp_path / "m.parquet")
    save_manifest(uri, Manifest("folder", "mood", (track,)))
    assert load_manifest(uri).tracks == (track,)


# --- the data set


def test_a_catalogue_is_the_scan_and_is_called_after_the_folder(music_folder: Path) -> None:
    config = DatasetConfig.from_dict({"kind": "folder", "root": str(music_folder), "label": "artist"})
    catalogue = config.catalogue()
    assert (catalogue.name, catalogue.label) == ("music", "artist")
    tracks, rejects, *_ = scan_folder(str(music_folder), "artist")
    assert (catalogue.tracks, catalogue.rejects) == (tracks, rejects)
    assert len(catalogue.metadata) == 0 and catalogue.notes == ()


def test_numbers_in_the_table_become_facts(music_folder: Path) -> None:
    rows = "Björk/a.flac,sad,120.5,3,1994,,x\nElla/c.ogg,calm,,4,nan,,2\nd,calm,90,5,,,3\nabsent,calm,1,2,3,,4\n"
    table(music_folder, f"path,mood,tempo,rating,year,empty,mixed\n{rows}")
    catalogue = FolderConfig(root=str(music_folder), label="mood").catalogue()
    ids = ["Björk/a.flac", "Ella/c.ogg", "Ella/live/d.ogg"]
    assert [t.track_id for t in catalogue.tracks] == ids and catalogue.metadata.columns == ["rating", "tempo", "year"]
    np.testing.assert_array_equal(catalogue.metadata.of(ids, "tempo"), [120.5, np.nan, 90.0])
    np.testing.assert_array_equal(catalogue.metadata.of(ids, "rating"), [3.0, 4.0, 5.0])
    np.testing.assert_array_equal(catalogue.metadata.of(ids, "year"), [1994.0, np.nan, np.nan])


def test_the_label_is_no_fact(music_folder: Path) -> None:
    table(music_folder, "path,decade,tempo\nBjörk/a.flac,1990,100\nElla/c.ogg,1950,90\n")
    assert FolderConfig(root=str(music_folder), label="decade").catalogue().metadata.columns == ["tempo"]


def test_tracks_of_a_regression_need_no_label(music_folder: Path) -> None:
    table(music_folder, "path,tempo\nBjörk/a.flac,100\n")
    catalogue = FolderConfig(root=str(music_folder), label="").catalogue()
    assert [t.label for t in catalogue.tracks] == [""] * 4 and catalogue.rejects == []
    assert np.isnan(catalogue.metadata.of(["Björk/b.flac"], "tempo")).all()


def test_several_labels_are_separated_and_sorted(music_folder: Path) -> None:
    table(music_folder, "path,moods\nBjörk/a.flac,sad| calm |sad\nElla/c.ogg,calm\nd,|\n")
    config = FolderConfig(root=str(music_folder), label="moods", separator="|")
    catalogue = config.catalogue()
    assert [(t.label, t.labels) for t in catalogue.tracks] == [("calm", ("calm", "sad")), ("calm", ())]
    assert {r.track_id: r.reason for r in catalogue.rejects} == {
        "Björk/b.flac": "no_label", "Ella/live/d.ogg": "no_label",
    }  # fmt: skip
    first = FolderConfig(root=str(music_folder), label="moods").catalogue()
    assert [(t.label, t.labels) for t in first.tracks] == [("sad", ()), ("calm", ())]
    assert first.notes == (
        "1 track(s) have several labels, 'sad| calm |sad' (1): the first counts; several_labels=all makes each a label "
        "of the track (--several-labels all)",
    )


def test_a_separator_of_folder_names_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"separator is '\|', but label 'folder' has one value"):
        FolderConfig(separator="|")


def test_no_root_is_not_the_present_folder(music_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(music_folder)
    with pytest.raises(DatasetError, match="'' is no folder"):
        FolderConfig().catalogue()
