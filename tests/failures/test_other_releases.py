"""Folders of another release, or unpacked twice: the error says what is there and what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fma_layout import fma_row, write_clip, write_fma
from tonearm.core.errors import DatasetError
from tonearm.datasets.fma import FmaConfig
from tonearm.datasets.spotify import SpotifyConfig


def refusal(config: FmaConfig | SpotifyConfig) -> str:
    with pytest.raises(DatasetError) as caught:
        config.catalogue()
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "header", "wanted"),
    [
        ("dataset.csv", ",track_id,artists,album_name,track_name,track_genre", "114 000 tracks with one genre"),
        ("data.csv", "valence,year,artists,id,name", "170 000 tracks of 1921 to 2020 without artists' ids"),
    ],
)  # fmt: skip
def test_other_spotify_tables_are_told(tmp_path: Path, file: str, header: str, wanted: str) -> None:
    (tmp_path / file).write_text(f"{header}\n", "utf-8")
    (tmp_path / "archive").mkdir()
    said = refusal(SpotifyConfig(root=str(tmp_path)))
    assert f"there are archive/, {file}" in said and f"{file} is of the release of {wanted}" in said
    assert "What is read is the release of 587 000 tracks" in said and "id_artists" in said


def test_an_unknown_an_empty_and_no_folder_are_told(tmp_path: Path) -> None:
    assert "the folder is empty" in refusal(SpotifyConfig(root=str(tmp_path)))
    (tmp_path / "notes\n.txt").write_text("x")
    assert r"there is notes\n.txt." in refusal(SpotifyConfig(root=str(tmp_path)))
    assert "there is no folder '/nowhere'" in refusal(SpotifyConfig(root="/nowhere"))


def test_clips_that_were_unpacked_twice_are_found_and_told(tmp_path: Path) -> None:
    write_fma(tmp_path, {2: fma_row()})
    for clip in list(tmp_path.rglob("*.mp3")):
        clip.unlink()
    write_clip(tmp_path / "fma_small" / "fma_small", 2)
    said = refusal(FmaConfig(root=str(tmp_path), subset="small"))
    assert "none of the 1 tracks of FMA small has a clip" in said
    assert (
        f"lie a folder deeper, in fma_small/fma_small, as if unpacked twice: move what is in it to {tmp_path}" in said
    )


def test_tables_that_were_unpacked_twice_are_found_and_told(tmp_path: Path) -> None:
    write_fma(tmp_path / "fma_metadata", {2: fma_row()})
    (tmp_path / "fma_metadata" / "fma_metadata").mkdir(exist_ok=True)
    for table in (tmp_path / "fma_metadata").rglob("tracks.csv"):
        table.rename(tmp_path / "fma_metadata" / "fma_metadata" / "tracks.csv")
    said = refusal(FmaConfig(root=str(tmp_path)))
    assert "tracks.csv lie a folder deeper, in fma_metadata/fma_metadata" in said


def test_clips_of_another_kind_are_told(tmp_path: Path) -> None:
    write_fma(tmp_path, {2: fma_row()})
    for clip in list(tmp_path.rglob("*.mp3")):
        clip.rename(clip.with_suffix(".wav"))
    said = refusal(FmaConfig(root=str(tmp_path), subset="small"))
    assert "what is read are the .mp3 files of the release fma_small" in said
