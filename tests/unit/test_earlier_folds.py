"""Folds that an earlier version did not keep: they are those of its trials, where these prove it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from tests.builders import tiny_config, track
from tonearm.core import home, storage
from tonearm.datasets.assignment import Assignment, save_assignment
from tonearm.datasets.folds import folds_by_group, split_by_fold
from tonearm.datasets.manifest import Manifest, Split, Track
from tonearm.tasks import SingleLabel
from tonearm.training.predictions import TrackPredictions, write_predictions
from tonearm.training.trial import TrialFolder
from tonearm.workflows import kept_splits
from tonearm.workflows.kept_splits import keep_folds, split_fold

FOLDS = 4


def songs(label: str, n: int, more: str = "") -> list[Track]:
    return [track(f"{label}{more}{i:02d}", label, f"artist:{label}{more} {i // 2}") for i in range(n)]


ALL = (*songs("a", 40), *songs("b", 30), *songs("c", 20))
TOYS = Manifest("toys", "sort", ALL)


def dealt_otherwise(tracks: Sequence[Track], grouped: bool = True, seed: int = 77) -> list[tuple[Track, ...]]:
    """Folds as today's code does not deal them; validation is every fourth artist of the others."""
    validation = {t.group if grouped else t.track_id for i, t in enumerate(tracks) if i % 8 == 0}
    split: list[tuple[Track, ...]] = []
    for test in folds_by_group(tracks, FOLDS, seed, grouped):

        def place(t: Track, test: Collection[str] = test) -> Split:
            own = t.group if grouped else t.track_id
            return "test" if t.track_id in test else "validation" if own in validation else "train"

        ordered = sorted(tracks, key=lambda t: t.track_id)
        split.append(tuple(dataclasses.replace(t, split=place(t)) for t in ordered))
    return split


def trained(deal: Sequence[tuple[Track, ...]], which: Collection[int] = range(FOLDS), seed: int = 0) -> list[str]:
    """What an earlier version left of trials that it had trained to their end; the signatures of their data."""
    signatures = []
    for fold in which:
        manifest = dataclasses.replace(TOYS, tracks=deal[fold])
        signatures.append(manifest.signature())
        data = {"name": "toys", "label": "sort", "data_signature": signatures[-1], "fold": f"{fold + 1}/{FOLDS}"}
        config = tiny_config({"seed": seed, **{f"dataset.{k}": v for k, v in data.items()}})
        folder = TrialFolder(storage.join(home.trials_home(), "single", f"simple-{config.signature()}"))
        storage.write_json(storage.join(folder.uri, "config.json"), config.to_dict())
        for split in ("test", "validation"):
            own = manifest.of(split)  # type: ignore[arg-type]
            target = np.zeros(len(own), dtype=np.int64)
            found = TrackPredictions([t.track_id for t in own], [t.group for t in own], target,
                                     np.full((len(own), 3), 1 / 3, np.float32), ("a", "b", "c"))  # fmt: skip
            write_predictions(folder.predictions_uri(split), SingleLabel(), found)  # type: ignore[arg-type]
    return signatures


def signatures(manifest: Manifest, grouped: bool = True, seed: int = 0) -> tuple[list[str], tuple[str, ...]]:
    """Of the data of each fold, and what is told."""
    kept, told = keep_folds(manifest, FOLDS, seed, grouped)
    return [dataclasses.replace(manifest, tracks=split_fold(manifest, FOLDS, fold, seed, grouped, kept)).signature()
            for fold in range(FOLDS)], told  # fmt: skip


@pytest.mark.parametrize("grouped", [True, False])
def test_what_an_earlier_version_trained_is_not_trained_again(grouped: bool) -> None:
    before = trained(dealt_otherwise(ALL, grouped))
    trained(dealt_otherwise(ALL, grouped), seed=1)
    found, (told,) = signatures(TOYS, grouped)
    assert found == before
    assert told.startswith("an earlier version cross-validated toys in 4 folds (single/simple-")
    assert told.endswith("its folds are taken over: what they trained is not trained again")
    assert signatures(TOYS, grouped) == (before, ())


@pytest.mark.parametrize("which", [(0, 1, 2), (0, 2), (1,)])
def test_what_was_interrupted_goes_on(which: tuple[int, ...]) -> None:
    before = trained(dealt_otherwise(ALL), which)
    found, _ = signatures(TOYS)
    assert [found[fold] for fold in which] == before
    assert len(set(found)) == FOLDS


def test_tracks_that_were_there_stay_in_their_folds_when_some_are_added() -> None:
    deal = dealt_otherwise(ALL)
    trained(deal)
    today = dataclasses.replace(TOYS, tracks=(*ALL, *songs("a", 6, "x"), *songs("b", 4, "y")))
    kept, (told,) = keep_folds(today, FOLDS, 0, True)
    assert told.endswith("its folds are taken over: they are trained anew, as the data set has changed since")
    for fold, split in enumerate(deal):
        now = {t.track_id for t in split_fold(today, FOLDS, fold, 0, True, kept) if t.split == "test"}
        assert now & {t.track_id for t in ALL} == {t.track_id for t in split if t.split == "test"}


def test_what_was_taken_over_stays_when_the_library_grows_and_shrinks() -> None:
    before = trained(dealt_otherwise(ALL))
    signatures(TOYS)
    grown, told = signatures(dataclasses.replace(TOYS, tracks=(*ALL, *songs("a", 6, "x"))))
    assert told == () and not set(grown) & set(before)
    assert signatures(TOYS) == (before, ())


