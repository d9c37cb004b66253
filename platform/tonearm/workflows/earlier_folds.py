"""The folds of cross-validations that an earlier version trained and did not keep: as its trials' predictions say."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import TonearmError
from tonearm.core.text import list_examples
from tonearm.datasets.assignment import NOTHING, Assignment
from tonearm.datasets.folds import extended_folds, joined_groups
from tonearm.datasets.manifest import Manifest, Split, Track
from tonearm.training.config import TrialConfig
from tonearm.training.examples import keep_usable_tracks
from tonearm.training.trial import UNKNOWN, TrialFolder
from tonearm.training.trial_places import SINGLE

ANEW = "they are dealt anew, and trained anew"


@dataclass(frozen=True)
class EarlierFolds:
    """Folds that were taken over.

    Attributes
    ----------
    assignment
        The fold, ``"1"``, ``"2"``, ..., of each track; empty where none could be taken over.
    splits
        By fold, 0, 1, ..., the splits of the tracks as its trials had them: with these they need no training.
    told
        For people.
    """

    assignment: Assignment = NOTHING
    splits: Mapping[int, Assignment] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Deal:
    """The test and validation tracks of a fold, and the splits of today's tracks if they are proven to be those."""

    trial: str
    test: frozenset[str]
    validation: frozenset[str]
    tracks: tuple[Track, ...] = ()


def find_earlier_folds(manifest: Manifest, folds: int, seed: int, grouped: bool) -> EarlierFolds:
    """The folds that trials of earlier versions had, of so many folds of a data set.

    That they are those of today's tracks is proven by the signature of the data in a trial's config. Where tracks were
    added since, trials say in which fold a track was, no more.
    """
    found = _deals(manifest, folds, grouped)
    trials = [deal.trial for deals in found.values() for deal in deals]
    if not trials:
        return EarlierFolds()
    kept = f"an earlier version cross-validated {manifest.name} in {folds} folds ({list_examples(trials)})"
    if seed:
        reason = f"which seed its folds had is not known, so that they are not taken for those of seed {seed}"
        return EarlierFolds(told=(f"{kept}; {reason}: {ANEW}",))
    by_group, alone = joined_groups(manifest.tracks), joined_groups(manifest.tracks, grouped=False)
    units = by_group if grouped else alone
    torn = any(_tears(by_group, deal) for deals in found.values() for deal in deals)
    if torn == grouped and len(set(by_group.values())) < len(set(alone.values())):
        return EarlierFolds(told=(f"{kept}; they were dealt {'track by track' if torn else 'by group'}: {ANEW}",))
    if any(_tears(units, deal) for deals in found.values() for deal in deals):
        return EarlierFolds(told=(f"{kept}; copies of a recording are in two splits of theirs: {ANEW}",))
    proven = {fold: own for fold, deals in found.items() if (own := [d for d in deals if d.tracks])}
    if not proven and not grouped:
        return EarlierFolds(told=(f"{kept}; the data set has changed since: {ANEW}",))
    deals = proven or found
    if any(len({(d.test, d.validation if proven else frozenset()) for d in own}) > 1 for own in deals.values()):
        return EarlierFolds(told=(f"{kept} more than once, and not alike: which folds are meant is not known, {ANEW}",))
    one = {fold: own[0] for fold, own in deals.items()}
    if sum(len(d.test) for d in one.values()) > len(frozenset[str]().union(*(d.test for d in one.values()))):
        return EarlierFolds(told=(f"{kept}, and the trials' folds have tracks in common: {ANEW}",))
    fold_of = {i: fold for fold, deal in one.items() for i in deal.test}
    missing = [fold for fold in range(folds) if fold not in one]
    if proven and missing:
        fold_of |= _dealt_to(missing, [t for t in manifest.tracks if t.track_id not in fold_of], seed, grouped)
    placed = {
        (t.track_id, t.content): (units[t.track_id], str(fold_of[t.track_id] + 1))
        for t in manifest.tracks
        if t.track_id in fold_of
    }
    splits = {
        fold: Assignment({(t.track_id, t.content): (t.group, str(t.split)) for t in deal.tracks})
        for fold, deal in one.items()
        if deal.tracks
    }
    what = "what they trained is not trained again" if proven else (
        "they are trained anew, as the data set has changed since")  # fmt: skip
    return EarlierFolds(Assignment(placed), splits, (f"{kept}; its folds are taken over: {what}",))


