"""Splits by group and by class: groups stay whole, classes are balanced, the same tracks give the same splits."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import track
from tonearm.core.errors import DatasetError
from tonearm.datasets.balance import count_groups, join_groups, place_groups
from tonearm.datasets.manifest import SPLITS, Split, Track
from tonearm.datasets.splits import split_by_group, stratified_split

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
    duplicates = data.draw(st.lists(st.lists(ids, max_size=3), max_size=3))
    done, _ = split_by_group(tracks, seed, duplicates=duplicates)
    split_of = {t.track_id: t.split for t in done}
    assert all(len({split_of[i] for i in ids if i in split_of}) <= 1 for ids in duplicates)
    splits_of = defaultdict(set)
    for t in tracks:
        splits_of[t.group].add(split_of[t.track_id])
    assert all(len(splits) == 1 for splits in splits_of.values())  # and their groups stay whole
    assert {(t.label, t.split) for t in done} == {(t.label, s) for t in tracks for s in SPLITS}
    again = [list(reversed(ids)) for ids in reversed(duplicates)]
    assert split_by_group(tracks[::-1], seed, duplicates=again)[0] == done


def test_joined_groups_take_the_first_name_of_the_chain() -> None:
    tracks = [track(f"{a}{i}", "jazz", f"artist:{a}") for a in "abcdefgh" for i in range(2)]
    done, notes = split_by_group(tracks, duplicates=[["c0", "d1"], ["unknown", "e0"], ["d0", "b1"], [], ["f0"]])
    group_of = {t.track_id: t.group for t in done}
    assert notes == [] and {g: sum(v == g for v in group_of.values()) for g in set(group_of.values())} == {
        "artist:b": 6, **{f"artist:{a}": 2 for a in "aefgh"}
    }  # fmt: skip
    assert len({t.split for t in done if t.track_id[0] in "bcd"}) == 1
    assert split_by_group(tracks, duplicates=[["a0", "a1"]]) == split_by_group(tracks)


def test_duplicates_stay_together_where_groups_were_given_up() -> None:
    tracks = [*tracks_of([[2] * 6]), *(track(f"solo{i}", "solo", "one artist") for i in range(8))]
    done, notes = split_by_group(tracks, duplicates=[["solo1", "solo6"], ["solo2", tracks[0].track_id]])
    split_of = {t.track_id: t.split for t in done}
    assert len(notes) == 1 and split_of["solo1"] == split_of["solo6"]
    assert len({split_of[t.track_id] for t in tracks if t.group == tracks[0].group} | {split_of["solo2"]}) == 1


def test_class_of_one_recording_over_and_over_is_refused_by_name() -> None:
    copies = [track(f"c{i}", "copies") for i in range(4)]
    with pytest.raises(DatasetError, match=r"class 'copies' has no track in the \w+ split"):
        split_by_group([*tracks_of([[2] * 6]), *copies], duplicates=[["c0", "c1"], ["c1", "c2"], ["c3", "c0"]])


# --- several labels, and none


def several(track_id: str, labels: str, group: str) -> Track:
    return dataclasses.replace(track(track_id, labels[0], group), labels=tuple(labels))


def label_counts(tracks: tuple[Track, ...]) -> Counter[tuple[str, str | None]]:
    return Counter((label, t.split) for t in tracks for label in t.all_labels)


def test_all_labels_of_a_track_are_balanced_and_groups_stay_whole() -> None:
    # Every track is "a", so that the first label alone tells nothing; b, c and d alternate by artist.
    tracks = [several(f"{g:02d}-{i}", "a" + "bcd"[g % 3], f"artist{g:02d}") for g in range(30) for i in range(2)]
    done, notes = split_by_group(tracks)
    assert notes == [] and len({(t.group, t.split) for t in done}) == 30
    counts = label_counts(done)
    assert [counts["a", s] for s in SPLITS] == [36, 12, 12]
    assert {label: [counts[label, s] for s in SPLITS] for label in "bcd"} == {label: [12, 4, 4] for label in "bcd"}


def test_a_rare_label_among_several_is_noted_and_its_artist_stays_whole() -> None:
    tracks = [several(f"{g:02d}-{i}", "ab", f"artist{g:02d}") for g in range(20) for i in range(2)]
    tracks += [several("rare-1", "ar", "artist-r"), several("rare-2", "ar", "artist-r")]
    done, notes = split_by_group(tracks)
    assert notes == ["label 'r' (2 tracks) does not occur in validation and test: too few groups have it"]
    assert {t.split for t in done if "r" in t.labels} == {"train"} and {t.group for t in done if "r" in t.labels} == {
        "artist-r"
    }


def test_tracks_without_labels_are_balanced_by_their_number() -> None:
    sizes = [1, 9, 2, 8, 3, 7, 4, 6, 5, 5] * 2
    tracks = [track(f"{g:02d}-{i}", "", f"artist{g:02d}") for g, n in enumerate(sizes) for i in range(n)]
    done, notes = split_by_group(tracks, fractions={"train": 0.8, "validation": 0.1, "test": 0.1})
    assert notes == [] and Counter(t.split for t in done) == {"train": 80, "validation": 10, "test": 10}
    assert len({(t.group, t.split) for t in done}) == 20


def test_large_and_small_groups_are_mixed_where_there_are_no_labels() -> None:
    sizes = [20] * 10 + [1] * 200
    tracks = [track(f"{g:03d}-{i}", "", f"artist{g:03d}") for g, n in enumerate(sizes) for i in range(n)]
    done, _ = split_by_group(tracks)
    large = Counter(t.split for t in done if t.group < "artist010")
    assert large["train"] == 120 and large["validation"] == large["test"] == 40


def test_few_unlabelled_artists_are_split_by_track_and_it_is_said() -> None:
    done, notes = split_by_group([track(f"{g}-{i}", "", g) for g in "xy" for i in range(10)])
    assert len(notes) == 1 and notes[0].startswith("the set of unlabelled tracks has 2 group(s), fewer than 3 splits")
    assert Counter(t.split for t in done) == {"train": 12, "validation": 4, "test": 4}


def test_too_few_groups_of_several_labels_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"2 group\(s\) cannot fill 3 splits: no track is left for"):
        split_by_group([several(f"{g}-{i}", "ab", g) for g in "xy" for i in range(10)])


@pytest.mark.parametrize(
    "fractions",
    [
        {"train": 0.8, "test": 0.2},
        {"train": 0.8, "validation": 0.0, "test": 0.2},
        {"train": 0.8, "validation": 0.1, "test": 0.2},
        {"train": 1.2, "validation": -0.1, "test": -0.1},
    ],
)
def test_fractions_that_are_no_shares_are_refused(fractions: dict[Split, float]) -> None:
    for split in (split_by_group, stratified_split):
        with pytest.raises(DatasetError, match="give train, validation, test a share each, positive, which sum to 1"):
            split(tracks_of([[2] * 6]), fractions=fractions)


def test_no_track_at_all_is_refused() -> None:
    for split in (split_by_group, stratified_split):
        with pytest.raises(DatasetError, match=r"0 group\(s\) cannot fill 3 splits"):
            split([])


# --- by class, groups ignored


def test_a_stratified_class_of_too_few_tracks_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match=r"class 'tiny' has 2 track\(s\), 3 splits need at least 3"):
        stratified_split([*tracks_of([[2] * 6]), track("t1", "tiny"), track("t2", "tiny")])


@settings(max_examples=8, deadline=None)
@given(sizes=st.lists(st.integers(5, 40), min_size=1, max_size=4), seed=st.integers(0, 5))
def test_a_stratified_split_is_as_near_to_the_fractions_as_whole_tracks_allow(sizes: list[int], seed: int) -> None:
    tracks = [track(f"{c}-{i}", f"class{c}", "one group") for c, n in enumerate(sizes) for i in range(n)]
    done, notes = stratified_split(tracks, seed)
    assert notes == [] and {t.group for t in done} == {"one group"}
    counts = label_counts(done)
    for c, n in enumerate(sizes):
        assert all(abs(counts[f"class{c}", s] - f * n) <= 1 for s, f in zip(SPLITS, (0.6, 0.2, 0.2), strict=True))
    assert stratified_split(tracks[::-1], seed)[0] == done


def test_stratified_splits_differ_by_seed_and_keep_duplicates_together() -> None:
    tracks = [track(f"{i:02d}", "ab"[i % 2]) for i in range(40)]
    duplicates = [[f"{i:02d}", f"{i + 20:02d}"] for i in range(8)]
    seen = set()
    for seed in range(3):
        done, _ = stratified_split(tracks, seed, duplicates=duplicates)
        split_of = {t.track_id: t.split for t in done}
        assert all(split_of[a] == split_of[b] for a, b in duplicates)
        seen.add(tuple(split_of.values()))
    assert len(seen) == 3


# --- the parts


def test_groups_are_counted_by_hand() -> None:
    tracks = [several("1", "ab", "x"), several("2", "b", "y"), track("3", "", "x"), track("4", "c", "x")]
    counts = count_groups(tracks, [t.group for t in tracks])
    assert (counts.groups, counts.classes, counts.sizes.tolist()) == (("x", "y"), ("a", "b", "c"), [3, 1])
    assert counts.table.toarray().tolist() == [[1, 1, 1, 3], [0, 1, 0, 1]] and counts.totals.tolist() == [1, 2, 1]


def test_what_bins_hold_is_the_sum_of_their_groups() -> None:
    tracks = [several(f"{i}", "ab" if i % 3 else "b", f"g{i % 11}") for i in range(60)]
    counts = count_groups(tracks, [t.group for t in tracks])
    placement = place_groups(counts, [0.25] * 4, 0)
    bin_of = dict(zip(counts.groups, placement.bins, strict=True))
    for b in range(4):
        inside = [t for t in tracks if bin_of[t.group] == b]
        assert placement.sizes[b] == len(inside)
        assert placement.class_counts[b].tolist() == [sum(label in t.labels for t in inside) for label in "ab"]


def test_chains_of_joined_groups_end_at_their_first_name() -> None:
    ids = [f"t{i}" for i in range(2000)]
    groups = [f"g{i:04d}" for i in range(2000)]
    chain = [[f"t{i}", f"t{i + 1}"] for i in reversed(range(1998))]
    assert set(join_groups(ids, groups, chain)) == {"g0000", "g1999"}
