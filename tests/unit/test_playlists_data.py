"""Playlists: memberships become labels, whatever the table is and whether there is audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import encode, tone
from tests.unit.test_tags import write_tagged
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets import DatasetConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.manifest import Manifest, Track, load_manifest, save_manifest
from tonearm.datasets.playlists import PlaylistsConfig

Rows = Sequence[tuple[str, ...]]


def write_rows(root: Path, rows: Rows, header: str = "track,playlist", name: str = "playlists.csv") -> None:
    lines = [header, *(",".join(f'"{cell}"' for cell in row) for row in rows)]
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six recordings, two of one artist by their tags."""
    folder = tmp_path / "My Playlists"
    for i, name in enumerate(["x/a.wav", "x/b.wav", "y/c.wav", "y/d.wav", "e.wav", "f.flac"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(tone(220 + 50 * i, 0.1)))
    write_tagged(folder / "f.flac", {"artist": "Ella", "title": "F", "album": "Live"})
    return folder


def catalogue_of(root: Path, **fields: Any) -> Catalogue:
    return PlaylistsConfig(root=str(root), **{"min_tracks": 1, **fields}).catalogue()


def by_id(catalogue: Catalogue) -> dict[str, Track]:
    return {t.track_id: t for t in catalogue.tracks}


ROWS = [("x/a.wav", "chill"), ("./x/b.wav", "chill"), ("c", "work out"), ("a", "bliss"), ("f", "chill"), ("d", "bliss")]


def test_playlists_are_labels_sorted_and_files_are_found_by_path_or_stem(root: Path) -> None:
    write_rows(root, ROWS)
    catalogue = catalogue_of(root)
    assert {i: t.all_labels for i, t in by_id(catalogue).items()} == {
        "x/a.wav": ("bliss", "chill"), "x/b.wav": ("chill",), "y/c.wav": ("work out",), "y/d.wav": ("bliss",),
        "f.flac": ("chill",),
    }  # fmt: skip
    assert by_id(catalogue)["x/a.wav"].label == "bliss"
    assert (catalogue.name, catalogue.label) == ("my-playlists", "playlist")
    assert [(r.track_id, r.reason) for r in catalogue.rejects] == [("e.wav", "no_label")]
    assert "1 of 5 track(s) are on several playlists: the class is the first by name" in catalogue.notes


def test_tags_and_a_tracks_csv_tell_the_artist_who_is_the_group(root: Path) -> None:
    write_rows(root, ROWS)
    (root / "tracks.csv").write_text("path,artist,title\nx/a.wav,Ella,A\n")
    tracks = by_id(catalogue_of(root))
    assert (tracks["f.flac"].artist, tracks["f.flac"].album, tracks["f.flac"].group) == ("Ella", "Live", "artist:ella")
    assert tracks["x/a.wav"].group == "artist:ella" and tracks["x/b.wav"].group == "track:x/b.wav"
    assert Path(tracks["x/a.wav"].source).is_absolute() and len(tracks["x/a.wav"].content) == 32


@pytest.mark.parametrize("name", ["Tracks.csv", "TRACKS.CSV", "tracks.tsv"])
def test_a_tracks_csv_in_other_letters_counts_and_others_are_told(name: str, root: Path) -> None:
    write_rows(root, ROWS)
    assert not [note for note in catalogue_of(root).notes if "no tracks.csv" in note], "the playlists are none"
    (root / name).write_text("path\tartist\nx/a.wav\tAnn\n")
    (root / "x" / "tracks.csv").write_text("path,artist\na.wav,Bob\n")
    catalogue = catalogue_of(root)
    assert by_id(catalogue)["x/a.wav"].artist == "Ann"
    assert "x/tracks.csv in folders below: not read, only the tracks.csv of the folder itself is" in catalogue.notes


def test_small_playlists_are_left_out_with_a_note_and_tracks_of_no_other_too(root: Path) -> None:
    write_rows(root, ROWS)
    catalogue = catalogue_of(root, min_tracks=2)
    assert Counter(label for t in catalogue.tracks for label in t.all_labels) == {"chill": 3, "bliss": 2}
    assert "1 playlist(s) left out with fewer than 2 tracks, e.g. 'work out' (1)" in catalogue.notes
    assert {r.track_id: r.reason for r in catalogue.rejects} == {"e.wav": "no_label", "y/c.wav": "no_label"}


def test_repeated_and_incomplete_rows_are_counted(root: Path) -> None:
    write_rows(root, [*ROWS, ("x/a.wav", "chill"), ("x/a.wav", " chill "), ("", "chill"), ("d", "")])
    catalogue = catalogue_of(root)
    assert "2 row(s) are repeated, e.g. 'x/a.wav' on 'chill'" in catalogue.notes
    assert "2 of 10 row(s) name no track or no playlist: left out" in catalogue.notes
    assert len(catalogue.tracks) == 5


def test_a_path_and_a_stem_of_one_file_repeat_no_membership(root: Path) -> None:
    write_rows(root, [*ROWS, ("b", "chill")])
    assert by_id(catalogue_of(root))["x/b.wav"].all_labels == ("chill",)
    assert len(catalogue_of(root, min_tracks=3).tracks) == 3  # chill: a, b and f, not four


def test_names_without_a_file_and_names_of_two_are_rejected(root: Path) -> None:
    (root / "y" / "a.wav").write_bytes(encode(tone(700, 0.1)))
    write_rows(root, [*ROWS, ("gone", "chill"), ("gone", "bliss")])
    rejects = {r.track_id: (r.reason, r.detail) for r in catalogue_of(root).rejects}
    assert rejects["gone"][0] == "missing" and rejects["a"][0] == "ambiguous"
    assert "2 files are called so, e.g. x/a.wav and y/a.wav" in rejects["a"][1]


def test_rows_of_tracks_csv_that_count_for_no_file_are_noted(root: Path) -> None:
    write_rows(root, ROWS)
    (root / "tracks.csv").write_text("path,title\nlost.wav,L\n")
    assert "1 row(s) of tracks.csv name no file that is there, e.g. 'lost.wav': left out" in catalogue_of(root).notes


def test_the_same_bytes_are_one_track_on_the_playlists_of_all(root: Path) -> None:
    (root / "z.wav").write_bytes((root / "x" / "a.wav").read_bytes())
    write_rows(root, [*ROWS, ("z", "work out")])
    catalogue = catalogue_of(root)
    assert by_id(catalogue)["x/a.wav"].all_labels == ("bliss", "chill", "work out")
    assert [(r.track_id, r.reason) for r in catalogue.rejects] == [("e.wav", "no_label"), ("z.wav", "duplicate")]


def test_unreadable_files_are_rejected(root: Path) -> None:
    (root / "e.wav").write_bytes(b"")
    write_rows(root, [*ROWS, ("e", "chill")])
    assert [(r.track_id, r.reason) for r in catalogue_of(root).rejects] == [("e.wav", "empty")]


def test_columns_may_have_other_names_and_tell_title_artist_group_and_numbers(root: Path) -> None:
    rows = [("a", "p", "A", "X", "north", "120"), ("b", "p", "", "", "", ""), ("c", "p", "C", "Y", "", "90.5")]
    lines = ["song;list;name;by;region;tempo", *(";".join(row) for row in rows)]
    (root / "members.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    catalogue = catalogue_of(
        root, table="members.csv", track_column="song", playlist_column="list", title_column="name",
        artist_column="by", group_column="region", features=" tempo ",
    )  # fmt: skip
    assert {i: (t.title, t.artist, t.group) for i, t in by_id(catalogue).items()} == {
        "x/a.wav": ("A", "X", "region:north"),
        "x/b.wav": (None, None, "track:x/b.wav"),
        "y/c.wav": ("C", "Y", "artist:y"),
    }
    np.testing.assert_array_equal(
        catalogue.metadata.of(["x/a.wav", "x/b.wav", "y/c.wav"], "tempo"), [120.0, np.nan, 90.5]
    )


# --- without audio


def write_songs(root: Path) -> None:
    """Parquet as Spotify's: an id, a playlist, numbers; ``s1`` on two playlists and twice on one of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "track_id": ["s1", "s1", "s2", "s3", "s1"],
            "playlist_name": ["rock", "pop", "rock", "pop", "pop"],
            "track_artist": ["X", "X", "x ", None, "X"],
            "energy": [0.5, 0.5, 0.25, None, 0.5],
            "key": [1, 1, 2, 3, 1],
        }
    )
    pq.write_table(table, root / "songs.parquet")


SONGS: dict[str, Any] = {"table": "songs.parquet", "track_column": "track_id", "playlist_column": "playlist_name",
                         "audio": False, "features": "energy, key"}  # fmt: skip


def test_a_table_alone_is_a_data_set(tmp_path: Path) -> None:
    write_songs(tmp_path)
    catalogue = catalogue_of(tmp_path, **SONGS, artist_column="track_artist")
    assert {i: (t.all_labels, t.group, t.source) for i, t in by_id(catalogue).items()} == {
        "s1": (("pop", "rock"), "artist:x", ""),
        "s2": (("rock",), "artist:x", ""),
        "s3": (("pop",), "track:s3", ""),
    }
    np.testing.assert_array_equal(catalogue.metadata.of(["s3", "s1", "s2"], "energy"), [np.nan, 0.5, 0.25])
    assert catalogue.metadata.of(["s1", "s2"], "key").tolist() == [1, 2]
    assert len({t.content for t in catalogue.tracks}) == 3 and catalogue.rejects == []
    assert catalogue.notes[0] == "1 row(s) are repeated, e.g. 's1' on 'pop'"


def test_facts_are_of_the_tracks_that_are_left(tmp_path: Path) -> None:
    write_songs(tmp_path)
    catalogue = catalogue_of(tmp_path, **SONGS, min_tracks=2)
    assert catalogue.metadata.track_ids == [t.track_id for t in catalogue.tracks] == ["s1", "s2", "s3"]
    uri = str(tmp_path / "manifest.parquet")
    manifest = Manifest(catalogue.name, catalogue.label, tuple(catalogue.tracks), catalogue.notes, catalogue.metadata)
    save_manifest(uri, manifest)
    assert load_manifest(uri).signature() == manifest.signature()


def test_rows_of_a_track_that_differ_are_noted_and_the_first_counts(tmp_path: Path) -> None:
    write_rows(tmp_path, [("a", "p", "1"), ("a", "q", "2"), ("b", "p", ""), ("b", "q", "")], "track,playlist,tempo")
    catalogue = catalogue_of(tmp_path, audio=False, features="tempo")
    assert catalogue.metadata.of(["a"], "tempo").tolist() == [1.0]
    assert any(
        n.startswith("1 track(s) have rows that differ in more than the playlist, e.g. 'a'") for n in catalogue.notes
    )


def test_audio_decides_whether_features_can_be_extracted() -> None:
    assert PlaylistsConfig().has_audio and not PlaylistsConfig(audio=False, features="tempo").has_audio
    assert DatasetConfig.from_dict({"kind": "playlists", "min_tracks": 3}) == PlaylistsConfig(min_tracks=3)


# --- what cannot be


def refusal(root: Path, **fields: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        catalogue_of(root, **fields)
    return str(caught.value)


def test_an_absent_table_or_column_is_named(root: Path) -> None:
    assert f"no table 'playlists.csv' in {str(root)!r}: give a CSV or Parquet file" in refusal(root)
    write_rows(root, ROWS, "song,list")
    assert "lacks the column(s) track, playlist: it has song, list" in refusal(root)


def test_text_where_numbers_should_be_is_refused_with_the_value(root: Path) -> None:
    write_rows(root, [("a", "p", "fast"), ("b", "p", "90")], "track,playlist,tempo")
    assert "column tempo holds 1 values that are no numbers, e.g. 'fast'" in refusal(root, features="tempo")


def test_a_table_of_other_tracks_or_of_small_playlists_is_refused(root: Path) -> None:
    write_rows(root, [("gone", "p"), ("lost", "p")])
    assert "no playlist of" in refusal(root) and "2 tracks that it names 0 were found" in refusal(root)
    write_rows(root, ROWS)
    assert "has 10 tracks that can be used: of 6 tracks that it names 5 were found" in refusal(root, min_tracks=10)


def test_combinations_that_cannot_work_are_refused_together() -> None:
    with pytest.raises(ConfigError) as caught:
        PlaylistsConfig(audio=False, min_tracks=0, features=" , ")
    assert len(caught.value.problems) == 2 and "min_tracks is 0" in str(caught.value)
