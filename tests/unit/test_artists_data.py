"""Data set artists: recordings or artists, joined with whatever lies beside them; what is not there stays unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders import encode, tone
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets import ArtistsConfig, DatasetConfig, co_occurrence
from tonearm.datasets.co_occurrence import co_occurring
from tonearm.datasets.relations import ArtistRelations

RELATIONS = "artist,related\nAnn,Bob\nAnn,Cyd\nBob,Ann\nCyd,Ann\nBob,Bob\nAnn,Dan\nAnn,Bob\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four recordings; two share a file name, one has no artist."""
    for i, name in enumerate(["a/one.wav", "a/two.wav", "b/one.wav", "b/three.wav"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(tone(300 + 100 * i, 0.1)))
    (tmp_path / "tracks.csv").write_text(
        "path,artist,album,year,picture\na/one.wav,Ann,First,1990,\na/two.wav,Ann,First,,covers/two.png\n"
        "b/one.wav,Bob,Hits,,covers/lost.png\nb/three.wav,,,,\n"
    )
    return tmp_path


def put(root: Path, name: str, text: str = "x") -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def test_recordings_alone_have_their_own_facts_and_notes_of_what_lacks(root: Path) -> None:
    found = ArtistsConfig(root=str(root)).catalogue()
    assert [(t.track_id, t.group, t.label, t.artist) for t in found.tracks] == [
        ("a/one.wav", "artist:ann", "", "Ann"),
        ("a/two.wav", "artist:ann", "", "Ann"),
        ("b/one.wav", "artist:bob", "", "Bob"),
    ]
    assert [(r.track_id, r.reason) for r in found.rejects] == [("b/three.wav", "no_label")]
    ids = [t.track_id for t in found.tracks]
    np.testing.assert_array_equal(found.metadata.of(ids, "year"), [1990, np.nan, np.nan])
    assert np.isnan(found.metadata.of(ids, "latitude")).all() and np.isnan(found.metadata.of(ids, "longitude")).all()
    assert "lyrics" not in found.metadata and "related" not in found.metadata
    notes = "\n".join(found.notes)
    for lacking in ("no relations.csv", "no artists.csv", "no lyrics.csv and no folder lyrics"):
        assert lacking in notes


def test_artists_table_fills_what_recordings_do_not_say(root: Path) -> None:
    rows = ["artist.id,name,latitude,longitude,first_year", "1,Ann,42.7,-84.6,1980", "2,Bob,95,,0", "3,Ann,1,1,1"]
    put(root, "artists.csv", "\n".join([*rows, "4,,1,1,1"]))
    found = ArtistsConfig(root=str(root)).catalogue()
    ids = ["a/one.wav", "a/two.wav", "b/one.wav"]
    np.testing.assert_array_equal(found.metadata.of(ids, "year"), [1990, 1980, np.nan])
    np.testing.assert_array_equal(found.metadata.of(ids, "latitude"), [42.7, 42.7, np.nan])
    np.testing.assert_array_equal(found.metadata.of(ids, "longitude"), [-84.6, -84.6, np.nan])
    notes = "\n".join(found.notes)
    assert "1 artist(s) of artists.csv have an impossible latitude, e.g. 95" in notes
    assert "2 row(s) of artists.csv have no name or one that came before" in notes


def test_years_and_places_of_recordings_are_checked_and_a_place_is_of_one_source(root: Path) -> None:
    rows = ["path,artist,year,latitude,longitude", "a/one.wav,Ann,0,999,8", "a/two.wav,ANN,123456,1,2",
            "b/one.wav,Bob,1999,,-181", "b/three.wav,Cyd,,5,"]  # fmt: skip
    put(root, "tracks.csv", "\n".join(rows))
    put(root, "artists.csv", "artist,year,latitude,longitude\nann,1980,10,20\nBob,1970,30,\nCyd,1,40,50\n")
    found = ArtistsConfig(root=str(root)).catalogue()
    ids = ["a/one.wav", "a/two.wav", "b/one.wav", "b/three.wav"]
    np.testing.assert_array_equal(found.metadata.of(ids, "year"), [1980, 1980, 1999, 1])
    np.testing.assert_array_equal(found.metadata.of(ids, "latitude"), [10, 1, 30, 40])
    np.testing.assert_array_equal(found.metadata.of(ids, "longitude"), [20, 2, np.nan, 50])
    assert "1 recording(s) have an impossible latitude, e.g. 999: taken as unknown" in found.notes
    assert "1 recording(s) have an impossible longitude, e.g. -181: taken as unknown" in found.notes
    assert "1 row(s) of tracks.csv have an impossible year, e.g. '123456': unknown" in found.notes


def test_the_table_of_artists_may_have_another_name(root: Path) -> None:
    put(root, "artists.csv", "artist,year\nBob,1\n")
    put(root, "msd.csv", "artist.id,name,latitude,longitude,first_year\nAR1,  BOB ,1.5,2.5,1971\n")
    for name in ("msd.csv", "msd.parquet"):
        found = ArtistsConfig(root=str(root), artists_file=name).catalogue()
        assert [found.metadata.of(["b/one.wav"], c)[0] for c in ("year", "latitude", "longitude")] == [1971, 1.5, 2.5]
    lost = ArtistsConfig(root=str(root), artists_file="lost.csv").catalogue()
    assert any(note.startswith("no lost.csv: years and places") for note in lost.notes)


def test_pictures_are_found_by_table_track_and_album(root: Path) -> None:
    two, first, one = put(root, "covers/two.png"), put(root, "art/First.jpg"), put(root, "art/b/one.PNG")
    put(root, "art/one.jpg")  # two recordings are called one: it is neither's
    put(root, "art/notes.txt")
    found = ArtistsConfig(root=str(root)).catalogue()
    assert found.metadata.of(["a/one.wav", "a/two.wav", "b/one.wav"], "picture").tolist() == [first, two, one]
    notes = "\n".join(found.notes)
    assert "3 of 3 recordings have a picture" in notes
    assert "1 picture(s) that tracks.csv names are not there, e.g. covers/lost.png" in notes


def test_an_album_of_two_artists_names_no_picture(root: Path) -> None:
    table = (root / "tracks.csv").read_text().replace("Hits", "First")
    (root / "tracks.csv").write_text(table)
    put(root, "art/First.jpg")
    found = ArtistsConfig(root=str(root)).catalogue()
    assert set(found.metadata.of(["a/one.wav", "b/one.wav"], "picture")) == {""}


def test_lyrics_of_a_table(root: Path) -> None:
    put(root, "lyrics.csv", 'track_id,text\na/one.wav,"la la, oh"\ntwo,la oh moon sun sky\none,no one\n')
    found = ArtistsConfig(root=str(root)).catalogue()
    assert found.metadata.texts(["a/one.wav", "a/two.wav", "b/one.wav"], "lyrics") == [
        "la la, oh", "la oh moon sun sky", "",
    ]  # fmt: skip
    assert "2 of 3 recordings have lyrics" in found.notes


def test_lyrics_of_a_folder_and_bad_files_are_counted(root: Path) -> None:
    put(root, "lyrics/b/one.txt", "moon")
    put(root, "lyrics/two.txt", "moon moon oh")
    (root / "lyrics" / "bad.txt").write_bytes(b"\xff\xfe\xff")
    found = ArtistsConfig(root=str(root)).catalogue()
    assert found.metadata.texts(["a/one.wav", "a/two.wav", "b/one.wav"], "lyrics") == ["", "moon moon oh", "moon"]
    assert any("1 file(s) of lyrics are no UTF-8 text" in note and "bad.txt" in note for note in found.notes)


def test_relations_drop_what_cannot_be_used_and_say_how_much(root: Path) -> None:
    put(root, "relations.csv", RELATIONS)
    config = ArtistsConfig(root=str(root))
    found = config.relations()
    assert found.artists == ("Ann", "Bob", "Cyd") and found.count == 4
    assert found.padded().tolist() == [[1, 2], [0, -1], [0, -1]]
    assert [note.split()[0] for note in found.notes] == ["1", "1", "1"]
    assert "itself" in found.notes[0] and "not known" in found.notes[1] and "repeated" in found.notes[2]
    assert "2 of 2 artists have relations" in config.catalogue().notes


def test_relations_of_an_artist_whose_name_is_written_otherwise_are_counted(root: Path) -> None:
    put(root, "relations.csv", "artist,related\nANN,bob\nbob,ANN\n")
    assert "2 of 2 artists have relations" in ArtistsConfig(root=str(root)).catalogue().notes


def test_the_file_and_columns_of_relations_can_be_told(root: Path) -> None:
    put(root, "neighbours.csv", "artist_id,artist,neighbour_id,neighbour,score\n2,Ann,6,Bob,0.3\n6,Bob,2,Ann,0.3\n")
    config = ArtistsConfig(root=str(root), relations_file="neighbours.csv", related_column="neighbour")
    assert config.relations().padded().tolist() == [[1], [0]]
    by_id = config.replace({"artist_column": "artist_id", "related_column": "neighbour_id"})
    assert by_id.relations().artists == ("2", "6")


def test_symmetric_relations_count_both_ways(root: Path) -> None:
    put(root, "relations.csv", "artist,related\nAnn,Bob\nAnn,Cyd\n")
    found = ArtistsConfig(root=str(root), symmetric=True).relations()
    assert found.padded().tolist() == [[1, 2], [0, -1], [0, -1]] and not found.notes


def test_known_artists_may_be_given() -> None:
    found = ArtistRelations.from_pairs([("b", "a"), ("b", "c"), ("c", "b")], artists=["b", "a"])
    assert found.artists == ("a", "b") and found.padded().tolist() == [[-1], [0]]
    assert found.notes[-1] == "1 artist(s) have no related artist left"


def test_without_audio_each_artist_with_relations_is_a_row(root: Path) -> None:
    put(root, "relations.csv", RELATIONS)
    put(root, "artists.csv", "artist,year,latitude,longitude\nBob,1970,1.5,2.5\nEve,1971,0,0\n")
    config = ArtistsConfig(root=str(root), audio=False)
    found = config.catalogue()
    assert not config.has_audio and ArtistsConfig(root=str(root)).has_audio
    assert [(t.track_id, t.group, t.source) for t in found.tracks] == [
        (name, f"artist:{name.lower()}", "") for name in ("Ann", "Bob", "Cyd")
    ]
    assert found.metadata.of(["Ann", "Bob", "Cyd"], "related").tolist() == [[1, 2], [0, -1], [0, -1]]
    np.testing.assert_array_equal(found.metadata.of(["Ann", "Bob"], "year"), [np.nan, 1970])
    assert found.metadata.columns == ["latitude", "longitude", "related", "year"]


def test_without_audio_and_relations_the_table_lists_the_artists(tmp_path: Path) -> None:
    put(tmp_path, "artists.csv", "artist,year\nBob,1970\nAnn,\n")
    found = ArtistsConfig(root=str(tmp_path), audio=False).catalogue()
    assert [t.track_id for t in found.tracks] == ["Ann", "Bob"] and "related" not in found.metadata


def test_kind_is_read_back() -> None:
    assert isinstance(DatasetConfig.from_dict({"kind": "artists", "audio": False}), ArtistsConfig)


# --- relations that are made of playlists and plays


def test_related_are_those_that_most_have_in_common() -> None:
    owners = {"p1": "abc", "p2": "abd", "p3": "ab", "p4": "cd", "p5": "e"}
    rows = [(owner, item) for owner, items in owners.items() for item in items] + [("p1", "a")]  # once again
    found = list(co_occurring([o for o, _ in rows], [i for _, i in rows], neighbours=2, least=1))
    # a and b share 3 of 3: cosine 1. c shares one with each, 1 / sqrt(2 * 3), and one with d, 1 / sqrt(2 * 2).
    assert found == [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "d"), ("c", "a"), ("d", "c"), ("d", "a")]
    assert list(co_occurring([o for o, _ in rows], [i for _, i in rows], 9, least=2)) == [("a", "b"), ("b", "a")]


