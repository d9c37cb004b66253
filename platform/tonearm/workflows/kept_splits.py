"""The splits and folds of a data set of the home, kept beside its manifest, so that tracks stay where they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tonearm.core import home, storage
from tonearm.core.seeding import digest
from tonearm.datasets.assignment import Assignment, last_assignment, load_assignment, save_assignment
from tonearm.datasets.folds import extended_folds
from tonearm.datasets.manifest import SPLITS, Manifest, Track
from tonearm.datasets.split_changes import growth_lines, other_lines
from tonearm.datasets.splits import divide
from tonearm.workflows.prepared_names import manifest_uri


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
    """Tracks with their splits, notes, and what changed since the last time."""

    tracks: tuple[Track, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def split_tracks(
    name: str, label: str, tracks: Sequence[Track], duplicates: Sequence[Sequence[str]], settings: SplitSettings
) -> KeptSplit:
    """Split the tracks of a data set, those that it had before as then, and remember where they are.

    Raises
    ------
    DatasetError
        If they cannot be split, or what is remembered is damaged.
    """
    uri = _uri(name, "splits", label, *dataclasses.astuple(settings))
    last, made = last_assignment(manifest_uri(name))
    was = dataclasses.replace(SplitSettings.of_manifest(made), balanced=made.get("balanced", settings.balanced))
    before = load_assignment(uri)
    if was == settings:  # it may be of a time when none was kept beside it
        before = Assignment({**before.placed, **last.placed})
    plain = tracks if settings.balanced else [dataclasses.replace(t, label="", labels=()) for t in tracks]
    shares = dict(zip(SPLITS, settings.fractions, strict=True))
    division = divide(plain, settings.seed, shares, duplicates, grouped=settings.grouped, before=before)
    save_assignment(uri, division.assignment)
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
    return KeptSplit(split, division.notes, changes)


def published_changes(name: str, tracks: Sequence[Track]) -> tuple[str, ...]:
    """What changed where the source has splits of its own."""
    last, _ = last_assignment(manifest_uri(name))
    return other_lines(tracks, last, "they are as published") or growth_lines(tracks, last, last)


def keep_folds(manifest: Manifest, folds: int, seed: int, grouped: bool) -> Assignment:
    """The folds of a data set: tracks that it had before stay in theirs.

    Raises
    ------
    DatasetError
        If there cannot be so many, or what is remembered is damaged.
    """
    uri = _uri(manifest.name, "folds", manifest.label, folds, seed, grouped)
    assignment = extended_folds(manifest.tracks, folds, seed, grouped, load_assignment(uri))
    save_assignment(uri, assignment)
    return assignment


def _uri(name: str, what: str, *settings: object) -> str:
    return storage.join(home.data_home(name), f"{what}-{digest(*settings)}.parquet")
