"""Tables that cannot be read, or hold rows that mean nothing: what is wrong is said, with the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import encode, tone
from tests.unit.test_spotify_data import ARTISTS, GENRE_ROWS, SONGS, song, write_csv
from tonearm.core.errors import DatasetError
from tonearm.datasets import ArtistsConfig, SpotifyConfig
from tonearm.datasets.relations import ArtistRelations
from tonearm.datasets.tables import find_table, parse_list, read_table, to_floats


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_csv(tmp_path / "tracks.csv", SONGS)
    write_csv(tmp_path / "artists.csv", ARTISTS)
    return tmp_path


def refusal(config: SpotifyConfig | ArtistsConfig) -> str:
    with pytest.raises(DatasetError) as caught:
        config.catalogue()
    return str(caught.value)


# --- tables


def test_tables_that_are_none_are_named(tmp_path: Path) -> None:
    for name, content in (("a.csv", b""), ("b.csv", b"x,y\n1,2\n1,2,3\n"), ("c.csv", b"x,y\n\xff\xfe,1\n"),
                          ("d.parquet", b"PAR1"), ("e.csv", None)):  # fmt: skip
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError, match=rf"{name} cannot be read as a table"):
            read_table(tmp_path / name, ("x",))


def test_rows_with_more_fields_than_the_header_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2,3\n4,5,6\n")
    with pytest.raises(DatasetError, match=r"a\.csv: its rows have more fields than its header names"):
        read_table(tmp_path / "a.csv", ("x",))


def test_all_missing_columns_are_listed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    with pytest.raises(DatasetError, match=r"lacks the column\(s\) p, q: it has x, y"):
        read_table(tmp_path / "a.csv", ("x", "p", "q"), ("r",))


def test_nothing_of_a_table_is_interpreted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffname\tn\nNA\t1\nNone\tx\n007\t\n", "utf-8")
    table = read_table(tmp_path / "a.csv", ("name", "n"), ("absent",))
    assert table["name"].tolist() == ["NA", "None", "007"] and set(table) == {"name", "n"}
    np.testing.assert_array_equal(to_floats(table["n"]), [1, np.nan, np.nan])


def test_parquet_goes_before_csv_and_the_first_spelling_before_the_second(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "b.parquet"):
        (tmp_path / name).touch()
    assert find_table(str(tmp_path), "a", "b") == tmp_path / "a.csv"
    assert find_table(str(tmp_path), "b") == tmp_path / "b.parquet"
    assert find_table(str(tmp_path), "c") is None


@pytest.mark.parametrize(
    "value", ["", "rock", "[rock]", "['rock'", "{'a': 1}", "[1]", "__import__('os').getcwd()", "(" * 500, None, 3.0]
)
def test_what_is_no_list_of_texts_is_none(value: Any) -> None:
    assert parse_list(value) is None


def test_lists_are_read_in_every_form() -> None:
    for value in ("['a', \"b's\"]", ["a", "b's"], np.array(["a", "b's"]), ("a", "b's")):
        assert parse_list(value) == ("a", "b's")
    assert parse_list("[]") == ()


# --- spotify


def test_missing_tables_are_all_named(tmp_path: Path) -> None:
    text = refusal(SpotifyConfig(root=str(tmp_path), reference_distances=True))
    assert "no tracks.csv, no artists.csv, no data_by_genres.csv or data_by_genres_o.csv (nor as .parquet)" in text
    write_csv(tmp_path / "tracks.csv", SONGS)
    assert refusal(SpotifyConfig(root=str(tmp_path))).startswith("no artists.csv (nor as .parquet)")


def test_missing_features_are_all_named(root: Path) -> None:
    write_csv(root / "tracks.csv", [{k: v for k, v in s.items() if k not in ("tempo", "release_date")} for s in SONGS])
    assert "lacks the column(s) tempo: it has id, name" in refusal(SpotifyConfig(root=str(root)))
    assert "lacks the column(s) tempo, release_date" in refusal(SpotifyConfig(root=str(root), with_year=True))


@pytest.mark.parametrize(
    ("more", "reason", "detail"),
    [
        ({"tempo": ""}, "bad_value", "tempo is '', expected a number within 0 to inf"),
        ({"energy": "1.2"}, "bad_value", "energy is '1.2', expected a number within 0 to 1"),
        ({"loudness": "-inf"}, "bad_value", "loudness is '-inf'"),
        ({"key": "12"}, "bad_value", "key is '12', expected a number within -1 to 11"),
        ({"duration_ms": "0"}, "bad_value", "duration_ms is '0'"),
        ({"valence": "high"}, "bad_value", "valence is 'high'"),
        ({"artists": "Ann"}, "bad_list", "artists is 'Ann'"),
        ({"id_artists": "['A1', 'A2']"}, "bad_list", "expected two lists of one length"),
        ({"id_artists": "[]", "artists": "[]"}, "bad_list", "artists is '[]'"),
        ({"id_artists": "['']"}, "bad_list", "id_artists \"['']\""),
        ({"id": "t1"}, "duplicate", "its id 't1' was there before"),
        ({"id": ""}, "no_id", "its id is empty"),
    ],
)
def test_rows_that_mean_nothing_are_set_aside(root: Path, more: dict[str, Any], reason: str, detail: str) -> None:
    good = len(SpotifyConfig(root=str(root)).catalogue().tracks)
    write_csv(root / "tracks.csv", [*SONGS, song("bad", ["A1"]) | more])
    found = SpotifyConfig(root=str(root)).catalogue()
    assert len(found.tracks) == good and len(found.rejects) == 1
    reject = found.rejects[0]
    assert reject.reason == reason and detail in reject.detail and reject.track_id == (more.get("id", "bad") or "row 7")


def test_artists_whose_genres_cannot_be_read_are_set_aside(root: Path) -> None:
    write_csv(root / "artists.csv", [*ARTISTS, ARTISTS[0] | {"id": "A9", "genres": "rock"}])
    found = SpotifyConfig(root=str(root)).catalogue()
    assert [(r.track_id, r.reason) for r in found.rejects] == [("artist:A9", "bad_list")]


def test_no_track_with_a_genre(root: Path) -> None:
    write_csv(root / "artists.csv", [ARTISTS[2]])
    assert "has an artist with one of the genres rock, pop" in refusal(SpotifyConfig(root=str(root)))


def test_a_genre_without_reference_features(root: Path) -> None:
    rows = [dict(row) for row in GENRE_ROWS if row["genres"] != "blues"]
    rows[0]["tempo"] = ""
    write_csv(root / "data_by_genres_o.csv", rows)
    text = refusal(SpotifyConfig(root=str(root), reference_distances=True))
    assert "data_by_genres_o.csv lacks the features of rock, blues: set reference_distances to false" in text


# --- artists


def test_artists_without_anything(tmp_path: Path) -> None:
    assert "give a relations.csv (artist, related)" in refusal(ArtistsConfig(root=str(tmp_path), audio=False))
    assert "is no folder" in refusal(ArtistsConfig(root=str(tmp_path / "absent")))
    with pytest.raises(
        DatasetError, match=r"no relations at .*relations\.csv: a table with the columns artist and rel"
    ):
        ArtistsConfig(root=str(tmp_path)).relations()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("artist,neighbour\nA,B\n", r"lacks the column\(s\) related: it has artist, neighbour"),
        ("artist,related\n", "relates no two artists: it has no rows"),
        ("artist,related\nA,A\nA,\n,A\n", "relates no two artists: 1 relation"),
    ],
)
def test_relations_that_relate_nobody(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "relations.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        ArtistsConfig(root=str(tmp_path)).relations()


def test_relations_that_do_not_fit_their_artists() -> None:
    with pytest.raises(DatasetError, match="2 artists, 1 lists"):
        ArtistRelations(["a", "b"], [[1]])
    with pytest.raises(DatasetError, match="give one a sorted artist"):
        ArtistRelations(["b", "a"], [[1], [0]])
    with pytest.raises(DatasetError, match="'a' is related to ids beyond the 2 artists"):
        ArtistRelations(["a", "b"], [[2], []])


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("artists.csv", "id,year\n1,2\n", "artists.csv needs a column artist or name or artist_name"),
        ("relations.csv", "artist,related\nA,B\nB,A\n", ""),
    ],
)
def test_side_tables_without_their_key(tmp_path: Path, name: str, table: str, message: str) -> None:
    (tmp_path / name).write_text(table)
    config = ArtistsConfig(root=str(tmp_path), audio=False)
    if message:
        assert message in refusal(config)
    else:
        assert len(config.catalogue().tracks) == 2


def test_lyrics_without_a_key_or_a_text(tmp_path: Path) -> None:
    (tmp_path / "Ann - one.wav").write_bytes(encode(tone(300, 0.1)))
    (tmp_path / "tracks.csv").write_text("path,artist\nAnn - one.wav,Ann\n")
    for table in ("title,text\na,b\n", "track_id,words\na,b\n"):
        (tmp_path / "lyrics.csv").write_text(table)
        with pytest.raises(DatasetError, match="needs a column track_id or path and a column text"):
            ArtistsConfig(root=str(tmp_path)).catalogue()
