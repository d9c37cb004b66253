"""FMA: its tables are read as published, nested subsets, both kinds of labels, and what is set aside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fma_layout import COLUMNS, fma_row, write_clip, write_fma, write_genres, write_tracks
from tonearm.datasets import DatasetConfig
from tonearm.datasets.base import Catalogue
from tonearm.datasets.content import content_digest
from tonearm.datasets.fma import FmaConfig
from tonearm.datasets.manifest import Track
from tonearm.datasets.splits import split_by_group

ROWS = {
    2: fma_row("training", "small", "Hip-Hop", "[21]", "1", track__title="Food", album__title="AWOL",
               album__date_released="2009-01-05 00:00:00", track__date_recorded="2008-11-26 00:00:00",
               artist__latitude="40.0583238", artist__longitude="-74.4056612", artist__location="New Jersey",
               track__license="Attribution"),
    1002: fma_row("validation", "small", "Pop", "[10, 76]", "2", album__date_released="1999-01-05 00:00:00"),
    10003: fma_row("test", "medium", "Rock", "[12]", "3"),
    20004: fma_row("training", "large", "", "[103, 76, 10]", "4"),
    155320: fma_row("test", "large", "Rock", "[12]", "4"),
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_fma(tmp_path, ROWS, "fma_large")


def by_id(catalogue: Catalogue) -> dict[str, Track]:
    return {t.track_id: t for t in catalogue.tracks}


def test_all_that_the_table_knows_of_a_track_is_read(root: Path) -> None:
    first = by_id(FmaConfig(root=str(root)).catalogue())["000002"]
    clip = root / "fma_large" / "000" / "000002.mp3"
    assert first == Track(
        track_id="000002", source=str(clip), content=content_digest(clip), label="Hip-Hop", group="artist:1",
        split="train", title="Food", artist="Artist 1", album="AWOL", year=2008, place="New Jersey",
        latitude=40.0583238, longitude=-74.4056612, licence="Attribution",
    )  # fmt: skip


def test_what_the_table_does_not_know_is_absent(root: Path) -> None:
    second = by_id(FmaConfig(root=str(root)).catalogue())["001002"]
    assert (second.title, second.album, second.latitude, second.licence) == (None, None, None, None)
    assert second.year == 1999  # of the album, where the recording's is not known
    assert by_id(FmaConfig(root=str(root)).catalogue())["010003"].year is None


@pytest.mark.parametrize(
    ("subset", "ids"),
    [
        ("small", ["000002", "001002"]),
        ("medium", ["000002", "001002", "010003"]),
        ("large", ["000002", "001002", "010003", "155320"]),
    ],
)
def test_a_larger_subset_holds_the_smaller_ones(root: Path, subset: str, ids: list[str]) -> None:
    catalogue = FmaConfig.from_dict({"root": str(root), "subset": subset}).catalogue()
    assert sorted(by_id(catalogue)) == ids and catalogue.name == f"fma-{subset}" and catalogue.label == "genre"


def test_published_splits_are_kept_or_left_out(root: Path) -> None:
    published = FmaConfig(root=str(root), subset="large")
    assert {i: t.split for i, t in by_id(published.catalogue()).items()} == {
        "000002": "train", "001002": "validation", "010003": "test", "155320": "test",
    }  # fmt: skip
    own = FmaConfig(root=str(root), subset="large", split="group")
    assert {t.split for t in own.catalogue().tracks} == {None}


def test_all_genres_are_labels_by_title_sorted(root: Path) -> None:
    catalogue = FmaConfig(root=str(root), subset="large", labels="all").catalogue()
    assert {i: t.all_labels for i, t in by_id(catalogue).items()} == {
        "000002": ("Hip-Hop",),
        "001002": ("Experimental Pop", "Pop"),
        "010003": ("Rock",),
        "020004": ("Experimental Pop", "Pop", "Singer-Songwriter"),
        "155320": ("Rock",),
    }
    assert by_id(catalogue)["020004"].label == "Experimental Pop" and catalogue.name == "fma-large-all"


def test_tracks_without_clip_or_genre_are_rejected_and_counted(root: Path) -> None:
    (root / "fma_large" / "001" / "001002.mp3").unlink()
    (root / "fma_large" / "155" / "155320.mp3").write_bytes(b"")
    catalogue = FmaConfig(root=str(root), subset="large").catalogue()
    assert {r.track_id: r.reason for r in catalogue.rejects} == {
        "001002": "missing", "020004": "no_label", "155320": "empty",
    }  # fmt: skip
    assert catalogue.notes[:2] == (
        "FMA large: 5 tracks listed, 2 with a clip and a genre", "1 track(s) set aside: empty",
    )  # fmt: skip


def test_empty_lists_of_genres_are_no_label(tmp_path: Path) -> None:
    root = write_fma(tmp_path, {1: fma_row(genres="[]"), 2: fma_row(genres=""), 3: fma_row()})
    catalogue = FmaConfig(root=str(root), subset="small", labels="all").catalogue()
    assert list(by_id(catalogue)) == ["000003"]
    assert Counter(r.reason for r in catalogue.rejects) == {"no_label": 2}


@pytest.mark.parametrize("metadata", ["", "fma_metadata"])
@pytest.mark.parametrize("clips", ["", "fma_small", "fma_medium", "fma_large"])
def test_tables_and_clips_are_found_where_the_archives_put_them(tmp_path: Path, metadata: str, clips: str) -> None:
    write_tracks(tmp_path / metadata / "tracks.csv", {2: ROWS[2]})
    path = write_clip(tmp_path / clips, 2)
    catalogue = FmaConfig(root=str(tmp_path), subset="small").catalogue()  # without genres.csv: its titles not needed
    assert [t.source for t in catalogue.tracks] == [str(path)]


def test_the_subsets_own_clip_comes_first(tmp_path: Path) -> None:
    root = write_fma(tmp_path, {2: ROWS[2]}, "fma_small")
    write_clip(root / "fma_medium", 2, 990.0)
    write_clip(root, 2, 660.0)
    for subset in ("small", "medium"):
        tracks = FmaConfig.from_dict({"root": str(root), "subset": subset}).catalogue().tracks
        assert f"/fma_{subset}/" in tracks[0].source


def test_clips_of_the_same_bytes_are_kept_and_noted(root: Path) -> None:
    write_clip(root / "fma_large", 10003, 202.0)  # what the clip of track 2 sounds like
    catalogue = FmaConfig(root=str(root)).catalogue()
    assert len(catalogue.tracks) == 3
    assert catalogue.notes[-1] == "1 clip(s) have the bytes of another, e.g. 010003 those of 000002: kept"


def test_a_table_without_the_third_header_row_is_read(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.csv", {2: ROWS[2]}, index=False)
    write_clip(tmp_path, 2)
    assert len(FmaConfig(root=str(tmp_path)).catalogue().tracks) == 1


def test_columns_that_are_not_needed_may_lack(tmp_path: Path) -> None:
    needed = ["set.subset", "artist.id", "track.genre_top"]
    write_tracks(tmp_path / "tracks.csv", {2: ROWS[2]}, needed[::-1])
    write_clip(tmp_path, 2)
    tracks = FmaConfig(root=str(tmp_path), split="group").catalogue().tracks
    assert [(t.label, t.group, t.title, t.year) for t in tracks] == [("Hip-Hop", "artist:1", None, None)]


def test_artists_called_na_and_none_keep_their_names(tmp_path: Path) -> None:
    rows = {1: fma_row(artist__name="NA"), 2: fma_row(artist__name="null", artist="")}
    tracks = by_id(FmaConfig(root=str(write_fma(tmp_path, rows)), subset="small").catalogue())
    assert [t.artist for t in tracks.values()] == ["NA", "null"]
    assert tracks["000002"].group == "track:000002"


def test_a_new_split_keeps_artists_whole(tmp_path: Path) -> None:
    rows = {i: fma_row(top=("Rock", "Pop")[i % 2], artist=str(i // 3)) for i in range(1, 37)}
    catalogue = FmaConfig(root=str(write_fma(tmp_path, rows)), subset="small", split="group").catalogue()
    done, notes = split_by_group(catalogue.tracks)
    assert notes == [] and len({(t.group, t.split) for t in done}) == len({t.group for t in done})


def test_it_is_registered() -> None:
    assert DatasetConfig.from_dict({"kind": "fma", "subset": "large"}) == FmaConfig(subset="large")
    assert len(COLUMNS) == 52


def test_titles_come_from_genres_csv_whatever_its_further_columns(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks.csv", {2: fma_row(genres="[21, 76]")})
    write_genres(tmp_path / "genres.csv")
    write_clip(tmp_path, 2)
    tracks = FmaConfig(root=str(tmp_path), labels="all").catalogue().tracks
    assert tracks[0].labels == ("Experimental Pop", "Hip-Hop")
