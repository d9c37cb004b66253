"""What the champion predicts of today's tracks, of those that it did not learn from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import TonearmError
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Manifest, Track, load_manifest
from tonearm.ensembles.bundle import Ensemble, load_ensemble
from tonearm.ensembles.provenance import KnownTracks, read_held_out, read_training_tracks
from tonearm.tasks.base import Task
from tonearm.tracking import names
from tonearm.tracking.query import RegisteredVersion, download_model
from tonearm.tracking.retry import retry
from tonearm.workflows.predict_blocks import predict_usable
from tonearm.workflows.sweep_result import MANIFEST, sweep_folder

NEEDED = "are none that it learned from, or that only one of both was chosen on"
FEWEST_TRACKS = 10  # on which two models are compared

logger = logging.getLogger(__name__)


class IncomparableError(TonearmError):
    """Why a champion cannot be compared with a candidate."""


@dataclass(frozen=True)
class ChampionPredictions:
    """Predictions (tracks, outputs) of the tracks that it did not learn from, several times over where validation
    tracks are among them that it was chosen on: those of halves that were chosen on the others; and how many others it
    cannot hear, in words."""

    tracks: tuple[Track, ...]
    predictions: tuple[FloatArray, ...]
    unusable: str = ""


def predict_as_champion(
    champion: RegisteredVersion, manifest: Manifest, tracks: Sequence[Track], task: Task, classes: tuple[str, ...],
    device: str = "cpu",
) -> ChampionPredictions:  # fmt: skip
    """What the champion predicts of tracks, of those that neither it nor the candidate learned from.

    Parameters
    ----------
    manifest
        Today's data, with the splits.
    tracks
        Of validation and test.
    task, classes
        Of the candidate.

    Raises
    ------
    IncomparableError
        If it answers another question, if it is not known what it learned from, or if too few tracks are left.
    """
    try:
        uri = f"models:/{names.model_name(manifest.name)}/{champion.version}"
        folder = retry(download_model, uri)
        ensemble = load_ensemble(folder)
        _require_same_question(ensemble, manifest, task, classes)
        trained, chosen_on = _known_tracks(champion, folder)
        held_out = read_held_out(folder)
        left_out = ""
        left = trained.unknown(tracks, manifest.tracks, _is_grouped(manifest))
        lost = {t.track_id for t in chosen_on.seen(left) if t.content not in held_out}
        # Networks' epochs and settings are chosen on validation: both were on such a track, or neither.
        lost |= {t.track_id for t in left if (t.split == "validation") != (t.content in held_out)}
        left = [t for t in left if t.track_id not in lost]
        _require_enough(left, tracks, NEEDED)
        fresh = [t for t in left if t.content not in held_out]
        predicted, unusable = predict_usable(folder, ensemble, fresh, device)
        if unusable:
            one, why = next(iter(unusable.items()))
            left_out = f"{len(unusable)} of {len(left)} that the champion cannot hear are left out, e.g. {one}: {why}"
            logger.info(f"  note: {left_out}")
            left = [t for t in left if t.track_id not in unusable]
            _require_enough(
                left,
                tracks,
                f"can be heard by it, and {NEEDED}",
            )
    except IncomparableError:
        raise
    except TonearmError as error:
        raise IncomparableError(str(error)) from error
    repeats = max([len(held_out[t.content]) for t in left if t.content in held_out], default=1)
    rows = [
        held_out[t.content] if t.content in held_out
        else np.stack([predicted[t.track_id].probabilities] * repeats)
        for t in left
    ]  # fmt: skip
    predictions = tuple(np.stack([row[i] for row in rows]) for i in range(repeats))
    return ChampionPredictions(tuple(left), predictions, left_out)


def _require_enough(left: Sequence[Track], tracks: Sequence[Track], which: str) -> None:
    if len(left) < FEWEST_TRACKS:
        raise IncomparableError(
            f"of {len(tracks)} validation and test tracks only {len(left)} {which}, {FEWEST_TRACKS} are needed"
        )


def _require_same_question(ensemble: Ensemble, manifest: Manifest, task: Task, classes: tuple[str, ...]) -> None:
    config = ensemble.members[0].config
    if ensemble.classes != classes:
        new, gone = sorted(set(classes) - set(ensemble.classes)), sorted(set(ensemble.classes) - set(classes))
        differ = " and ".join([*[f"does not know {new[:3]}"] * bool(new), *[f"knows {gone[:3]}, too"] * bool(gone)])
        raise IncomparableError(f"its classes are others: it {differ or 'has them in another order'}")
    if config.dataset.label != manifest.label:
        raise IncomparableError(f"its label is {config.dataset.label!r}, here it is {manifest.label!r}")
    own = [(t.kind, getattr(t, "target", "")) for t in (config.task, task)]
    if own[0] != own[1]:
        raise IncomparableError(f"its task is {' '.join(own[0]).strip()}, here it is {' '.join(own[1]).strip()}")
    if config.task.primary != task.primary:
        raise IncomparableError(f"it is evaluated by {config.task.primary}, the candidate by {task.primary}")


def _known_tracks(champion: RegisteredVersion, folder: str) -> tuple[KnownTracks, KnownTracks]:
    """What it was trained and chosen on: by its bundle, or by the manifest of the sweep that it is of."""
    found = read_training_tracks(folder)
    if found is not None:
        return found
    sweep = champion.tags.get(names.SWEEP, "")
    kept = storage.join(sweep_folder(sweep), MANIFEST) if sweep else ""
    if not kept or not storage.exists(kept):
        raise IncomparableError("it was registered by an earlier version, and what it learned from is not known")
    manifest = load_manifest(kept)
    return KnownTracks.of(manifest.of("train")), KnownTracks.of(manifest.of("validation"))


def _is_grouped(manifest: Manifest) -> bool:
    """Whether the tracks of a group are all in training or all held out."""
    return not {t.group for t in manifest.of("train")} & {t.group for t in manifest.tracks if t.split != "train"}