def test_without_trials_of_before_nothing_is_said() -> None:
    trained(dealt_otherwise(ALL))
    for folder in storage.list_folders(storage.join(home.trials_home(), "single")):
        TrialFolder(storage.join(home.trials_home(), "single", folder)).note_code("of now", begun=False)
    assert signatures(TOYS)[1] == ()
    assert signatures(dataclasses.replace(TOYS, name="other"))[1] == ()


def test_what_cannot_be_taken_over_is_said_with_the_reason() -> None:
    before = trained(dealt_otherwise(ALL))
    found, (told,) = signatures(TOYS, seed=1)
    assert "which seed its folds had is not known" in told and told.endswith("dealt anew, and trained anew")
    found, (told,) = signatures(TOYS, grouped=False)
    assert told.endswith("they were dealt by group: they are dealt anew, and trained anew")
    assert not set(found) & set(before)
    trained(dealt_otherwise(ALL, seed=78))
    found, (told,) = signatures(TOYS)
    assert "more than once, and not alike" in told and not set(found) & set(before)


def test_folds_that_were_dealt_track_by_track_are_no_groups_folds() -> None:
    before = trained(dealt_otherwise(ALL, grouped=False))
    found, (told,) = signatures(TOYS)
    assert "they were dealt track by track: they are dealt anew" in told and not set(found) & set(before)
    today = dataclasses.replace(TOYS, tracks=(*ALL, *songs("a", 6, "x")))
    assert "the data set has changed since: they are dealt anew" in signatures(today, grouped=False)[1][0]


def with_pairs(pairs: int) -> Manifest:
    """Most artists have a single track: few of them can be torn apart, and hardly one between test and validation."""
    tracks = [track(f"{label}{i:02d}", label, f"artist:{label} {i}") for label in "abc" for i in range(20)]
    return Manifest("toys", "sort", (*tracks, *(track(f"a{90 + i}", "a", f"artist:a {i}") for i in range(pairs))))


def splits_of_artists(manifest: Manifest, told: list[str]) -> list[set[str]]:
    """In which splits the tracks of each artist are, of every fold."""
    kept, lines = keep_folds(manifest, FOLDS, 0, True)
    told.extend(lines)
    found: dict[tuple[int, str], set[str]] = {}
    for fold in range(FOLDS):
        for t in split_fold(manifest, FOLDS, fold, 0, True, kept):
            found.setdefault((fold, t.group), set()).add(t.split)
    return list(found.values())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", [1, 2])
def test_no_artist_is_in_two_splits_however_few_tracks_were_dealt_one_by_one(pairs: int, seed: int) -> None:
    manifest = with_pairs(pairs)
    deal = [split_by_fold(manifest.tracks, FOLDS, fold, seed, grouped=False) for fold in range(FOLDS)]
    trained(deal)
    torn = {t.group for split in deal for t in split if len({o.split for o in split if o.group == t.group}) > 1}
    told: list[str] = []
    assert all(len(splits) == 1 for splits in splits_of_artists(manifest, told))
    assert ("track by track: they are dealt anew" in told[0]) == bool(torn)


def test_copies_of_a_recording_that_were_torn_apart_are_dealt_anew() -> None:
    copy = dataclasses.replace(ALL[1], track_id="z", group="artist:z", content=ALL[0].content)
    today = dataclasses.replace(TOYS, tracks=(*ALL, copy))
    deal = [
        tuple(dataclasses.replace(t, split="train" if t.track_id == "z" else t.split) for t in split)
        for split in (
            split_by_fold(today.tracks, FOLDS, fold, 5, grouped=False) for fold in range(FOLDS)
        )
    ]  # fmt: skip
    trained(deal)
    kept, (told,) = keep_folds(today, FOLDS, 0, False)
    assert "copies of a recording are in two splits of theirs: they are dealt anew" in told
    for fold in range(FOLDS):
        split = split_fold(today, FOLDS, fold, 0, False, kept)
        assert len({t.split for t in split if t.content == copy.content}) == 1


def test_torn_splits_that_were_taken_over_before_are_not_used() -> None:
    """By a version that looked at test and validation alone."""
    manifest = with_pairs(3)
    kept, _ = keep_folds(manifest, FOLDS, 0, True)
    for fold in range(FOLDS):
        split = split_fold(manifest, FOLDS, fold, 0, True, kept)
        torn = [dataclasses.replace(t, split="train" if t.track_id.startswith("a9") else t.split) for t in split]
        placed = {(t.track_id, t.content): (t.group, str(t.split)) for t in torn}
        uri = kept_splits._uri("toys", "fold", "sort", FOLDS, 0, True, fold)
        save_assignment(uri, Assignment(placed))
        assert split_fold(manifest, FOLDS, fold, 0, True, kept) == split


def test_damaged_trials_are_passed_by() -> None:
    before = trained(dealt_otherwise(ALL))
    single = storage.join(home.trials_home(), "single")
    for name, data in (("config.json", b"{"), ("config.json", b"[]"), ("test.parquet", b"PAR1")):
        other = storage.join(single, f"simple-{len(storage.list_folders(single))}")
        for file in ("config.json", "test.parquet", "validation.parquet"):
            whole = storage.read_bytes(storage.join(single, storage.list_folders(single)[-1], file))
            storage.write_bytes(storage.join(other, file), data if file == name else whole)
    assert signatures(TOYS)[0] == before
