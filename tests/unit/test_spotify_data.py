"""Data set spotify: which genres a track takes, what is left out, and the features, on tiny copies of the tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tonearm.datasets import DatasetConfig, SpotifyConfig
from tonearm.datasets.base import Catalogue

#: Columns as in Kaggle's tables.
TRACK_COLUMNS = (
    "id", "name", "popularity", "duration_ms", "explicit", "artists", "id_artists", "release_date", "danceability",
    "energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness", "liveness", "valence",
    "tempo", "time_signature",
)  # fmt: skip
ARTISTS: list[dict[str, Any]] = [
    {"id": "A1", "followers": 9, "genres": "['pop', 'rock']", "name": "Ann", "popularity": 1},
    {"id": "A2", "followers": 9, "genres": "['folk rock', 'reggaeton']", "name": "Bob", "popularity": 1},
    {"id": "A3", "followers": 9, "genres": "[]", "name": "Cyd", "popularity": 1},
    {"id": "A4", "followers": 9, "genres": '["k-pop", "hip hop"]', "name": "NA", "popularity": 1},
    {"id": "A5", "followers": 9, "genres": "['jazz']", "name": "Ann", "popularity": 1},
]
MEASURED = ("acousticness", "danceability", "duration_ms", "energy", "instrumentalness", "liveness", "loudness",
            "speechiness", "tempo", "valence", "popularity")  # fmt: skip
COMPARED = tuple(name for name in MEASURED if name != "duration_ms")


def song(track_id: str, ids: Sequence[str], names: Sequence[str] | None = None, **more: Any) -> dict[str, Any]:
    by_id = {a["id"]: a["name"] for a in ARTISTS}
    row: dict[str, Any] = dict.fromkeys(TRACK_COLUMNS, 0.5)
    row |= {"id": track_id, "name": f"Song {track_id}", "popularity": 40, "duration_ms": 180000, "explicit": 0,
            "key": 7, "mode": 1, "loudness": -7.5, "tempo": 120.0, "release_date": "1999-05-01"}  # fmt: skip
    return row | {"artists": repr(list(names or [by_id[i] for i in ids])), "id_artists": repr(list(ids))} | more


SONGS = [
    song("t1", ["A1"]),
    song("t2", ["A2"]),
    song("t3", ["A3"]),
    song("t4", ["A3", "A4"], release_date="1972", tempo=0.0, key=-1),
    song("t5", ["A1"], name="SONG T1"),
    song("t6", ["A5", "A1"], release_date=""),
]
GENRE_ROWS: list[dict[str, Any]] = [
    {"genres": genre, "key": 5, "mode": 1} | {name: 1.0 + i + j for j, name in enumerate(MEASURED)}
    for i, genre in enumerate(
        ["rock", "pop", "country", "hip hop", "easy listening", "jazz", "blues", "reggae", "folk", "polka"]
    )
]


def write_csv(path: Path, rows: Sequence[dict[str, Any]], separator: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_csv(tmp_path / "tracks.csv", SONGS)
    write_csv(tmp_path / "artists.csv", ARTISTS)
    write_csv(tmp_path / "data_by_genres.csv", GENRE_ROWS, ";")
    return tmp_path


def labels(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    return {t.track_id: t.labels for t in catalogue.tracks}


def test_exact_genres_count_by_artist_id_in_the_order_of_the_nine(root: Path) -> None:
    found = SpotifyConfig(root=str(root)).catalogue()
    assert labels(found) == {"t1": ("rock", "pop"), "t4": ("hip hop",), "t5": ("rock", "pop"),
                             "t6": ("rock", "pop", "jazz")}  # fmt: skip
    assert [t.label for t in found.tracks] == ["rock", "hip hop", "rock", "rock"]
    assert {t.track_id: t.group for t in found.tracks}["t6"] == "artist:A5"  # another Ann than A1
    assert found.name == "spotify" and found.label == "genre" and not found.rejects
    assert {t.source for t in found.tracks} == {""} and len({t.content for t in found.tracks}) == 4


def test_contained_genres_count_as_words_of_their_own(root: Path) -> None:
    found = labels(SpotifyConfig(root=str(root), match="contains").catalogue())
    assert found["t2"] == ("rock", "folk")  # reggaeton is no reggae
    assert found["t4"] == ("pop", "hip hop")  # k-pop is pop
    assert "t3" not in found


def test_notes_count_what_was_left_out_and_what_is_odd(root: Path) -> None:
    notes = "\n".join(SpotifyConfig(root=str(root)).catalogue().notes)
    assert "2 of 6 track(s) have no artist with one of the genres rock, pop" in notes
    assert "1 track(s) repeat the title and artists of another" in notes
    assert "3 track(s) have several of the genres" in notes
    assert "1 track(s) have the tempo 0" in notes


def test_options_leave_out_tracks_of_several_artists_and_repeats(root: Path) -> None:
    found = SpotifyConfig(root=str(root), drop_multi_artist=True, drop_repeats=True).catalogue()
    assert list(labels(found)) == ["t1"]
    assert any("2 of 6 track(s) of several artists" in note for note in found.notes)
    assert any("1 of 6 track(s) repeat" in note and "drop_repeats" in note for note in found.notes)


def test_tracks_of_several_artists_are_counted_until_they_are_left_out(root: Path) -> None:
    notes = "\n".join(SpotifyConfig(root=str(root)).catalogue().notes)
    assert "2 track(s) have several artists and are grouped by the first: the others may be in two splits" in notes
    alone = SpotifyConfig(root=str(root), drop_multi_artist=True).catalogue()
    assert "are grouped by the first" not in "\n".join(alone.notes)
    assert {t.group for t in alone.tracks} == {"artist:A1"}


def test_nothing_is_noted_that_no_track_has(root: Path) -> None:
    write_csv(root / "tracks.csv", [song("t1", ["A5"])])
    assert SpotifyConfig(root=str(root)).catalogue().notes == ()


def test_explicit_may_be_written_in_words(root: Path) -> None:
    told = {"t1": "False", "t2": "True", "t3": "1", "t4": "false ", "t5": "", "t6": "0"}
    write_csv(root / "tracks.csv", [song(i, ["A1"], name=i, explicit=text) for i, text in told.items()])
    metadata = SpotifyConfig(root=str(root)).catalogue().metadata
    np.testing.assert_array_equal(metadata.of(list(told), "explicit"), [0, 1, 1, 0, np.nan, 0])


def test_facts_are_the_raw_values(root: Path) -> None:
    metadata = SpotifyConfig(root=str(root)).catalogue().metadata
    assert metadata.of(["t4", "t1"], "tempo").tolist() == [0.0, 120.0]
    assert metadata.of(["t4", "t1"], "key").tolist() == [-1.0, 7.0]
    assert metadata.of(["t1"], "loudness").tolist() == [-7.5]
    assert metadata.of(["t1"], "log_duration")[0] == pytest.approx(math.log(180))
    np.testing.assert_array_equal(metadata.of(["t1", "t4", "t6"], "year"), [1999, 1972, np.nan])
    assert metadata.of(["t1"], "explicit").tolist() == [0.0]
    assert "duration_ms" not in metadata and "key_0" not in metadata


def test_columns_for_a_model_follow_the_options(root: Path) -> None:
    plain = SpotifyConfig(root=str(root))
    assert plain.feature_columns == (
        "mode", "acousticness", "danceability", "energy", "instrumentalness", "liveness", "loudness", "speechiness",
        "tempo", "valence", "key", "log_duration", "popularity",
    )  # fmt: skip
    full = SpotifyConfig(root=str(root), one_hot_key=True, reference_distances=True, with_year=True)
    assert len(full.feature_columns) == 12 + 12 + 9 + 1 and "key" not in full.feature_columns
    assert full.feature_columns[-2:] == ("distance_folk", "year")
    for config in (plain, full):
        metadata = config.catalogue().metadata
        assert set(config.feature_columns) <= set(metadata.columns)


def test_one_hot_keys_are_twelve_and_an_unknown_key_is_none(root: Path) -> None:
    metadata = SpotifyConfig(root=str(root), one_hot_key=True).catalogue().metadata
    keys = np.stack([metadata.of(["t1", "t4"], f"key_{i}") for i in range(12)], axis=1)
    assert keys[0].tolist() == [0.0] * 7 + [1.0] + [0.0] * 4
    assert not keys[1].any()


def test_distances_are_standardised_euclidean_by_the_spread_of_all_genres(root: Path) -> None:
    metadata = SpotifyConfig(root=str(root), reference_distances=True).catalogue().metadata
    own = dict.fromkeys(COMPARED, 0.5) | {"loudness": -7.5, "tempo": 120.0, "popularity": 40.0}
    own["log_duration"] = math.log(180)
    every = [row | {"log_duration": math.log(row["duration_ms"] / 1000)} for row in GENRE_ROWS]
    for i, column in ((0, "distance_rock"), (3, "distance_hip_hop")):
        squares = [((own[name] - every[i][name]) / np.std([row[name] for row in every])) ** 2 for name in own]
        assert len(squares) == 11 and metadata.of(["t1"], column)[0] == pytest.approx(math.sqrt(sum(squares)))


def test_parquet_and_the_other_spelling_give_the_same(root: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    other = tmp_path / "other"
    other.mkdir()
    songs = [{**row, "release_date": row["release_date"] or None} for row in SONGS]
    pq.write_table(pa.Table.from_pylist(songs), other / "tracks.parquet")
    pq.write_table(pa.Table.from_pylist(ARTISTS), other / "artists.parquet")
    write_csv(other / "data_by_genres_o.csv", GENRE_ROWS)
    options = {"match": "contains", "reference_distances": True, "one_hot_key": True}
    one, two = (SpotifyConfig.from_dict({"root": str(r), **options}).catalogue() for r in (root, other))
    assert one.tracks == two.tracks and one.metadata == two.metadata and one.notes == two.notes


def test_lists_may_be_lists_in_parquet(root: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    want = labels(SpotifyConfig(root=str(root)).catalogue())
    genres = [["pop", "rock"], ["folk rock"], [], ["k-pop", "hip hop"], ["jazz"]]
    artists = [{"id": a["id"], "genres": g} for a, g in zip(ARTISTS, genres, strict=True)]
    pq.write_table(pa.Table.from_pylist(artists), root / "artists.parquet")
    (root / "artists.csv").unlink()
    assert labels(SpotifyConfig(root=str(root)).catalogue()) == want


def test_it_is_registered_and_has_no_audio() -> None:
    config = DatasetConfig.from_dict({"kind": "spotify", "root": "x", "match": "contains"})
    assert isinstance(config, SpotifyConfig) and not config.has_audio
