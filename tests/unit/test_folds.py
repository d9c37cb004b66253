"""Folds: every track is tested once, groups and duplicates stay in one fold, classes are spread evenly."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.folds import folds_by_group, split_by_fold
from tonearm.datasets.manifest import Manifest, Track


def artists(count: int = 30, classes: str = "abc", per_artist: int = 2) -> list[Track]:
    """Artists of one class each."""
    return [
        track(f"{a:02d}-{i}", classes[a % len(classes)], f"artist{a:02d}")
        for a in range(count)
        for i in range(per_artist)
    ]


def fold_of(folds: Sequence[Sequence[str]]) -> dict[str, int]:
    return {track_id: f for f, ids in enumerate(folds) for track_id in ids}


def test_every_track_is_in_one_fold_and_every_artist_too() -> None:
    tracks = artists()
    folds = folds_by_group(tracks, 5)
    assert sorted(i for ids in folds for i in ids) == sorted(t.track_id for t in tracks)
    assert all(list(ids) == sorted(ids) for ids in folds)
    of = fold_of(folds)
    assert len({(t.group, of[t.track_id]) for t in tracks}) == 30


def test_classes_are_spread_evenly() -> None:
    tracks = artists()
    of = fold_of(folds_by_group(tracks, 5))
    assert Counter((t.label, of[t.track_id]) for t in tracks) == {(c, f): 4 for c in "abc" for f in range(5)}


def test_folds_are_a_function_of_tracks_and_seed_alone() -> None:
    tracks = artists()
    assert folds_by_group(tracks, 5, 3) == folds_by_group(tracks[::-1], 5, 3)
    assert len({folds_by_group(tracks, 5, seed) for seed in range(4)}) == 4


def test_ungrouped_folds_balance_classes_within_a_track_although_artists_are_few() -> None:
    tracks = [track(f"{i:02d}", "ab"[i % 3 == 0], "one artist") for i in range(41)]
    of = fold_of(folds_by_group(tracks, 4, grouped=False))
    for label, n in Counter(t.label for t in tracks).items():
        counts = Counter(of[t.track_id] for t in tracks if t.label == label)
        assert all(abs(counts[f] - n / 4) < 1 for f in range(4))


@pytest.mark.parametrize("grouped", [True, False])
def test_duplicates_share_a_fold(grouped: bool) -> None:
    tracks = artists()
    duplicates = [["00-0", "10-1", "20-0"], ["20-0", "25-1"], ["unknown", "03-0"]]
    of = fold_of(folds_by_group(tracks, 5, grouped=grouped, duplicates=duplicates))
    assert len({of[i] for i in ("00-0", "10-1", "20-0", "25-1")}) == 1
    if grouped:
        assert len({of[t.track_id] for t in tracks if t.group in ("artist00", "artist10", "artist20", "artist25")}) == 1


def test_several_labels_and_none_are_balanced() -> None:
    tracks = [dataclasses.replace(t, labels=("all", t.label)) for t in artists()]
    of = fold_of(folds_by_group(tracks, 5))
    assert Counter((t.label, of[t.track_id]) for t in tracks) == {(c, f): 4 for c in "abc" for f in range(5)}
    unlabelled = [dataclasses.replace(t, label="") for t in artists()]
    assert [len(ids) for ids in folds_by_group(unlabelled, 5)] == [12] * 5


def test_each_track_is_tested_once_over_the_rounds() -> None:
    tracks = artists()
    rounds = [split_by_fold(tracks, 5, fold) for fold in range(5)]
    tested = [t.track_id for done in rounds for t in done if t.split == "test"]
    assert sorted(tested) == sorted(t.track_id for t in tracks)
    folds = folds_by_group(tracks, 5)
    for fold, done in enumerate(rounds):
        assert [t.track_id for t in done] == sorted(t.track_id for t in tracks)
        assert tuple(t.track_id for t in done if t.split == "test") == folds[fold]
        assert len({(t.group, t.split) for t in done}) == 30
        assert {t.label for t in done if t.split == "train"} == set("abc")


def test_inner_validation_takes_about_15_percent_of_the_rest() -> None:
    tracks = artists(60)
    for fold in range(3):
        counts = Counter(t.split for t in split_by_fold(tracks, 3, fold))
        assert counts["test"] == 40 and abs(counts["validation"] - 0.15 * 80) <= 2
    assert split_by_fold(tracks, 3, 1) == split_by_fold(tracks[::-1], 3, 1)


def test_groups_of_a_round_are_honest() -> None:
    tracks = artists()
    joined = split_by_fold(tracks, 3, 0, duplicates=[["00-0", "03-1"]])
    assert {t.group for t in joined if t.track_id in ("00-0", "03-1")} == {"artist00"}
    loose = split_by_fold(tracks, 3, 0, grouped=False, duplicates=[["00-0", "03-1"]])
    assert {t.track_id: t.group for t in loose} == {t.track_id: t.group for t in tracks}
    assert len({t.split for t in loose if t.track_id in ("00-0", "03-1")}) == 1


@pytest.mark.parametrize("grouped", [True, False])
def test_tracks_of_one_content_share_a_fold_unasked(grouped: bool) -> None:
    tracks = artists()
    same = {"00-0", "04-1", "17-0", "29-1"}
    tracks = [dataclasses.replace(t, content="0f") if t.track_id in same else t for t in tracks]
    of = fold_of(folds_by_group(tracks, 5, grouped=grouped))
    assert len({of[i] for i in same}) == 1
    for fold in range(3):
        done = split_by_fold(tracks, 3, fold, grouped=grouped)
        assert len({t.split for t in done if t.track_id in same}) == 1
        assert len({t.split for t in done if t.group == "artist00"}) == 1 or not grouped
    unknown = [dataclasses.replace(t, content="") for t in artists()]
    assert folds_by_group(unknown, 5, grouped=grouped) == folds_by_group(artists(), 5, grouped=grouped)


def test_tracks_of_several_labels_validate_no_more_often_than_others() -> None:
    labels = [("a",)] * 600 + [("b",)] * 300 + [("a", "b")] * 60 + [("b", "a")] * 40
    tracks = [dataclasses.replace(track(f"{i:04d}", own[0], f"artist{i}"), labels=own) for i, own in enumerate(labels)]
    for fold in range(3):
        validating = [t for t in split_by_fold(tracks, 5, fold, grouped=False) if t.split == "validation"]
        assert abs(len(validating) - 0.15 * 800) <= 4
        assert 4 <= sum(len(t.all_labels) > 1 for t in validating) <= 22  # of 12 that are wanted, within 3 deviations


# --- what cannot be


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (1, 0, r"1 fold\(s\): cross-validation needs at least 2"),
        (5, 5, r"there is no fold 5 of 5: they are 0..4"),
        (5, -1, r"there is no fold -1"),
        (40, 0, r"30 groups cannot fill 40 folds"),
    ],
)
def test_folds_that_cannot_be_are_refused(folds: int, fold: int, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        split_by_fold(artists(), folds, fold)


def test_a_class_of_one_artist_is_refused_by_name_but_not_where_groups_do_not_count() -> None:
    tracks = [*artists(), *(track(f"solo{i}", "solo", "one artist") for i in range(6))]
    with pytest.raises(DatasetError, match="class 'solo' is in one fold only: too few groups have it"):
        folds_by_group(tracks, 5)
    of = fold_of(folds_by_group(tracks, 3, grouped=False))
    assert Counter(of[t.track_id] for t in tracks if t.label == "solo") == {0: 2, 1: 2, 2: 2}


def test_a_class_that_only_tests_and_validates_is_refused_by_name() -> None:
    tracks = [*artists(), track("x", "duo", "artist-x"), track("y", "duo", "artist-y")]
    of = fold_of(folds_by_group(tracks, 2))
    assert of["x"] != of["y"]
    done = split_by_fold(tracks, 2, of["x"])  # the other one is left, and trains
    assert {t.split for t in done if t.track_id == "y"} == {"train"}
    # Of each class one artist is left, both are more than a sixth: the smaller validates, and no other knows its class.
    few = [track(f"{group}{i}", label, group) for group, label, n in
           (("p", "a", 9), ("q", "a", 9), ("r", "duo", 8), ("s", "duo", 4)) for i in range(n)]  # fmt: skip
    of = fold_of(folds_by_group(few, 2))
    with pytest.raises(DatasetError, match=rf"class 'duo' has no training track in fold {of['r0']} of 2"):
        split_by_fold(few, 2, of["r0"])


def test_one_group_beside_the_test_fold_cannot_do_both() -> None:
    with pytest.raises(DatasetError, match="one group is left outside the test fold"):
        split_by_fold([track("a", "", "x"), track("b", "", "y")], 2, 0)


def test_of_few_even_groups_the_smallest_validates() -> None:
    tracks = [track(f"{label}{artist}{i}", label, group=f"artist:{label}{artist}")
              for label in "ab" for artist in range(4) for i in range(3)]  # fmt: skip
    for fold in range(2):
        placed = split_by_fold(tracks, 2, fold)
        validating = {t.group for t in placed if t.split == "validation"}
        assert len(validating) >= 1 and {t.split for t in placed} == {"train", "validation", "test"}
        assert not validating & {t.group for t in placed if t.split != "validation"}


def test_two_encodings_of_one_recording_share_a_fold() -> None:
    tracks = [track(f"{label}{i:02d}", label, f"artist:{label} {i}") for label in "ab" for i in range(20)]
    twins = [dataclasses.replace(t, recording=f"a{i % 10:02d}") if t.label == "a" else t for i, t in enumerate(tracks)]
    for grouped in (True, False):
        for fold in range(4):
            split = {t.track_id: t.split for t in split_by_fold(twins, 4, fold, grouped=grouped)}
            assert all(split[f"a{i:02d}"] == split[f"a{i + 10:02d}"] for i in range(10))
    assert Manifest("m", "l", tuple(tracks)).signature() != Manifest("m", "l", tuple(twins)).signature()