def test_relations_of_many_are_found_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    owners, items = ([str(v) for v in rng.integers(0, n, 600)] for n in (40, 90))
    whole = list(co_occurring(owners, items, 5, 2))
    monkeypatch.setattr(co_occurrence, "ROWS_AT_ONCE", 7)
    assert list(co_occurring(owners, items, 5, 2)) == whole and len(whole) > 50


PLAYLISTS = """playlist,track
morning,a/one.wav
morning,a/two.wav
night,b/one.wav
night,a/one.wav
night,gone.wav
,a/one.wav
"""


def test_artists_of_playlists_are_found_by_their_recordings(root: Path) -> None:
    put(root, "playlists.csv", PLAYLISTS)
    found = ArtistsConfig(root=str(root), audio=False, relations_from="playlists", min_shared=1).catalogue()
    assert (found.name, [t.artist for t in found.tracks]) == ("artist-relations", ["Ann", "Bob"])
    np.testing.assert_array_equal(found.metadata.column("related").take(np.arange(2)), [[1], [0]])
    assert "2 artists are related by playlists.csv, 1.0 each" in found.notes
    assert "2 row(s) of playlists.csv name no playlist or no artist: left out" in found.notes
    heard = ArtistsConfig(root=str(root), relations_from="playlists", min_shared=1).catalogue()
    assert "2 of 2 artists have relations" in heard.notes


