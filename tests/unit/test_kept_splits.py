"""Splits and folds that a home keeps: a data set that is prepared again extends them, and says what it changed."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import track
from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import DatasetError, TonearmError
from tonearm.datasets.assignment import last_assignment, load_assignment
from tonearm.datasets.base import Catalogue
from tonearm.datasets.folds import split_by_fold
from tonearm.datasets.manifest import SPLITS, Manifest, Track, load_manifest, save_manifest
from tonearm.workflows import kept_splits
from tonearm.workflows.kept_splits import SplitSettings, keep_folds, split_tracks
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import manifest_uri


def songs(label: str, n: int, artist: str = "") -> list[Track]:
    """Two songs an artist, or all of one."""
    return [track(f"{label}{artist}{i:02d}", label, f"artist:{artist or f'{label} {i // 2}'}") for i in range(n)]


ALL = [*songs("a", 40), *songs("b", 30), *songs("c", 20)]


def prepared(tracks: Sequence[Track], name: str = "toys", **more: Any) -> PreparedData:
    return prepare_catalogue(Catalogue(name, "sort", tracks), [], ClipConfig(), 1.0, **more)


def splits(data: PreparedData | Manifest) -> dict[str, str | None]:
    manifest = data.manifest if isinstance(data, PreparedData) else data
    return {t.track_id: t.split for t in manifest.tracks}


def test_the_first_preparation_says_nothing_and_so_does_one_that_changes_nothing() -> None:
    first, second = prepared(ALL), prepared(ALL[::-1])
    assert first.changes == second.changes == () and first.manifest == second.manifest
    assert "moved" not in first.describe() and "new" not in first.describe()


def test_added_tracks_are_told_by_split_and_no_other_moves() -> None:
    first = prepared(ALL)
    more = [*songs("a", 6, "x"), *songs("b", 4, "y"), *songs("c", 1, "z"), *songs("new", 12)]
    second = prepared([*ALL, *more])
    now = splits(second)
    assert {i: now[i] for i in splits(first)} == splits(first)
    (line,) = second.changes
    parts = ", ".join(f"{n} {s}" for s in SPLITS if (n := sum(now[t.track_id] == s for t in more)))
    assert line == f"23 tracks are new: {parts}; no other track moved" and line in second.describe()
    assert prepared([*ALL, *more]).changes == ()


def test_a_preparation_that_is_broken_off_makes_no_new_track_an_old_one() -> None:
    prepared(ALL)
    more = [*ALL, *songs("a", 6, "x")]
    for _ in range(2):
        with pytest.raises(TonearmError):
            prepared(more, metadata="/nowhere.csv")
    assert prepared(more).changes[0].startswith("6 tracks are new: ")


WRITES = 3  # of a preparation: what is set aside, the manifest, where tracks are


@pytest.mark.parametrize("write", range(WRITES + 1))
def test_a_preparation_that_is_killed_at_any_write_makes_no_new_track_an_old_one(
    monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """Artists d: a class of so few that its tracks are placed one by one, which is to be remembered, too."""
    prepared(ALL)
    first, other = splits(prepared(ALL, seed=1)), splits(prepared(ALL))
    more = [*ALL, *songs("a", 6, "x"), *songs("d", 8, "p"), *songs("d", 8, "q")]
    added = {t.track_id for t in more} - other.keys()
    plain, seen = storage.write_bytes, []

    def killed(uri: str, data: bytes) -> None:
        if uri.startswith(home.data_home("toys")):
            seen.append(uri)
            if len(seen) > write:
                raise KeyboardInterrupt
        plain(uri, data)

    with monkeypatch.context() as during:
        during.setattr(storage, "write_bytes", killed)
        if write < WRITES:
            with pytest.raises(KeyboardInterrupt):
                prepared(more)
        else:
            prepared(more)
            assert len(seen) == write  # so all were tried
    whole = [uri for uri in seen[:write] if uri == manifest_uri("toys")]
    placed = splits(load_manifest(manifest_uri("toys")))
    assert (placed.keys() >= added) == bool(whole)
    if write % 2:  # others' splits in between lose nothing of it
        assert {i: s for i, s in splits(prepared(ALL, seed=1)).items() if i in first} == first
        away = prepared(ALL)
        assert splits(away) == other
    again = prepared([*more, *songs("d", 3, "r")])
    (line,) = again.changes
    now = splits(again)
    assert now.items() >= placed.items()
    if write % 2 == 0:
        assert "back" not in line and f"{3 + len(added) * (not whole)} tracks are new: " in line
    dissolved = load_assignment(assignment_of_toys()).dissolved or frozenset()
    assert (dissolved >= {("d", "artist:p"), ("d", "artist:q")}) == bool(whole)  # else there are three: enough


def assignment_of_toys() -> str:
    return kept_splits._uri("toys", "splits", "sort", *dataclasses.astuple(SplitSettings()))


def test_equal_files_share_a_split_and_known_recordings_stay_without_features() -> None:
    twins = [dataclasses.replace(t, content="same") for t in (ALL[0], ALL[10], ALL[20])]
    tracks = [*(t for i, t in enumerate(ALL) if i not in (0, 10, 20)), *twins]
    first = prepared(tracks)
    of = {t.track_id: t for t in first.manifest.tracks}
    assert len({of[t.track_id].split for t in twins}) == 1
    assert {of[t.track_id].recording for t in twins} == {min(t.track_id for t in twins)}
    pair = ("a02", "a03")  # as an extraction finds it
    found = [dataclasses.replace(t, recording="a02") if t.track_id in pair else t for t in first.manifest.tracks]
    extracted = dataclasses.replace(first.manifest, tracks=tuple(found))
    save_manifest(manifest_uri("toys"), extracted)
    again = prepared(tracks).manifest
    assert {t.track_id: t.recording for t in again.tracks if t.recording} == {
        t.track_id: t.recording for t in found if t.recording
    }
    assert again.signature() == extracted.signature()
    silent = [dataclasses.replace(t, source="", content="none") for t in ALL]  # rows of a table are no files
    assert not any(t.recording for t in prepared(silent, "table").manifest.tracks)


def test_an_equal_file_under_two_labels_is_set_aside_without_features_too() -> None:
    twins = [dataclasses.replace(t, content="same") if t.track_id in ("a00", "b00") else t for t in ALL]
    made = prepare_catalogue(Catalogue("toys", "sort", twins, one_label=True), [], ClipConfig(), 1.0)
    assert {"a00", "b00"}.isdisjoint(splits(made)) and len(made.rejects) == 2


def test_a_library_that_is_renamed_and_encoded_anew_is_known_by_its_fingerprints() -> None:
    prepared(ALL)
    new = [
        dataclasses.replace(t, track_id=f"new {t.track_id}", content=f"{t.content} anew", group=f"track:{t.track_id}")
        for t in ALL
    ]
    asked: list[int] = []

    def sounds_like(contents: Collection[str], gone: Collection[str]) -> dict[str, set[str]]:
        asked.extend((len(contents), len(gone)))
        return {f"{content} anew": {content} for content in gone}

    kept = split_tracks("toys", "sort", new, (), SplitSettings(), sounds_like)
    was = splits(load_manifest(manifest_uri("toys")))
    assert {t.track_id: t.split for t in kept.tracks} == {f"new {i}": split for i, split in was.items()}
    assert asked == [90, 90] and kept.changes == ("90 tracks are re-encoded; no other track moved",)


def test_what_is_away_for_a_while_is_remembered_over_other_preparations() -> None:
    first = prepared(ALL)
    gone = ALL[10:14]
    assert prepared([t for t in ALL if t not in gone]).changes == (
        "4 tracks are gone, whose split is remembered; no other track moved",
    )
    prepared([*(t for t in ALL if t not in gone), *songs("c", 5, "more")])
    again = prepared([*ALL, *songs("c", 5, "more")])
    assert {i: s for i, s in splits(again).items() if i in splits(first)} == splits(first)
    assert again.changes[0].startswith("4 tracks are back: ") and len(again.changes) == 1


def test_a_manifest_of_before_splits_were_kept_is_extended() -> None:
    data = prepared(ALL)
    uri, folder = manifest_uri("toys"), home.data_home("toys")
    swapped: dict[str | None, Any] = {"train": "train", "validation": "test", "test": "validation"}
    old = [dataclasses.replace(t, split=swapped[t.split]) for t in data.manifest.tracks]
    made = {k: v for k, v in data.manifest.made.items() if k != "balanced"}
    save_manifest(uri, dataclasses.replace(data.manifest, tracks=tuple(old), made=made))
    for name in storage.list_files(folder):
        if name.startswith("splits-"):
            storage.remove(storage.join(folder, name))
    extended = prepared([*ALL, *songs("a", 2, "x")])
    assert {i: s for i, s in splits(extended).items() if not i.startswith("ax")} == {t.track_id: t.split for t in old}
    assert extended.changes[0].startswith("2 tracks are new: ")
    storage.write_bytes(uri, b"damaged")  # what is kept beside it is enough
    assert splits(prepared([*ALL, *songs("a", 2, "x")])) == splits(extended)


def test_another_seed_deals_anew_and_the_first_one_is_found_again() -> None:
    first = prepared(ALL)
    other = prepared(ALL, seed=1)
    moved = sum(splits(first)[i] != s for i, s in splits(other).items())
    trained = sum(splits(first)[i] == "train" != s for i, s in splits(other).items())
    assert other.changes == (
        f"{moved} of 90 tracks are in another split than before: seed is 1 (before: 0); models of before were trained "
        f"on {trained} that are not in train now",
    )
    more = [*ALL, *songs("b", 3, "x")]
    back = prepared(more)
    assert {i: s for i, s in splits(back).items() if i in splits(first)} == splits(first)
    assert "seed is 0 (before: 1)" in back.changes[0] and back.changes[1].startswith("3 tracks are new: ")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fractions": (0.8, 0.1, 0.1)}, "fractions is (0.8, 0.1, 0.1) (before: (0.6, 0.2, 0.2))"),
        ({"grouped": False}, "grouped is False (before: True)"),
        ({"classes": False, "balanced": False}, "balanced is False (before: True)"),
    ],
)
def test_other_settings_have_splits_of_their_own_which_stay_too(settings: dict[str, Any], told: str) -> None:
    first = prepared(ALL)
    other = prepared(ALL, **settings)
    assert told in other.changes[0]
    more = [*ALL, *songs("a", 2, "x")]
    for own, was in ((settings, other), ({}, first)):
        now = splits(prepared(more, **own))
        assert {i: s for i, s in now.items() if i in splits(was)} == splits(was)


def test_splits_that_the_source_publishes_are_taken_and_what_moved_is_told() -> None:
    first = prepared(ALL)
    published = [dataclasses.replace(t, split=SPLITS[i % 3]) for i, t in enumerate(ALL)]
    data = prepared(published)
    assert splits(data) == {t.track_id: t.split for t in published} != splits(first)
    assert data.changes[0].endswith(" that are not in train now") and "they are as published" in data.changes[0]
    assert prepared(published).changes == ()
    more = prepared([*published, dataclasses.replace(track("more", "a"), split="test")])
    assert more.changes == ("1 track is new: 1 test; no other track moved",)


def test_another_data_set_has_its_own_and_a_damaged_table_is_no_new_deal() -> None:
    first = prepared(ALL)
    folder = home.data_home("toys")
    (kept,) = [n for n in storage.list_files(folder) if n.startswith("splits-")]
    before = Path(folder, kept).read_bytes()
    prepared([*ALL, *songs("a", 9, "x")], "other")
    assert Path(folder, kept).read_bytes() == before and load_manifest(manifest_uri("toys")) == first.manifest
    storage.write_bytes(storage.join(folder, kept), b"PAR1 no more")
    with pytest.raises(DatasetError, match=r"splits-\w+\.parquet is damaged .*Restore it, or delete it"):
        prepared(ALL)
    assert load_manifest(manifest_uri("toys")) == first.manifest


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_are_kept_with_the_data_set(grouped: bool) -> None:
    first = prepared(ALL).manifest
    before, told = keep_folds(first, 4, 0, grouped)
    (name,) = [n for n in storage.list_files(home.data_home("toys")) if n.startswith("folds-")]
    assert load_assignment(storage.join(home.data_home("toys"), name)) == before
    second = prepared([*ALL, *songs("a", 9, "x"), *songs("new", 12)]).manifest
    assert told == ()
    after, told = keep_folds(second, 4, 0, grouped)
    assert {key: after.placed[key] for key in before.placed} == dict(before.placed)
    for fold in range(4):
        tested = {
            t.track_id for t in split_by_fold(second.tracks, 4, fold, 0, grouped, before=after) if t.split == "test"
        }
        assert tested == {i for (i, _), (_, place) in after.placed.items() if int(place) == fold + 1}
    keep_folds(second, 3, 0, grouped)
    assert told == () and keep_folds(second, 4, 0, grouped) == (after, ())


@pytest.mark.parametrize("grouped", [True, False])
def test_what_moves_to_another_fold_is_told_with_the_reason(grouped: bool) -> None:
    first = prepared(ALL).manifest
    folds, _ = keep_folds(first, 4, 0, grouped)
    of = {i: place for (i, _), (_, place) in folds.placed.items()}
    one, other = "a00", next(i for i in sorted(of) if of[i] != of["a00"])
    twins = [dataclasses.replace(t, recording=one) if t.track_id in (one, other) else t for t in first.tracks]
    after, told = keep_folds(dataclasses.replace(first, tracks=tuple(twins)), 4, 0, grouped)
    now = {i: place for (i, _), (_, place) in after.placed.items()}
    moved = sorted(i for i in of if now[i] != of[i])
    are = f"{len(moved)} track{'s are' if len(moved) > 1 else ' is'}"
    assert moved and told[0] == f"{are} in another fold than before:" and len(told) == 2
    assert told[1].startswith(f"  from fold {of[moved[0]]} to fold {now[moved[0]]}: {moved[0]}")
    assert ", since " in told[1] and "learned" not in told[1]


def test_a_manifest_that_cannot_be_read_for_a_moment_is_no_new_deal(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(ALL)

    def refuse(uri: str) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(storage, "read_bytes", refuse)
    with pytest.raises(DatasetError, match=r"cannot be read now .*that does not mean it is damaged"):
        last_assignment(manifest_uri("toys"))
