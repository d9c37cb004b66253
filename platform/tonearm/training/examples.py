"""Bind a trial's config to a data set and build its examples; tracks without a target are left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import DatasetError, StoreError
from tonearm.datasets.artist_names import normalised_name
from tonearm.datasets.columns import Column, blocks_of
from tonearm.datasets.manifest import SPLITS, Manifest, Split, Track
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.vocabulary import tokenise
from tonearm.features.base import Feature
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TokensFeature,
)
from tonearm.features.row_store import DESCRIPTOR_TABLE, read_rows
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.features.store_copy import copy_to_node
from tonearm.tasks.base import Task
from tonearm.training.batches import Batches, Examples, by_tracks, truth_of
from tonearm.training.config import DatasetRef, TrialConfig
from tonearm.training.relations import RelationExamples


def dataset_ref(manifest: Manifest, fold: str = "") -> DatasetRef:
    """The reference to a data set as it is there."""
    return DatasetRef(name=manifest.name, label=manifest.label, data_signature=manifest.signature(), fold=fold)


def keep_usable_tracks(task: Task, feature: Feature | None, manifest: Manifest) -> Manifest:
    """The manifest without the tracks that lack a target or an input; their number is noted.

    Raises
    ------
    DatasetError
        If a split would be empty.
    """
    usable = by_tracks(task, manifest.tracks, manifest.metadata, task.has_target)
    for part in feature.named_inputs().values() if feature else ():
        usable = usable & has_input(part, manifest)
    kept = tuple(t for t, has in zip(manifest.tracks, usable, strict=True) if has)
    notes = manifest.notes
    if len(kept) < len(manifest.tracks):
        notes = (*notes, f"{len(manifest.tracks) - len(kept)} of {len(manifest.tracks)} tracks left out: no target "
                         "or no input is known of them")  # fmt: skip
    empty = [split for split in SPLITS if not any(t.split == split for t in kept)]
    if empty:
        raise DatasetError(f"{manifest.name}: no track with a target in {', '.join(empty)}: add tracks, or labels")
    return dataclasses.replace(manifest, tracks=kept, notes=notes)


@singledispatch
def has_input(feature: Feature, manifest: Manifest) -> np.ndarray:
    """Which tracks have this input, bool (tracks,): recordings were checked when they were extracted."""
    return np.ones(len(manifest.tracks), dtype=bool)


@has_input.register
def _(feature: TableFeature, manifest: Manifest) -> np.ndarray:
    ids = [t.track_id for t in manifest.tracks]
    usable = np.ones(len(ids), dtype=bool)
    for name in feature.columns if feature.missing == "refuse" else ():
        blocks = blocks_of(manifest.metadata.column(name), manifest.metadata.rows(ids))
        known = [~np.isnan(block.astype(np.float64).reshape(len(block), -1)).any(axis=1) for block in blocks]
        usable &= np.concatenate([np.empty(0, bool), *known])
    return usable


@has_input.register
def _(feature: TokensFeature, manifest: Manifest) -> np.ndarray:
    texts = manifest.metadata.texts([t.track_id for t in manifest.tracks], feature.column)
    return np.array([bool(tokenise(text)) for text in texts])


@has_input.register
def _(feature: PictureFeature, manifest: Manifest) -> np.ndarray:
    return np.array([bool(p) for p in manifest.metadata.texts([t.track_id for t in manifest.tracks], feature.column)])


@singledispatch
def with_data_sizes(feature: Feature, metadata: Metadata) -> Feature:
    """The input with what depends on the data: the width of a table, the number of artists."""
    return feature


@with_data_sizes.register
def _(feature: TableFeature, metadata: Metadata) -> Feature:
    shapes = [metadata.column(name).shape for name in feature.columns]
    width = sum(shape[1] if len(shape) == 2 else 1 for shape in shapes)
    return feature.replace({"width": 0 if width == len(feature.columns) else width})


@with_data_sizes.register
def _(feature: ArtistsFeature, metadata: Metadata) -> Feature:
    return feature.replace({"artists": len(metadata)})


@with_data_sizes.register
def _(feature: CompositeFeature, metadata: Metadata) -> Feature:
    return CompositeFeature(
        inputs=tuple(NamedFeature(name=p.name, feature=with_data_sizes(p.feature, metadata)) for p in feature.inputs)
    )


def bind_to_data(config: TrialConfig, manifest: Manifest, fold: str = "") -> TrialConfig:
    """The config of a trial on a data set as it is there."""
    return config.replace(
        {"dataset": dataset_ref(manifest, fold), "feature": with_data_sizes(config.feature, manifest.metadata)}
    )


def make_examples(config: TrialConfig, manifest: Manifest, features: str, cache: str) -> Examples:
    """The examples of a trial.

    Parameters
    ----------
    features
        Folder or URI of the feature stores.
    cache
        Local folder for copies of remote ones.

    Raises
    ------
    StoreError
        If a representation was never extracted.
    DatasetError
        If metadata or targets are missing.
    """
    # Where no labels are learned, one track says what the outputs are: nothing is read of all the others.
    some = manifest.tracks if config.task.uses_labels else manifest.tracks[:1]
    names = config.task.names(truth_of(some, manifest.metadata), manifest.classes)
    if isinstance(config.feature, ArtistsFeature):
        return RelationExamples(config, manifest.tracks, names, manifest.metadata)
    stores: Mapping[str, FeatureStore] = {
        name: FeatureStore(
            copy_to_node(
                store_uri(features, representation), cache, (track_key(t.content, config.clip) for t in manifest.tracks)
            )
        )
        for name, representation in config.representations.items()
    }
    return Batches(config, manifest.tracks, names, stores, manifest.metadata)


def descriptor_metadata(tracks: Sequence[Track], clip: ClipConfig, features: str) -> Metadata:
    """The measured descriptors of tracks (tempo, energy, ...) as metadata; NaN where something could not be measured.

    Parameters
    ----------
    clip
        That was measured; of a track in several clips all were: see ``features.descriptor_means``.
    features
        Folder or URI of the feature stores.

    Raises
    ------
    StoreError
        If a track was never measured.
    """
    keys = {t.track_id: track_key(t.content, clip) for t in tracks}
    rows = read_rows(features, DESCRIPTOR_TABLE, keys.values())
    missing = [i for i, key in keys.items() if key not in rows]
    if missing:
        raise StoreError(f"{len(missing)} tracks have no descriptors, e.g. {missing[0]!r}: extract with descriptors")
    return Metadata(
        list(keys),
        {name: [_number(rows[key].get(name)) for key in keys.values()] for name in DESCRIPTORS},
    )


def metadata_of_tracks(source: Metadata, tracks: Sequence[Track]) -> Metadata:
    """Metadata whose rows are tracks, their groups or their artists, as metadata of the tracks; NaN where unknown.

    An artist is found by the name, of any case and spacing, or by the id that is the group.

    Raises
    ------
    DatasetError
        If they are of none of these tracks, or hold texts or whole numbers, for which there is no "unknown".
    """
    of = vector_rows(source.track_ids, tracks)
    index = np.array([of.get(t.track_id, -1) for t in tracks])
    if not len(index) or index.max() < 0:
        raise DatasetError(
            f"metadata of {source.track_ids[:1]} and others, but of none of these tracks or their artists"
        )
    for name in source:
        if source.column(name).kind != "f":
            raise DatasetError(
                f"the metadata column {name!r} holds no floating-point numbers: only such may be unknown"
            )
    return source.chosen([t.track_id for t in tracks], index)


def vector_rows(keys: Sequence[str], tracks: Sequence[Track]) -> dict[str, int]:
    """By the ids of tracks the place of their own key, or else of their artist's, as :func:`metadata_of_tracks` finds
    it; without those that have none."""
    row = {key: i for i, key in enumerate(keys)}
    plain_row: dict[str, int] = {}
    for key, i in row.items():
        plain_row.setdefault(normalised_name(key), i)
    found = ((t.track_id, _row_of(t, row, plain_row)) for t in tracks)
    return {track_id: i for track_id, i in found if i >= 0}


def with_splits_of(table: Manifest, recordings: Manifest) -> Manifest:
    """The rows of a table (artists, or tracks) in the splits of their recordings: to be trained on, if any of these is
    or there are none; else of the test split, if any of these is."""
    ids = [t.track_id for t in table.tracks]
    splits: dict[int, set[str | None]] = {}
    row_of = vector_rows(ids, recordings.tracks)
    for track in recordings.tracks:
        if track.track_id in row_of:
            splits.setdefault(row_of[track.track_id], set()).add(track.split)
    order: tuple[Split, ...] = ("train", "test", "validation")
    tracks = [dataclasses.replace(t, split=next((s for s in order if s in splits.get(i, ())), "train"))
              for i, t in enumerate(table.tracks)]  # fmt: skip
    return dataclasses.replace(table, tracks=tuple(tracks))


def _row_of(track: Track, row: Mapping[str, int], plain_row: Mapping[str, int]) -> int:
    """The row of a track, or of its artist; -1 if there is none.

    The artist's name goes before the group's: a group that was joined with another bears one artist's name only.
    """
    group, own, artist = track.group, track.group.partition(":")[2], track.artist or ""
    for table, key in (
        (row, track.track_id),
        (row, group),
        (row, artist),
        (plain_row, normalised_name(artist)),
        (row, own),
        (plain_row, normalised_name(group)),
        (plain_row, normalised_name(own)),
    ):
        if key and key in table:
            return table[key]
    return -1


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def with_vectors(manifest: Manifest, vectors: Mapping[str, tuple[list[str], np.ndarray | Column]]) -> Manifest:
    """The manifest with a new metadata column for each of these tables of vectors.

    Parameters
    ----------
    vectors
        By the new column's name the ids and their vectors, float (ids, dim), or a column, which is not copied. An id is
        a track's or an artist's, as in :func:`metadata_of_tracks`. A track without a vector gets NaN.

    Raises
    ------
    DatasetError
        If a table has a vector for none of the tracks.
    """
    metadata = manifest.metadata
    for name, (keys, values) in vectors.items():
        given = Metadata(keys, {name: np.asarray(values, np.float64) if isinstance(values, np.ndarray) else values})
        made = metadata_of_tracks(given, manifest.tracks)
        metadata = metadata.joined(made) if len(metadata) else made
    return dataclasses.replace(manifest, metadata=metadata)
