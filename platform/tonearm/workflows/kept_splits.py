"""The splits and folds of a data set of the home, kept beside its manifest, so that tracks stay where they were."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tonearm.audio.duplicates import connected_groups
from tonearm.core import home, storage
from tonearm.core.seeding import digest
from tonearm.datasets.assignment import (
    DISSOLVED,
    NOTHING,
    Assignment,
    last_assignment,
    last_recordings,
    load_assignment,
    save_assignment,
)
from tonearm.datasets.folds import extended_folds, split_by_fold
from tonearm.datasets.manifest import SPLITS, Manifest, Track
from tonearm.datasets.split_changes import fold_lines, growth_lines, other_lines
from tonearm.datasets.splits import divide
from tonearm.workflows.prepared_names import manifest_uri

SoundsLike = Callable[[Collection[str], Collection[str]], Mapping[str, Collection[str]]]


@dataclass(frozen=True)
class SplitSettings:
    """How a data set is split: tracks stay where they were before in splits of the same settings.

    Attributes
    ----------
    grouped
        Whether a group stays in one split.
    balanced
        Whether the labels are balanced.
    fractions
        Of training, validation and test.
    """

    seed: int = 0
    grouped: bool = True
    balanced: bool = True
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)

    @classmethod
    def of_manifest(cls, made: dict[str, object]) -> SplitSettings:
        """Those that a manifest was made with; what one of before does not say was so by default."""
        known = {f.name: made[f.name] for f in dataclasses.fields(cls) if f.name in made}
        fractions = known.get("fractions")
        return cls(**{**known, **({"fractions": tuple(fractions)} if isinstance(fractions, list) else {})})  # type: ignore[arg-type]

    def differing(self, other: SplitSettings) -> str:
        """What differs, for people: ``seed 1 (before: 0)``."""
        fields = [f.name for f in dataclasses.fields(self)]
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in fields]
        return ", ".join(f"{name} is {own} (before: {others})" for name, own, others in pairs if own != others)


@dataclass(frozen=True)
class KeptSplit:
    """Tracks with their splits, notes, what changed since the last time, and what is to be remembered, and where."""

    tracks: tuple[Track, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    assignment: Assignment = NOTHING
    uri: str = ""

    def made(self) -> dict[str, object]:
        """What a manifest says beside the splits themselves, so that it alone tells the next preparation all."""
        return {DISSOLVED: sorted(self.assignment.dissolved or ())} if self.uri else {}

    def remember(self) -> None:
        """Keep where the tracks are, for when some are away or the settings are others.

        After the manifest is written: from it a killed job's successor knows the same, while tracks that are remembered
        without one would be told as old ones.
        """
        if self.uri:
            save_assignment(self.uri, self.assignment)


def split_tracks(
    name: str,
    label: str,
    tracks: Sequence[Track],
    duplicates: Sequence[Sequence[str]],
    settings: SplitSettings,
    sounds_like: SoundsLike | None = None,
) -> KeptSplit:
    """Split the tracks of a data set, those that it had before as then. What is to be remembered is not kept yet.

    Parameters
    ----------
    sounds_like
        From contents that are new and those that are gone: by new ones the gone ones that are the same recording.

    Raises
    ------
    DatasetError
        If they cannot be split, or what is remembered is damaged.
    """
    uri = _uri(name, "splits", label, *dataclasses.astuple(settings))
    last, made = last_assignment(manifest_uri(name))
    was = dataclasses.replace(SplitSettings.of_manifest(made), balanced=made.get("balanced", settings.balanced))
    before = load_assignment(uri)
    if was == settings:  # of a time when none was kept beside it, or of a job that was killed before it could be
        before = before.joined(last)
    elif storage.exists(of_last := _uri(name, "splits", label, *dataclasses.astuple(was))):
        remembered = load_assignment(of_last)
        if not last.placed.items() <= remembered.placed.items():
            save_assignment(of_last, remembered.joined(last))
    if sounds_like and before.placed:
        contents = {t.content for t in tracks}
        gone = {content for _, content in before.placed} - contents
        alike = sounds_like({t.content for t in tracks if not before.of_track(t)}, gone)
        last, before = last.recognising(tracks, alike), before.recognising(tracks, alike)
    plain = tracks if settings.balanced else [dataclasses.replace(t, label="", labels=()) for t in tracks]
    shares = dict(zip(SPLITS, settings.fractions, strict=True))
    division = divide(plain, settings.seed, shares, duplicates, grouped=settings.grouped, before=before)
    ordered = sorted(tracks, key=lambda t: t.track_id)
    split = tuple(
        dataclasses.replace(t, split=placed.split, group=placed.group)
        for t, placed in zip(ordered, division.tracks, strict=True)
    )
    if was == settings:
        changes = growth_lines(split, last, before, division.moves)
    else:
        changes = other_lines(split, last, settings.differing(was)) + growth_lines(
            split, before, before, division.moves
        )
    return KeptSplit(split, division.notes, changes, division.assignment, uri)


def known_recordings(name: str, tracks: Sequence[Track]) -> tuple[tuple[str, ...], ...]:
    """Groups of ids that are one recording, as far as is known without audio: equal files, and what was found then."""
    same: dict[str, list[str]] = defaultdict(list)
    found = last_recordings(manifest_uri(name))
    for t in tracks:
        recording = found.get((t.track_id, t.content))
        for key in [f"file {t.content}"] * bool(t.source and t.content) + [f"recording {recording}"] * bool(recording):
            same[key].append(t.track_id)
    return tuple(connected_groups(pair for ids in same.values() for pair in pairwise(ids)))


def published_changes(name: str, tracks: Sequence[Track]) -> tuple[str, ...]:
    """What changed where the source has splits of its own."""
    last, _ = last_assignment(manifest_uri(name))
    return other_lines(tracks, last, "they are as published") or growth_lines(tracks, last, last)


def keep_folds(manifest: Manifest, folds: int, seed: int, grouped: bool) -> tuple[Assignment, tuple[str, ...]]:
    """The folds of a data set: tracks that it had before stay in theirs. And what moved nevertheless, for people.

    Where none are kept, those of an earlier version's trials are taken over: :mod:`tonearm.workflows.earlier_folds`.

    Raises
    ------
    DatasetError
        If there cannot be so many, or what is remembered is damaged.
    """
    settings = manifest.label, folds, seed, grouped
    uri, told = _uri(manifest.name, "folds", *settings), tuple[str, ...]()
    before = load_assignment(uri)
    if not storage.exists(uri):
        from tonearm.workflows.earlier_folds import find_earlier_folds  # brings torch

        found = find_earlier_folds(manifest, folds, seed, grouped)
        before, told = found.assignment, found.told
        for fold, splits in found.splits.items():  # before the folds: killed in between, they are looked for again
            save_assignment(_uri(manifest.name, "fold", *settings, fold), splits)
    assignment, moves = extended_folds(manifest.tracks, folds, seed, grouped, before)
    save_assignment(uri, assignment)
    return assignment, (*told, *fold_lines(moves))


def split_fold(
    manifest: Manifest, folds: int, fold: int, seed: int, grouped: bool, kept: Assignment
) -> tuple[Track, ...]:
    """The tracks split for one round of a cross-validation: as trials of an earlier version had them, if these are the
    same tracks, test on the same ones and tear nothing apart, else by
    :func:`tonearm.datasets.folds.split_by_fold`, whose parameters and errors these are.

    Parameters
    ----------
    kept
        What :func:`keep_folds` gave.
    """
    split = split_by_fold(manifest.tracks, folds, fold, seed, grouped, before=kept)
    earlier = load_assignment(_uri(manifest.name, "fold", manifest.label, folds, seed, grouped, fold))
    from tonearm.workflows.earlier_folds import fits  # brings torch

    if not fits(earlier, split, grouped):
        return split
    return tuple(dataclasses.replace(t, split=earlier.placed[t.track_id, t.content][1]) for t in split)  # type: ignore[arg-type]


def _uri(name: str, what: str, *settings: object) -> str:
    return storage.join(home.data_home(name), f"{what}-{digest(*settings)}.parquet")
