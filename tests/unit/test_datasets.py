"""Manifests, labels and splits."""

from __future__ import annotations

import dataclasses
import uuid
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import (
    SPLITS,
    Manifest,
    Reject,
    Track,
    load_manifest,
    load_rejects,
    save_manifest,
    save_rejects,
)
from tonearm.datasets.splits import split_by_group


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


@pytest.mark.parametrize("sizes", [{"a": 30, "b": 9}, {"a": 9, "b": 9}, {}])
def test_fewer_than_two_classes_are_refused_with_the_counts(sizes: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match=r"two are needed; found (a \(|no labelled track)"):
        drop_small_classes([track(f"{c}{i}", c) for c, n in sizes.items() for i in range(n)])


# --- splits

# Sizes of the groups of each class: a group holds one class here, so that a split always exists.
CLASS_SIZES = st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=7), min_size=2, max_size=4)


def tracks_of(sizes: list[list[int]]) -> list[Track]:
    return [
        track(f"{c}-{g}-{i}", f"class{c}", f"artist{c}-{g}")
        for c, groups in enumerate(sizes)
        for g, size in enumerate(groups)
        for i in range(size)
    ]


@settings(max_examples=25, deadline=None)
@given(sizes=CLASS_SIZES, seed=st.integers(0, 5))
def test_groups_stay_whole_and_every_class_is_in_every_split(sizes: list[list[int]], seed: int) -> None:
    tracks = tracks_of(sizes)
    done, notes = split_by_group(tracks, seed)
    assert notes == []
    assert [t.track_id for t in done] == sorted(t.track_id for t in tracks)
    splits_of: dict[str, set[str | None]] = defaultdict(set)
    for t in done:
        splits_of[t.group].add(t.split)
    assert all(len(s) == 1 for s in splits_of.values())
    assert {(t.label, t.split) for t in done} == {(f"class{c}", s) for c in range(len(sizes)) for s in SPLITS}


@settings(max_examples=10, deadline=None)
@given(sizes=CLASS_SIZES, seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
def test_splits_are_a_function_of_tracks_and_seed_alone(sizes: list[list[int]], seed: int, order: object) -> None:
    tracks = tracks_of(sizes)
    shuffled = list(tracks)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split_by_group(tracks, seed) == split_by_group(shuffled, seed)


@pytest.mark.parametrize("sizes", [[50, 1, 1], [100, 1, 1, 1, 1], [20, 5, 3, 1], [1, 1, 1]])
def test_one_prolific_artist_does_not_leave_a_split_without_the_class(sizes: list[int]) -> None:
    done, _ = split_by_group(tracks_of([sizes, sizes]))
    assert {(t.label, t.split) for t in done} == {(f"class{c}", s) for c in range(2) for s in SPLITS}


def test_splits_are_near_the_wanted_fractions_and_differ_by_seed() -> None:
    tracks = tracks_of([[3] * 20, [2] * 30])
    for seed in range(3):
        done, _ = split_by_group(tracks, seed)
        for label, total in (("class0", 60), ("class1", 60)):
            counts = Counter(t.split for t in done if t.label == label)
            assert abs(counts["train"] - 0.6 * total) <= 3 and abs(counts["test"] - 0.2 * total) <= 3
    assert len({tuple(t.split for t in split_by_group(tracks, s)[0]) for s in range(3)}) == 3


def test_artists_of_several_classes_stay_whole() -> None:
    tracks = [track(f"{a}-{c}-{i}", c, f"artist{a}") for a in range(12) for c in "xyz" for i in range(2)]
    done, notes = split_by_group(tracks)
    assert notes == []
    assert len({(t.group, t.split) for t in done}) == 12
    assert {(t.label, t.split) for t in done} == {(c, s) for c in "xyz" for s in SPLITS}


def test_class_of_too_few_groups_is_split_by_track_and_named() -> None:
    tracks = [*tracks_of([[2] * 6]), *(track(f"solo{i}", "solo", "one artist") for i in range(10))]
    done, notes = split_by_group(tracks)
    assert len(notes) == 1 and notes[0].startswith("class 'solo' has 1 group(s), fewer than 3 splits: split by track")
    solo = [t for t in done if t.label == "solo"]
    assert {t.split for t in solo} == set(SPLITS)
    assert {t.group for t in solo} == {f"track:solo{i}" for i in range(10)}


def test_class_of_too_few_tracks_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match=r"class 'tiny' has 2 track\(s\), 3 splits need at least 3"):
        split_by_group([*tracks_of([[2] * 6]), track("t1", "tiny"), track("t2", "tiny")])


