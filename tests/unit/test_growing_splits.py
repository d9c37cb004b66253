"""Splits of a data set that grows: what was trained on is never tested, and what moves is told."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from tests.builders import track
from tests.unit.growing_libraries import library, recording, splits
from tonearm.datasets.assignment import Assignment
from tonearm.datasets.folds import extended_folds, folds_by_group, split_by_fold
from tonearm.datasets.manifest import SPLITS, Track
from tonearm.datasets.split_changes import growth_lines
from tonearm.datasets.splits import Division, divide, split_by_group, stratified_split
from tonearm.ensembles.provenance import KnownTracks


def lines(division: Division, last: Division) -> tuple[str, ...]:
    there = {t.track_id for t in last.tracks}
    held = {key: where for key, where in last.assignment.placed.items() if key[0] in there}
    return growth_lines(division.tracks, Assignment(held), last.assignment, division.moves)


def moved(division: Division, last: Division) -> dict[str, tuple[str | None, str | None]]:
    before, now = splits(last), splits(division)
    return {i: (before[i], split) for i, split in now.items() if before.get(i, split) != split}


# --- one file more, one less


@pytest.mark.parametrize("grouped", [True, False])
def test_one_file_more_moves_no_other(grouped: bool) -> None:
    tracks = library()
    first = divide(tracks, grouped=grouped)
    assert growth_lines(first.tracks, Assignment(), Assignment(), first.moves) == () and first.moves == ()
    for more in (recording("new", "class0", "somebody else"), recording("new", "class0", "000")):
        second = divide([*tracks, more], grouped=grouped, before=first.assignment)
        assert moved(second, first) == {} and second.moves == ()
        now = splits(second)
        assert lines(second, first) == (f"1 track is new: 1 {now['new']}; no other track moved",)
        if grouped and more.group == "artist:000":
            assert {t.split for t in second.tracks if t.group == more.group} == {now["new"]}


def test_a_split_hardly_depends_on_the_other_groups_even_where_nothing_is_remembered() -> None:
    tracks = library()
    alone = dict(zip((t.track_id for t in tracks), (t.split for t in split_by_group(tracks)[0]), strict=True))
    for n in range(5):
        more = [*tracks, recording("new", f"class{n}", "somebody else")]
        differing = sum(alone.get(t.track_id, t.split) != t.split for t in split_by_group(more)[0])
        assert differing <= 0.1 * len(tracks)  # dealt anew, about half would differ


def test_a_file_that_is_away_comes_back_to_its_split() -> None:
    tracks = library()
    first = divide(tracks)
    for gone in tracks[::60]:
        without = divide([t for t in tracks if t != gone], before=first.assignment)
        assert moved(without, first) == {}
        assert lines(without, first) == ("1 track is gone, whose split is remembered; no other track moved",)
        grown = divide([*(t for t in tracks if t != gone), recording("x", "class1", "X")], before=without.assignment)
        back = divide([*tracks, recording("x", "class1", "X")], before=grown.assignment)
        assert splits(back)[gone.track_id] == splits(first)[gone.track_id] and moved(back, first) == {}
        assert lines(back, grown) == (f"1 track is back: 1 {splits(first)[gone.track_id]}; no other track moved",)


def test_a_whole_artist_who_is_away_comes_back_to_the_split_with_new_songs() -> None:
    tracks = library()
    first = divide(tracks)
    away = divide([t for t in tracks if t.group != "artist:003"], before=first.assignment)
    was = {t.split for t in first.tracks if t.group == "artist:003"}
    new_song = divide([*(t for t in tracks if t.group != "artist:003"), recording("new", "class3", "003")],
                      before=away.assignment)  # fmt: skip
    assert {splits(new_song)["new"]} == was


def test_a_renamed_file_is_the_same_one_and_a_retagged_one_too() -> None:
    tracks = [track(f"{i:02d}", "ab"[i % 2]) for i in range(40)]  # each its own group
    first = divide(tracks)
    renamed = [
        dataclasses.replace(t, track_id=f"moved/{t.track_id}", group=f"track:moved/{t.track_id}") for t in tracks
    ]
    second = divide(renamed, before=first.assignment)
    assert [t.split for t in second.tracks] == [t.split for t in first.tracks] and not second.moves
    assert lines(second, first) == ()
    retagged = [dataclasses.replace(t, content=f"{t.content} with other tags") for t in renamed]
    assert splits(divide(retagged, before=second.assignment)) == splits(second)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_library_that_is_encoded_anew_stays_and_it_is_told(grouped: bool) -> None:
    def named(suffix: str) -> list[Track]:
        ids = [f"cd {i % 2}/{i:02d}{suffix}" for i in range(60)]
        return [dataclasses.replace(track(i, "ab"[n % 2]), content=f"of {i}", group=f"track:{i}") for n, i in
                enumerate(ids)]  # fmt: skip

    old, new = named(".mp3"), named(".FLAC")
    first = divide(old, grouped=grouped)
    second = divide([*new, track("one more.flac", "a")], grouped=grouped, before=first.assignment)
    was = {t.track_id[:-4]: t.split for t in first.tracks}
    now = {t.track_id[:-5]: t.split for t in second.tracks}
    assert {name: now[name] for name in was} == was and not second.moves
    assert lines(second, first) == (
        f"1 track is new: 1 {now['one more']}; 60 tracks are re-encoded; no other track moved",
    )
    third = divide([*new, track("one more.flac", "a")], grouped=grouped, before=second.assignment)
    assert splits(third) == splits(second) and lines(third, second) == ()
    fresh = divide([*old, *new], grouped=grouped, before=first.assignment)  # the old ones are still there
    assert lines(fresh, first)[0].startswith("60 tracks are new: ") and not fresh.moves
    folds, _ = extended_folds(old, 5, grouped=grouped)
    again, moves = extended_folds(new, 5, grouped=grouped, before=folds)
    assert moves == () and {i[:-4]: place for (i, _), (_, place) in folds.placed.items()} == {
        i[:-5]: place for (i, _), (_, place) in again.placed.items() if i.endswith("FLAC")
    }
    model = KnownTracks.of([t for t in first.tracks if t.split == "train"])
    tested = model.unknown(second.tracks, second.tracks, by_group=True)
    assert {t.track_id[:-5] for t in tested} == {name for name, split in now.items() if split != "train"} | {"one more"}


def test_a_file_that_is_renamed_and_encoded_anew_is_known_by_its_sound() -> None:
    tracks = [track(f"{i:02d}.mp3", "ab"[i % 2]) for i in range(40)]
    first = divide(tracks)
    new = [
        dataclasses.replace(t, track_id=f"new {t.track_id}", content=f"{t.content} anew", group=f"track:{t.track_id}")
        for t in tracks
    ]
    before = first.assignment.recognising(new, {f"{t.content} anew": [t.content] for t in tracks})
    second = divide(new, before=before)
    assert [t.split for t in second.tracks] == [t.split for t in first.tracks] and not second.moves


def test_a_corrected_label_moves_nothing() -> None:
    tracks = library()
    first = divide(tracks)
    corrected = [dataclasses.replace(t, label="class1") if i % 50 == 0 else t for i, t in enumerate(tracks)]
    second = divide(corrected, before=first.assignment)
    assert moved(second, first) == {} and lines(second, first) == ()


# --- what must move, and where to


def test_groups_that_become_one_go_where_they_were_trained_on() -> None:
    tracks = library()
    first = divide(tracks)
    of = {t.group: t.split for t in first.tracks}
    by_split = {s: sorted(g for g, split in of.items() if split == s) for s in SPLITS}
    for one, other in (("train", "test"), ("validation", "test"), ("train", "validation")):
        joined = {by_split[one][-1], by_split[other][-1]}  # of few tracks each
        name = min(joined)
        together = [dataclasses.replace(t, group=name) if t.group in joined else t for t in tracks]
        second = divide(together, before=first.assignment)
        changed = moved(second, first)
        assert changed and set(changed.values()) == {(other, one)}
        assert {i for move in second.moves for i in move.tracks} == set(changed)
        told = lines(second, first)
        gone = max(joined)
        assert told[0] == f"{len(changed)} moved:" and len(told) == 2
        assert told[1].startswith(f"  from {other} to {one}: ")
        assert f"since {gone} belongs to {name} now" in told[1] and "learned" not in told[1]
        assert splits(divide(tracks, before=second.assignment)) == splits(second)  # apart again, they stay


@pytest.mark.parametrize("grouped", [True, False])
def test_a_recording_that_is_found_twice_later_joins_its_groups(grouped: bool) -> None:
    tracks = library()
    first = divide(tracks, grouped=grouped)
    trained = next(t for t in first.tracks if t.split == "train")
    tested = next(t for t in first.tracks if t.split == "test")
    ids = [trained.track_id, tested.track_id]
    second = divide(tracks, duplicates=[ids], grouped=grouped, before=first.assignment)
    assert {splits(second)[i] for i in ids} == {"train"}
    assert set(moved(second, first).values()) == {("test", "train")}
    assert grouped or set(moved(second, first)) == {tested.track_id}
    assert grouped or lines(second, first)[1] == (
        f"  from test to train: {tested.track_id}, since they are one recording: {' = '.join(sorted(ids))}"
    )
    assert {t.group for t in second.tracks if t.track_id in ids} == (
        {min(trained.group, tested.group)} if grouped else {trained.group, tested.group}
    )


def one_artist(n: int = 10) -> list[Track]:
    return [*library(), *(recording(f"solo{i}", "solo", "one") for i in range(n))]


@pytest.mark.parametrize("known", [True, False])
def test_a_class_that_was_split_by_track_stays_so_when_it_has_enough_groups(known: bool) -> None:
    tracks = one_artist()
    first = divide(tracks)
    assert len(first.notes) == 1 and {t.group for t in first.tracks if t.label == "solo"} > {"track:solo0"}
    before = first.assignment if known else Assignment(first.assignment.placed)  # as earlier versions kept it
    more = [recording(f"{artist}{i}", "solo", artist) for artist in ("two", "three") for i in range(4)]
    unknown = [track(f"u{i}", "solo") for i in range(3)]  # each its own group
    for _ in range(3):  # also when it is prepared again, and grows further
        second = divide([*tracks, *more], before=before)
        assert moved(second, first) == {} and second.moves == ()
        (note,) = second.notes
        assert "class 'solo' was split by track, since it had too few groups: 1 of its " in note
        assert "another seed deals all tracks anew" in note
        now = {t.track_id: t for t in second.tracks}
        assert {now[t.track_id].group for t in more} >= {"artist:two", "artist:three"}  # new ones are whole
        assert len({now[f"two{i}"].split for i in range(4)}) == 1
        more, before = [*more, *unknown], second.assignment
        unknown = []
    song = divide([*tracks, *more, recording("solo99", "solo", "one")], before=before)
    assert moved(song, first) == {} and song.moves == ()


def test_one_track_of_two_labels_takes_no_class_out_of_test() -> None:
    tracks = one_artist(20)
    first = divide(tracks)
    both = dataclasses.replace(recording("both", "class0", "both"), labels=("class0", "solo"))
    second = divide([*tracks, both], before=first.assignment)
    assert moved(second, first) == {} and second.moves == ()
    assert {t.split for t in second.tracks if t.label == "solo"} == set(SPLITS)


def test_unknown_artists_who_are_tagged_later_are_whole() -> None:
    tracks = [*library(), *(track(f"u{i}", "loose") for i in range(30))]
    first = divide(tracks)
    assert first.assignment.dissolved == frozenset()
    tagged = [dataclasses.replace(t, group="artist:A") if t.track_id in ("u0", "u1", "u2", "u3") else t for t in tracks]
    for before in (first.assignment, Assignment(first.assignment.placed)):
        second = divide(tagged, before=before)
        assert len({t.split for t in second.tracks if t.group == "artist:A"}) == 1 and not second.notes


def test_a_class_that_lost_its_test_tracks_gets_some_and_it_is_told_that_they_were_trained_on() -> None:
    tracks = [*library(), *(recording(f"{artist}{i}", "rare", artist) for artist in ("A", "B", "C") for i in range(4))]
    first = divide(tracks)
    of = {t.group: t.split for t in first.tracks if t.label == "rare"}
    tested = next(group for group, split in of.items() if split == "test")
    second = divide([t for t in tracks if t.group != tested], before=first.assignment)
    assert {t.split for t in second.tracks if t.label == "rare"} == set(SPLITS)
    changed = moved(second, first)
    assert list(changed.values()) == [("validation", "test")]  # not one that was trained on, and one is enough
    told = lines(second, first)
    assert "since there would be no class 'rare' in test; models of before have learned from them" in told[-1]
    more = [*(t for t in tracks if t.group != tested), *(recording(f"D{i}", "rare", "D") for i in range(4))]
    assert moved(divide(more, before=first.assignment), first) == {}  # new ones fill what lacks


def test_a_new_class_of_artists_who_are_all_trained_on_is_in_every_split() -> None:
    tracks = library()
    first = divide(tracks)
    trained = sorted({t.group for t in first.tracks if t.split == "train"})[:5]
    more = [dataclasses.replace(recording(f"n{i}", "new", ""), group=trained[i % 5]) for i in range(15)]
    second = divide([*tracks, *more], before=first.assignment)
    assert {t.split for t in second.tracks if t.label == "new"} == set(SPLITS)
    changed = moved(second, first)
    assert {i for move in second.moves for i in move.tracks} == set(changed)
    assert len(changed) <= 2 * max(Counter(t.group for t in tracks)[g] for g in trained)
    assert "models of before have learned from them" in lines(second, first)[1]


def test_many_moves_for_many_reasons_are_counted_and_the_first_are_named() -> None:
    tracks = library()
    first = divide(tracks, grouped=False)
    by_split = {s: [t.track_id for t in first.tracks if t.split == s] for s in SPLITS}
    pairs = [list(pair) for pair in zip(by_split["train"][:30], by_split["test"], strict=False)]
    told = lines(divide(tracks, grouped=False, duplicates=pairs, before=first.assignment), first)
    assert told[0] == "30 moved:" and len(told) == 12
    assert told[-1] == "  and 20 more, for 20 such reasons"


# --- folds


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_stay_and_a_recording_that_is_found_twice_is_in_one(grouped: bool) -> None:
    tracks = library()
    first, _ = extended_folds(tracks, 5, grouped=grouped)
    more = [*tracks, *(recording(f"new{i}", f"class{i % 6}", f"new{i}") for i in range(20))]
    second, _ = extended_folds(more, 5, grouped=grouped, before=first)
    assert all(second.placed[key] == where for key, where in first.placed.items())
    fresh, again = folds_by_group(more, 5, grouped=grouped), folds_by_group(more, 5, grouped=grouped, before=second)
    assert fresh != again and max(map(len, again)) - min(map(len, again)) <= 6
    in_fold = {i: fold for fold, ids in enumerate(again) for i in ids}
    assert all(in_fold[i] == int(fold) - 1 for (i, _), (_, fold) in second.placed.items())
    for fold in range(5):
        tested = {t.track_id for t in split_by_fold(more, 5, fold, grouped=grouped, before=second) if t.split == "test"}
        assert tested == set(again[fold])
    apart = [again[0][0], again[1][0]]
    twins = [dataclasses.replace(t, recording=apart[0]) if t.track_id in apart else t for t in more]
    third = {i: fold for fold, ids in enumerate(folds_by_group(twins, 5, grouped=grouped, before=second)) for i in ids}
    assert third[apart[0]] == third[apart[1]]


def test_tracks_without_labels_and_with_several_stay_too() -> None:
    for labels in ((), ("all", "rest")):
        tracks = [dataclasses.replace(t, label=(*labels, "")[0], labels=labels) for t in library()]
        first = divide(tracks)
        second = divide([*tracks, recording("new", "", "new")], before=first.assignment)
        assert moved(second, first) == {}
    first = divide([dataclasses.replace(t, group="one") for t in library()], grouped=False)
    assert stratified_split(library())[0][0].split == first.tracks[0].split
