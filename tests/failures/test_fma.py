"""Copies of FMA that are incomplete or damaged say what is wrong, with the value, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fma_layout import COLUMNS, fma_row, write_clip, write_fma, write_tracks
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.datasets.fma import FmaConfig


def message(root: Path, **fields: str) -> str:
    with pytest.raises(DatasetError) as caught:
        FmaConfig.from_dict({"root": str(root), "subset": "small", **fields}).catalogue()
    return str(caught.value)


def test_all_tables_that_lack_are_named(tmp_path: Path) -> None:
    text = message(tmp_path, labels="all")
    assert text.startswith(f"no tracks.csv, no genres.csv in {str(tmp_path)!r} or its fma_metadata: give the folder")
    assert message(tmp_path).startswith("no tracks.csv in")


def test_no_root_is_not_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fma(tmp_path, {2: fma_row()})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"no tracks.csv in ''"):
        FmaConfig().catalogue()


def test_all_columns_that_lack_are_named(tmp_path: Path) -> None:
    columns = [c for c in COLUMNS if c not in ("set.split", "track.genre_top")]
    write_tracks(tmp_path / "tracks.csv", {2: fma_row()}, columns)
    text = message(tmp_path)
    assert "lacks the column(s) track.genre_top, set.split: expected FMA's two header rows" in text
    assert "has album.comments" in text


@pytest.mark.parametrize("data", [b"", b"path,genre\na.mp3,Rock\n", b"\xff\xfe\x00", b"a,b\n"])
def test_another_table_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "tracks.csv").write_bytes(data)
    text = message(tmp_path)
    assert "tracks.csv" in text and ("lacks the column(s)" in text or "cannot be read" in text)


def test_a_table_of_headers_alone_has_no_track(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.csv", {})
    assert "tracks.csv" in message(tmp_path)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (fma_row(split="train"), "set.split is 'train', expected one of training, validation, test"),
        (fma_row(subset="tiny"), "set.subset is 'tiny', expected one of small, medium, large"),
    ],
)
def test_values_that_fma_does_not_have_are_refused(tmp_path: Path, row: dict[str, str], wanted: str) -> None:
    assert wanted in message(write_fma(tmp_path, {2: row}))


def test_an_id_that_is_no_number_is_refused(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.csv", {"T1": fma_row()})  # type: ignore[dict-item]
    assert "the track id of row 1 is 'T1', expected a whole number" in message(tmp_path)


@pytest.mark.parametrize(
    ("genres", "wanted"),
    [
        ("[999]", "track 000002: genre '999' of [999] is not in genres.csv"),
        ("Rock", "track 000002: genres are 'Rock', expected a list of ids as [21, 76]"),
        ("12", "track 000002: genres are '12', expected a list"),
    ],
)
def test_genres_that_cannot_be_looked_up_are_refused(tmp_path: Path, genres: str, wanted: str) -> None:
    assert wanted in message(write_fma(tmp_path, {2: fma_row(genres=genres)}), labels="all")


def test_a_subset_without_tracks_is_refused(tmp_path: Path) -> None:
    assert "lists no track of the subset 'small' among its 1" in message(
        write_fma(tmp_path, {2: fma_row(subset="large")})
    )


def test_tables_without_any_clip_say_where_clips_were_sought(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.csv", {2: fma_row(), 3: fma_row(top="")})
    text = message(tmp_path)
    assert "none of the 1 tracks of FMA small has a clip" in text and f"{tmp_path}/fma_small, " in text
    write_clip(tmp_path / "deep" / "er", 2)
    assert "has a clip" in message(tmp_path)


def test_values_that_are_no_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match="'full' is none of 'small', 'medium', 'large'"):
        FmaConfig.from_dict({"subset": "full"})
