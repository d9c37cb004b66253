"""From a catalogue to a prepared data set: what is missing is extracted, what cannot be used set aside, then split."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tonearm.audio.windows import ClipConfig
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.home_use import using_home
from tonearm.core.text import list_examples
from tonearm.datasets.base import Catalogue
from tonearm.datasets.contradictions import contradiction_note, kept_apart_notes, set_aside_contradictions
from tonearm.datasets.labels import drop_small_classes
from tonearm.datasets.manifest import Manifest, Reject, Track, save_manifest, save_rejects
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.metadata_tables import read_metadata_table
from tonearm.workflows.dataset_identity import require_own_name
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.kept_splits import (
    KeptSplit,
    SoundsLike,
    SplitSettings,
    known_recordings,
    published_changes,
    split_tracks,
)
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import manifest_uri, unfinished_uri
from tonearm.workflows.ray_session import start_ray
from tonearm.workflows.set_aside import (
    load_failed,
    rejects_uri,
    remember_failed,
    require_enough,
    with_diagnosis,
)

if TYPE_CHECKING:
    from tonearm.features.base import Representation
    from tonearm.pipelines.extract import ExtractionReport


@using_home("preparing a data set")
def prepare_catalogue(
    catalogue: Catalogue,
    features: Sequence[Representation],
    clip: ClipConfig,
    min_seconds: float,
    seed: int = 0,
    max_rejected: float = MAX_REJECTED,
    device: str = "cpu",
    descriptors: bool = False,
    predicted: bool = False,
    classes: bool | None = True,
    grouped: bool = True,
    metadata: str = "",
    balanced: bool = True,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
) -> PreparedData:
    """Extract what is missing, set aside what cannot be used, split, and write the manifest last.

    Parameters
    ----------
    descriptors
        Whether tempo, energy, ... are measured.
    predicted
        Whether they become metadata, which a network may learn to predict; the data set then is another one.
    classes
        Whether the label is a class of which several tracks are needed; else a label may be there or not. None: it is
        where it can be; where it gives no two classes, features are extracted of all, which are not split.
    grouped
        Whether a group stays in one split; else classes are balanced and groups cross splits.
    metadata
        A table of further metadata, CSV or Parquet, a row a track or an artist.
    balanced
        Whether the splits balance the labels.
    fractions
        Of training, validation and test, where none is published.
    """
    require_own_name(catalogue)
    rejects = list(catalogue.rejects)
    with with_diagnosis(catalogue.name, catalogue.notes, rejects):
        require_enough(rejects, catalogue.found, max_rejected, rejects_uri(catalogue.name))
        tracks, notes, learnable = _learnable(catalogue.tracks, catalogue.label, classes)
        extraction, failed = None, set[str]()
        if features:
            extraction = _extract(
                catalogue, tracks, rejects, features, clip, min_seconds, max_rejected, device, descriptors
            )
            failed = {r.track_id for r in extraction.rejects}
        together: Sequence[Sequence[str]]
        together = extraction.duplicates if extraction else known_recordings(catalogue.name, tracks)
        if extraction or together:
            usable: Sequence[Track] = [t for t in tracks if t.track_id not in failed]
            if catalogue.one_label and learnable and classes is not False:
                usable, contradicting = set_aside_contradictions(usable, together)
                rejects += contradicting
                notes += contradiction_note(contradicting)
                require_enough(rejects, catalogue.found, max_rejected, rejects_uri(catalogue.name))
            elif catalogue.label:
                notes += kept_apart_notes(usable, together)
            tracks, more_notes, learnable = _learnable(usable, catalogue.label, classes)
            notes += [*more_notes, *_header_notes(extraction.notes if extraction else {})]
            notes += [note for f in features for note in f.notes()]
            together = _repeated(tracks, together)
        save_rejects(rejects_uri(catalogue.name), rejects)
        settings = SplitSettings(seed, grouped, balanced, fractions)
        kept = KeptSplit(tuple(tracks))
        if learnable:
            kept = _split(catalogue, tracks, together, settings, _sounds_like(clip) if features else None)
    split = _with_recordings(kept.tracks, together)
    known = catalogue.metadata
    if predicted:
        if extraction is None:
            raise ConfigError("descriptors are measured of audio, of which this data set has none: leave them out")
        from tonearm.training.examples import descriptor_metadata

        known = _joined(known, descriptor_metadata(tracks, clip, home.features_home()))
    if metadata:
        from tonearm.training.examples import metadata_of_tracks

        known = _joined(known, metadata_of_tracks(read_metadata_table(os.path.expanduser(metadata)), tracks))  # noqa: PTH111  a URI
    all_notes = tuple(dict.fromkeys([*catalogue.notes, *notes, *kept.notes]))
    made = {"config": dict(catalogue.config), "clip": clip.to_dict() if features else None, "seed": seed,
            "grouped": grouped, "balanced": balanced, "fractions": list(fractions), **kept.made()}  # fmt: skip
    manifest = Manifest(catalogue.name, catalogue.label, split, all_notes, known, catalogue.root, made)
    save_manifest(manifest_uri(catalogue.name), manifest)
    kept.remember()
    storage.remove(unfinished_uri(catalogue.name))
    return PreparedData(manifest, tuple(features), clip, tuple(rejects), extraction,
                        split_seed=seed, grouped=grouped, fractions=fractions, changes=kept.changes)  # fmt: skip


def _header_notes(odd: Mapping[str, str]) -> list[str]:
    """How many recordings are not what their headers say."""
    if not odd:
        return []
    shown = list_examples([f"{source.rpartition('/')[2]} {what}" for source, what in odd.items()])
    return [f"{len(odd)} file(s) are not what their headers say, what can be decoded counts: {shown}"]


def _learnable(tracks: Sequence[Track], label: str, classes: bool | None) -> tuple[tuple[Track, ...], list[str], bool]:
    """The tracks that are kept, with notes, and whether there is anything to learn, so that they are to be split."""
    if classes is False or (classes is None and not label):
        return tuple(tracks), [], True
    try:
        return *drop_small_classes(tracks), True
    except DatasetError as error:
        if classes:
            raise
        note = f"features only, of {len(tracks)} recording(s) that are not split: by label {label!r} there are {error}"
        return tuple(tracks), [note], False


def _extract(
    catalogue: Catalogue, tracks: Sequence[Track], rejects: list[Reject], features: Sequence[Representation],
    clip: ClipConfig, min_seconds: float, max_rejected: float, device: str, descriptors: bool,
) -> ExtractionReport:  # fmt: skip
    """Extract; ``rejects``, those of the catalogue, gain what fails, also where it is too much and ends the job."""
    from tonearm.pipelines.extract import extract_features

    name, found = catalogue.name, catalogue.found or len(tracks)
    before = catalogue.rejects if catalogue.found else ()

    def remember(failed: Sequence[Reject]) -> None:
        remember_failed(name, failed)
        rejects[:] = [*catalogue.rejects, *failed]  # whose table is written when the job ends, like the manifest
        require_enough([*before, *failed], found, max_rejected, rejects_uri(name))

    storage.write_json(unfinished_uri(name), {"root": catalogue.root, "tracks": len(tracks)})
    extraction = extract_features(
        tracks, features, clip, home.features_home(), min_seconds, load_failed(name), device, descriptors, start_ray,
        remember,
    )  # fmt: skip
    remember(extraction.rejects)
    return extraction


def _sounds_like(clip: ClipConfig) -> SoundsLike:
    """What knows files that were renamed and encoded anew by their fingerprints."""
    from tonearm.pipelines.duplicates import same_recordings

    return partial(same_recordings, home.features_home(), clip)


def _repeated(tracks: Sequence[Track], together: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of lists of ids that are one recording those that still are several tracks."""
    there = {t.track_id for t in tracks}
    left = ([i for i in ids if i in there] for ids in together)
    return [ids for ids in left if len(ids) > 1]