def test_artists_of_plays_are_one_whatever_their_spelling(tmp_path: Path) -> None:
    put(tmp_path, "plays.csv", "user,artist,plays\n1,Ann,3\n1,Bob,1\n2,ANN,9\n2,Bob ,1\n3,Cyd,1\n")
    found = ArtistsConfig(root=str(tmp_path), audio=False, relations_from="plays").catalogue()
    assert [t.track_id for t in found.tracks] == ["Ann", "Bob"]


def test_tracks_of_playlists_have_relations_of_their_own(root: Path) -> None:
    put(root, "playlists.csv", PLAYLISTS)
    config = ArtistsConfig(root=str(root), audio=False, relations_from="playlists", level="track", min_shared=1)
    found = config.catalogue()
    ids = ["a/one.wav", "a/two.wav", "b/one.wav", "gone.wav"]
    assert (found.name, [t.track_id for t in found.tracks]) == ("track-relations", ids)
    assert found.metadata.of(["a/two.wav"], "related").tolist() == [[0, -1, -1]]
    assert sorted(found.metadata.of(["a/one.wav"], "related")[0].tolist()) == [1, 2, 3]
    heard = config.replace({"audio": True}).catalogue()
    assert "3 of 3 tracks have relations" in heard.notes


@pytest.mark.parametrize(
    ("fields", "table", "message"),
    [
        ({"level": "track"}, "", "level is 'track', and .*relations.csv relates artists: set relations_from"),
        ({"relations_from": "plays"}, "", "no plays.csv in .*: a table with the columns user and artist"),
        ({"relations_from": "playlists"}, "playlist,song\na,b\n", "needs a column artist or track or track_id"),
        ({"relations_from": "playlists"}, "playlist,artist\na,Ann\nb,Ann\n", "no two artists of .* share 2 playlists"),
    ],
)
def test_relations_that_cannot_be_made_are_told(
    tmp_path: Path, fields: dict[str, str], table: str, message: str
) -> None:
    put(tmp_path, "playlists.csv", table) if table else None
    with pytest.raises(DatasetError, match=message):
        ArtistsConfig(root=str(tmp_path), audio=False, **fields).catalogue()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="neighbours is 0"):
        ArtistsConfig(neighbours=0)