def _deals(manifest: Manifest, folds: int, grouped: bool) -> dict[int, list[_Deal]]:
    """By fold what trials of earlier versions say of it, those that prove to be of today's tracks with their splits."""
    seen = set[tuple[str, str]]()
    found: dict[int, list[_Deal]] = defaultdict(list)
    units = joined_groups(manifest.tracks, grouped)
    place = storage.join(home.trials_home(), SINGLE)
    for name in storage.list_folders(place):
        folder = TrialFolder(storage.join(place, name))
        values = _config(folder)
        data = values.get("dataset") or {}
        fold, _, of = str(data.get("fold", "")).partition("/")
        signature = str(data.get("data_signature", ""))
        if (data.get("name"), data.get("label"), of) != (manifest.name, manifest.label, str(folds)):
            continue
        if not fold.isdecimal() or not 1 <= int(fold) <= folds or (fold, signature) in seen or _is_of_now(folder):
            continue
        ids = _predicted(folder)
        if ids:
            seen.add((fold, signature))
            deal = _Deal(f"{SINGLE}/{name}", *ids)
            found[int(fold) - 1].append(_prove(deal, manifest, units, grouped, signature, values))
    return found


def _prove(
    deal: _Deal, manifest: Manifest, units: Mapping[str, str], grouped: bool, signature: str, values: dict[str, Any]
) -> _Deal:
    """With the splits of today's tracks, if the trial was trained on just these."""
    known = {t.track_id for t in manifest.tracks}
    if not deal.test | deal.validation <= known:
        return deal

    def split(track_id: str) -> Split:
        return "test" if track_id in deal.test else "validation" if track_id in deal.validation else "train"

    tracks = tuple(
        dataclasses.replace(t, split=split(t.track_id), group=units[t.track_id] if grouped else t.group)
        for t in sorted(manifest.tracks, key=lambda t: t.track_id)
    )
    whole = dataclasses.replace(manifest, tracks=tracks)
    if signature in {made.signature() for made in _used(whole, values)}:
        return dataclasses.replace(deal, tracks=tracks)
    return deal


def _tears(units: Mapping[str, str], deal: _Deal) -> bool:
    """Whether tracks of a unit are in two splits. What is in neither of both was trained on if that is proven; else it
    may be new."""
    places: Mapping[str, str] = {t.track_id: str(t.split) for t in deal.tracks} or {
        **dict.fromkeys(deal.test & units.keys(), "test"),
        **dict.fromkeys(deal.validation & units.keys(), "validation"),
    }
    return _is_torn(units, places)


def _is_torn(units: Mapping[str, str], places: Mapping[str, str]) -> bool:
    first = dict[str, str]()
    return any(first.setdefault(units[i], place) != place for i, place in places.items())


def _used(manifest: Manifest, values: dict[str, Any]) -> Iterable[Manifest]:
    """What a trial may have been trained on: all, or what its task and its inputs can use."""
    yield manifest
    try:
        config = TrialConfig.from_dict(values)
        yield keep_usable_tracks(config.task, config.feature, manifest)
    except (TonearmError, ValueError, LookupError, TypeError):  # of an estimator, or of code that is not here
        return


def _is_of_now(folder: TrialFolder) -> bool:
    """Whether it was begun by a version that says what code trained a trial: such a version keeps folds."""
    return folder.code()[:1] not in ([], [UNKNOWN])


def _config(folder: TrialFolder) -> dict[str, Any]:
    try:
        found = storage.read_json(storage.join(folder.uri, "config.json"))
    except (OSError, ValueError):
        return {}  # it is not this job's to say that a trial is damaged
    return found if isinstance(found, dict) else {}


def _predicted(folder: TrialFolder) -> tuple[frozenset[str], frozenset[str]] | None:
    """The ids of the test and of the validation tracks, if the trial was trained to its end."""
    try:
        test, validation = (frozenset(folder.predictions(split).track_ids) for split in ("test", "validation"))
    except (OSError, ValueError, LookupError):
        return None
    return test, validation


def _dealt_to(missing: Sequence[int], tracks: Sequence[Track], seed: int, grouped: bool) -> dict[str, int]:
    """The fold of each track that is in none: those whose trials were not trained to their end take them."""
    if len(missing) == 1:
        return {t.track_id: missing[0] for t in tracks}
    dealt, _ = extended_folds(tracks, len(missing), seed, grouped)
    return {track_id: missing[int(place) - 1] for (track_id, _), (_, place) in dealt.placed.items()}


def fits(splits: Assignment, tracks: Collection[Track], grouped: bool) -> bool:
    """Whether splits are of just these tracks, with their groups, test on the same ones, and tear nothing apart."""
    now = {(t.track_id, t.content): t.group for t in tracks}
    if now != {key: group for key, (group, _) in splits.placed.items()}:
        return False
    places = {track_id: place for (track_id, _), (_, place) in splits.placed.items()}
    if any((places[t.track_id] == "test") != (t.split == "test") for t in tracks):
        return False
    return not _is_torn(joined_groups(tuple(tracks), grouped), places)