def _with_recordings(tracks: Sequence[Track], together: Sequence[Sequence[str]]) -> tuple[Track, ...]:
    """The tracks, those named that are one recording with another."""
    first = {i: min(ids) for ids in together for i in ids}
    return tuple(dataclasses.replace(t, recording=first.get(t.track_id, "")) for t in tracks)


def _split(
    catalogue: Catalogue, tracks: Sequence[Track], together: Sequence[Sequence[str]], settings: SplitSettings,
    sounds_like: SoundsLike | None,
) -> KeptSplit:  # fmt: skip
    """The source's own split; where no track has one, that of before, extended.

    Raises
    ------
    DatasetError
        If only some tracks have one, or they cannot be split.
    """
    published = sum(t.split is not None for t in tracks)
    if 0 < published < len(tracks):
        raise DatasetError(
            f"{len(tracks) - published} of {len(tracks)} tracks have no split, the others have a published one: leave "
            "them out of the data set, or give none of its tracks a split"
        )
    if published:
        notes, stay = ("split as published",), "they stay where the source has them"
        kept = KeptSplit(tuple(tracks), notes, published_changes(catalogue.name, tracks))
    else:
        stay, kept = (
            "each is kept in one split",
            split_tracks(catalogue.name, catalogue.label, tracks, together, settings, sounds_like),
        )
    if together:
        note = f"{len(together)} recording(s) occur more than once, e.g. {' = '.join(together[0])}: {stay}"
        kept = dataclasses.replace(kept, notes=(*kept.notes, note))
    return kept


def _joined(known: Metadata, more: Metadata) -> Metadata:
    return known.joined(more) if len(known) else more
