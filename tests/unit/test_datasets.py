"""Manifests and labels."""

from __future__ import annotations

import dataclasses
import uuid
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import (
    Manifest,
    Reject,
    Track,
    load_manifest,
    load_rejects,
    save_manifest,
    save_rejects,
)


def full_track(track_id: str) -> Track:
    return track(track_id, "jazz", "artist:é", "test", title="Söng\nwith a line", artist="é", album="A", year=1959,
                 place="Wien", latitude=48.2, longitude=16.4, licence="CC0")  # fmt: skip


# --- manifest


@pytest.mark.parametrize("place", ["local", "memory"])
def test_manifest_comes_back_equal(place: str, tmp_path: Path) -> None:
    uri = f"{tmp_path}/m.parquet" if place == "local" else f"memory://{uuid.uuid4().hex}/m.parquet"
    manifest = Manifest("scores", "repertoire", (full_track("b"), track("a")), ("a note",))
    save_manifest(uri, manifest)
    again = load_manifest(uri)
    assert again == manifest and again.signature() == manifest.signature()
    assert [t.track_id for t in again.tracks] == ["a", "b"]


def test_manifest_knows_classes_and_splits() -> None:
    manifest = Manifest("d", "l", (track("1", "b", split="train"), track("2", "a", split="test"), track("3", "b")))
    assert manifest.classes == ("a", "b")
    assert [t.track_id for t in manifest.of("train")] == ["1"] and manifest.of("validation") == ()
    assert full_track("x").name == "Söng\nwith a line" and track("x").name == "x"


def test_signature_is_of_what_training_sees() -> None:
    tracks = (full_track("a"), track("b"))
    manifest = Manifest("d", "l", tracks)
    same = [
        Manifest("d", "l", tracks[::-1]),
        Manifest("d", "l", tracks, ("a note",)),
        Manifest("d", "l", (dataclasses.replace(tracks[0], source="/elsewhere/a.flac", title="X", year=1), tracks[1])),
    ]
    assert {m.signature() for m in same} == {manifest.signature()}
    for change in ({"track_id": "c"}, {"content": "0"}, {"label": "x"}, {"group": "x"}, {"split": "train"}):
        other = Manifest("d", "l", (dataclasses.replace(tracks[0], **change), tracks[1]))  # type: ignore[arg-type]
        assert other.signature() != manifest.signature(), change
    assert Manifest("e", "l", tracks).signature() != manifest.signature()
    assert Manifest("d", "m", tracks).signature() != manifest.signature()


def test_ids_must_be_unique() -> None:
    with pytest.raises(DatasetError, match="track ids occur twice: a"):
        Manifest("d", "l", (track("a"), track("b"), track("a", "other")))


def test_absent_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest at .* make the data set first"):
        load_manifest(str(tmp_path / "absent.parquet"))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1 and no table PAR1"])
def test_damaged_tables_say_what_to_do(data: bytes, tmp_path: Path) -> None:
    uri = str(tmp_path / "m.parquet")
    Path(uri).write_bytes(data)
    for load in (load_manifest, load_rejects):
        with pytest.raises(DatasetError, match=r"m\.parquet is damaged \(.*\): make the data set again"):
            load(uri)


def test_tables_of_something_else_and_damaged_notes_are_refused(tmp_path: Path) -> None:
    uri = str(tmp_path / "m.parquet")
    save_rejects(uri, [])
    with pytest.raises(DatasetError, match=r"m\.parquet is no table of tracks that was written here"):
        load_manifest(uri)
    save_manifest(uri, Manifest("d", "l", (track("a"),)))
    with pytest.raises(DatasetError, match=r"m\.parquet is no table of rejects that was written here"):
        load_rejects(uri)
    as_before(uri)
    Path(f"{uri}.notes.json").write_text("[")
    with pytest.raises(DatasetError, match=r"the notes of .*m\.parquet are damaged \(.*\): make the data set again"):
        load_manifest(uri)


def as_before(uri: str) -> None:
    """Leave in a manifest what it had when its notes lay beside it, and how it was made was not kept."""
    table = pq.read_table(uri)
    header = {k: v for k, v in table.schema.metadata.items() if k not in (b"notes", b"made")}
    pq.write_table(table.replace_schema_metadata(header), uri)


def test_notes_are_written_with_the_manifest_and_older_ones_are_read(tmp_path: Path) -> None:
    uri = str(tmp_path / "m.parquet")
    made = {"config": {"kind": "folder", "root": "/müsic"}, "seed": 3}
    manifest = Manifest("d", "l", (track("a"),), ("first", "zweite: é"), made=made)
    Path(f"{uri}.notes.json").write_text('["of another one"]')
    save_manifest(uri, manifest)
    assert [p.name for p in tmp_path.iterdir()] == ["m.parquet"]
    assert load_manifest(uri) == manifest and load_manifest(uri).made == made
    as_before(uri)
    assert load_manifest(uri).notes == () and load_manifest(uri).made == {}
    Path(f"{uri}.notes.json").write_text('["first"]')
    assert load_manifest(uri).notes == ("first",)


def test_rejects_come_back_sorted_and_absent_ones_are_none(tmp_path: Path) -> None:
    uri = str(tmp_path / "rejects.parquet")
    rejects = [
        Reject(track_id="b", source="s", stage="scan", reason="silent", detail="é", key="k", bytes=2**40),
        Reject(track_id="a", source="s", stage="scan", reason="silent", detail="é"),
    ]
    assert rejects[1].bytes == -1
    assert load_rejects(uri) == []
    save_rejects(uri, rejects)
    assert load_rejects(uri) == rejects[::-1]
    save_rejects(uri, [])
    assert load_rejects(uri) == []


# --- labels


def test_small_classes_are_left_out_and_named() -> None:
    tracks = [track(f"{c}{i}", c) for c, n in (("big", 10), ("large", 12), ("small", 9), ("one", 1)) for i in range(n)]
    kept, notes = drop_small_classes(tracks)
    assert Counter(t.label for t in kept) == {"big": 10, "large": 12}
    assert notes == [
        "class 'one' left out: 1 of the needed 10 tracks",
        "class 'small' left out: 9 of the needed 10 tracks",
    ]


def test_every_label_of_a_track_counts_and_the_small_ones_are_taken_from_it() -> None:
    pairs = [track(f"p{i}", "a", labels=("a", "b")) for i in range(6)]  # of b only here and in the next
    tracks = [*pairs, *(track(f"q{i}", "b", labels=("b", "rare")) for i in range(4)),
              *(track(f"s{i}", "a") for i in range(5)), track("gone", "rare"), track("none", "")]  # fmt: skip
    kept, notes = drop_small_classes(tracks)
    assert {(t.label, t.labels) for t in kept} == {("a", ("a", "b")), ("b", ()), ("a", ())}
    assert [t.track_id for t in kept] == [t.track_id for t in tracks[:-2]] and kept[:6] == tuple(pairs)
    assert notes == ["class 'rare' left out: 5 of the needed 10 tracks", "1 track(s) have no label: left out"]
    first = drop_small_classes([*tracks, *(track(f"z{i}", "rare", labels=("odd", "b", "a")) for i in range(2))])[0][-1]
    assert (first.label, first.labels) == ("b", ("b", "a"))


@pytest.mark.parametrize("sizes", [{"a": 30, "b": 9}, {"a": 9, "b": 9}, {}])
def test_fewer_than_two_classes_are_refused_with_the_counts(sizes: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match=r"two are needed; found (a \(|no labelled track)"):
        drop_small_classes([track(f"{c}{i}", c) for c, n in sizes.items() for i in range(n)])