def test_classes_that_share_artists_are_spread_where_they_can_be() -> None:
    pairs = ["ab", "ac", "ad", "bc", "bd", "cd"]  # each class has three artists and shares each with another class
    done, notes = split_by_group([track(f"{p}-{c}", c, f"artist-{p}") for p in pairs for c in p])
    assert notes == [] and {(t.label, t.split) for t in done} == {(c, s) for c in "abcd" for s in SPLITS}


def test_classes_that_cannot_be_spread_are_refused_by_name() -> None:
    # Of four artists every three make up a class, so every class needs three splits of three artists: impossible.
    triples = ["123", "124", "134", "234"]
    with pytest.raises(DatasetError, match=r"class '\d{3}' has no track in the \w+ split.*cannot be spread"):
        split_by_group([track(f"{c}-{a}", c, f"artist{a}") for c in triples for a in c])


# --- recordings that occur twice


@given(sizes=CLASS_SIZES, seed=st.integers(0, 99), data=st.data())
@settings(max_examples=12, deadline=None)
def test_tracks_that_belong_together_share_a_split(sizes: list[list[int]], seed: int, data: st.DataObject) -> None:
    tracks = tracks_of([[*groups, 1, 1, 1] for groups in sizes])
    ids = st.sampled_from([*[t.track_id for t in tracks if t.label == "class0"][-3:], "unknown", "stranger"])
    together = data.draw(st.lists(st.lists(ids, max_size=3), max_size=3))
    done, _ = split_by_group(tracks, seed, together=together)
    split_of = {t.track_id: t.split for t in done}
    assert all(len({split_of[i] for i in ids if i in split_of}) <= 1 for ids in together)
    splits_of = defaultdict(set)
    for t in tracks:
        splits_of[t.group].add(split_of[t.track_id])
    assert all(len(splits) == 1 for splits in splits_of.values())  # and their groups stay whole
    assert {(t.label, t.split) for t in done} == {(t.label, s) for t in tracks for s in SPLITS}
    again = [list(reversed(ids)) for ids in reversed(together)]
    assert split_by_group(tracks[::-1], seed, together=again)[0] == done


def test_joined_groups_take_the_first_name_of_the_chain() -> None:
    tracks = [track(f"{a}{i}", "jazz", f"artist:{a}") for a in "abcdefgh" for i in range(2)]
    done, notes = split_by_group(tracks, together=[["c0", "d1"], ["unknown", "e0"], ["d0", "b1"], [], ["f0"]])
    group_of = {t.track_id: t.group for t in done}
    assert notes == [] and {g: sum(v == g for v in group_of.values()) for g in set(group_of.values())} == {
        "artist:b": 6, **{f"artist:{a}": 2 for a in "aefgh"}
    }  # fmt: skip
    assert len({t.split for t in done if t.track_id[0] in "bcd"}) == 1
    assert split_by_group(tracks, together=[["a0", "a1"]]) == split_by_group(tracks)


def test_duplicates_stay_together_where_groups_were_given_up() -> None:
    tracks = [*tracks_of([[2] * 6]), *(track(f"solo{i}", "solo", "one artist") for i in range(8))]
    done, notes = split_by_group(tracks, together=[["solo1", "solo6"], ["solo2", tracks[0].track_id]])
    split_of = {t.track_id: t.split for t in done}
    assert len(notes) == 1 and split_of["solo1"] == split_of["solo6"]
    assert len({split_of[t.track_id] for t in tracks if t.group == tracks[0].group} | {split_of["solo2"]}) == 1


def test_class_of_one_recording_over_and_over_is_refused_by_name() -> None:
    copies = [track(f"c{i}", "copies") for i in range(4)]
    with pytest.raises(DatasetError, match=r"class 'copies' has no track in the \w+ split"):
        split_by_group([*tracks_of([[2] * 6]), *copies], together=[["c0", "c1"], ["c1", "c2"], ["c3", "c0"]])
