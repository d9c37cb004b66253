"""Stored features: float16 ``.npy`` shards that are read memory-mapped, and Parquet for what is looked up.

Layout of one store, a folder named by :meth:`Representation.store_name`::

    representation.json      the config
    clips/<id>.json          a ClipConfig: how clips were cut that are in the store; see :mod:`.store_clips`
    parts/<id>.npy           a shard: float16, unnormalised, clip after clip, each (planes, freq_bins, frames)
    parts/<id>.frames.npy    float32 (2, n): mean and deviation of every frame of every clip
    parts/<id>.parquet       a row a clip: key, number and start in seconds of the clip, frames, its places in both,
                             mean and deviation of the whole
    index.parquet            the rows of all parts together, so that opening reads one file

A part is complete when its Parquet file is there, which is written last; any other file there is ignored. So a
job killed at any moment loses only the parts it was writing, and an added track adds a part. Small parts are joined
afterwards, see :mod:`.join_parts`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core import storage, text
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import ConfigError, StoreError
from tonearm.core.mapped import map_array
from tonearm.core.node_copies import CopyInUse
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.normalisation import ClipStatistics, Float16Array, TrainingStatistics, pool_statistics
from tonearm.features.store_clips import mark_complete, read_clip_configs, write_clip_config
from tonearm.features.store_index import read_index
from tonearm.features.store_rows import StoreRows

CLIP_NUMBERS = 2  # the meaning of a clip's number
MAPPED_PARTS = 2048  # of one store at once, two maps each; Linux allows a process 65 530


@dataclass(frozen=True)
class StoredClip:
    """One clip's stored representation, and the statistics that normalise it.

    Attributes
    ----------
    values
        Memory-mapped float16 of shape (freq_bins, frames), or (2, freq_bins, frames) for two planes.
    number
        Of the clip in its track: the same time in every store.
    start
        Where it begins in the track, seconds; NaN if it was stored before that was kept.
    """

    values: Float16Array
    stats: ClipStatistics
    number: int = 0
    start: float = math.nan

    @property
    def frames(self) -> int:
        return int(self.values.shape[-1])


def track_key(content: str, clip: ClipConfig) -> str:
    """What a track's stored features are keyed by: the content of its file, and which clips of it were taken."""
    # Several clips were once numbered without those that were left out: such stores are not found, but made anew.
    return digest(content, clip.to_dict(), *((CLIP_NUMBERS,) if clip.position == "all" else ()))


def store_uri(root: str, representation: Representation) -> str:
    """The folder of a representation's store below ``root``."""
    return storage.join(root, representation.store_name())


def prepare_store(root: str, representation: Representation, clip: ClipConfig | None = None) -> str:
    """Make the store's description, once; returns its folder. What writers that were killed left is cleared.

    Parameters
    ----------
    clip
        Noted as one of which clips are to be stored; None notes nothing.
    """
    uri = store_uri(root, representation)
    if not storage.exists(storage.join(uri, "representation.json")):
        storage.write_json(storage.join(uri, "representation.json"), representation.to_dict())
    if clip is not None:
        if not read_clip_configs(uri) and not storage.list_files(storage.join(uri, "parts")):
            mark_complete(uri)
        write_clip_config(uri, clip)
    storage.remove_stale(storage.join(uri, "parts"))
    return uri


class FeatureStore:
    """Reader of one store. Opening reads the index; values stay on disk until they are used.

    Parameters
    ----------
    uri
        A local folder; copy a remote store to the node once with :func:`tonearm.features.store_copy.copy_to_node`.

    Raises
    ------
    StoreError
        If there is no store, or an index in it is damaged.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        description = storage.join(uri, "representation.json")
        if not storage.exists(description):
            raise StoreError(f"no feature store at {uri}: extract features first ({text.command('extract', '--help')})")
        self.representation = read_representation(description)
        self._shape = (self.representation.planes, self.representation.freq_bins)
        self._parts: OrderedDict[int, tuple[Float16Array, FloatArray]] = OrderedDict()
        self._rows = StoreRows.of_index(read_index(uri), self.representation)
        self._in_use = CopyInUse(uri)

    def __len__(self) -> int:
        return len(self._rows.first)

    def __iter__(self) -> Iterator[str]:
        """The keys of all tracks, see :func:`track_key`."""
        return iter(self._rows)

    def __repr__(self) -> str:
        cut = ", ".join(clip.brief() for clip in self.clip_configs) or "of which clips it does not say"
        return f"FeatureStore({self.representation.brief()}, {len(self)} tracks; {cut}; {self.uri})"

    @property
    def clip_configs(self) -> tuple[ClipConfig, ...]:
        """The ways in which its clips were cut; none if it is from before they were kept."""
        return read_clip_configs(self.uri)

    def __contains__(self, key: object) -> bool:
        return key in self._rows.first

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not stored, in order."""
        return [k for k in keys if k not in self._rows.first]

    def clips(self, key: str) -> int:
        """Clips of a track: one, unless the whole track was taken."""
        return len(self._of(key))

    def clip_numbers(self, key: str) -> list[int]:
        """The numbers of a track's clips, ascending; those of clips that could not be used are missing."""
        return [int(number) for number in self._rows.number[self._of(key)]]

    def frames(self, key: str, clip: int | None = None) -> int:
        """Frames of a clip by its number, or of the first that is there."""
        return int(self._rows.frames[self._row(key, clip)])

    def read(self, key: str, clip: int | None = None) -> StoredClip:
        """One clip by its number, or the first that is there: a memory-mapped view, no copy.

        Raises
        ------
        StoreError
            If the key is not there, or its part is damaged.
        """
        row, values, per_frame = self._open(key, clip)
        rows, (planes, bins) = self._rows, self._shape
        frames, offset, at = int(rows.frames[row]), int(rows.offset[row]), int(rows.frame_offset[row])
        block = values[offset : offset + planes * bins * frames].reshape(planes, bins, frames)
        frame_stats = per_frame[:, at : at + (planes * frames if bins > 1 else 0)].reshape(2, planes, -1)
        if planes == 1:
            block, frame_stats = block[0], frame_stats[:, 0]
        statistics = ClipStatistics(frame_stats[0], frame_stats[1], float(rows.mean[row]), float(rows.deviation[row]))
        return StoredClip(block, statistics, int(rows.number[row]), float(rows.start[row]))

    def read_clips(self, key: str) -> list[StoredClip]:
        """All clips of a track, as :meth:`read` gives them."""
        return [self.read(key, clip) for clip in self.clip_numbers(key)]

    def training_statistics(self, keys: Iterable[str]) -> TrainingStatistics:
        """Mean and deviation of all values of these tracks, from stored statistics; no values are read."""
        rows = [row for key in keys for row in self._of(key)]
        if not rows:
            raise StoreError(f"no tracks to take statistics of in {self.uri}")
        columns = (self._rows.mean, self._rows.deviation, self._rows.frames)
        return pool_statistics(*(column[rows].astype(np.float64) for column in columns))

    def read_windows(
        self, places: Sequence[tuple[str, int, int]], frames: int, out: Float16Array | None = None
    ) -> Float16Array:
        """Copy windows out of the store, as training reads them.

        Parameters
        ----------
        places
            Key, clip and first frame of each window.
        frames
            Frames a window.
        out
            Where to write: float16 of shape (windows, planes, freq_bins, frames); None makes a new array.
        """
        if out is None:
            out = np.empty((len(places), *self._shape, frames), dtype=np.float16)
        for i, (key, clip, start) in enumerate(places):
            row, values, _ = self._open(key, clip)
            there, offset = int(self._rows.frames[row]), int(self._rows.offset[row])
            if start < 0 or start + frames > there:
                raise StoreError(f"{frames} frames from {start} on are not in the {there} of clip {clip} of {key}")
            size = self._shape[0] * self._shape[1] * there
            block = values[offset : offset + size].reshape(*self._shape, there)
            out[i] = block[..., start : start + frames]
        return out

    def _row(self, key: str, clip: int | None) -> int:
        rows, number = self._of(key), self._rows.number
        if clip is None:
            return rows[0]
        if 0 <= clip < len(rows) and number[rows[clip]] == clip:  # none is missing, as a rule
            return rows[clip]
        for row in rows:
            if number[row] == clip:
                return row
        raise StoreError(f"track key {key} has {len(rows)} clip(s) in the store {self.uri}, none is number {clip}")

    def _of(self, key: str) -> range:
        try:
            return self._rows.of(key)
        except KeyError:
            raise StoreError(f"track key {key} is not in the store {self.uri}: extract it first") from None

    def _open(self, key: str, clip: int | None) -> tuple[int, Float16Array, FloatArray]:
        """The row of a clip, and the values and the statistics of its part; the parts used last stay mapped."""
        self._in_use.note()
        row = self._row(key, clip)
        part = int(self._rows.part[row])
        if part not in self._parts:
            name, (values, per_frame) = self._rows.parts[part], self._rows.lengths[:, part].tolist()
            try:
                self._parts[part] = (
                    self._map(f"{name}.npy", np.float16, (values,)),
                    self._map(f"{name}.frames.npy", np.float32, (2, per_frame)),
                )
            except StoreError:
                if storage.exists(storage.join(self.uri, "parts", f"{name}.parquet")):
                    raise
                # Its rows are in another part now, which joining or cleaning wrote before it took this one away.
                self._parts.clear()
                self._rows = StoreRows.of_index(read_index(self.uri), self.representation)
                return self._open(key, clip)
            if len(self._parts) > MAPPED_PARTS:
                self._parts.popitem(last=False)
        elif len(self._parts) >= MAPPED_PARTS:
            self._parts.move_to_end(part)
        values, per_frame = self._parts[part]
        return row, values, per_frame

    def _map(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> Any:
        uri = storage.join(self.uri, "parts", name)
        remedy = "delete it and its .parquet, then extract"
        try:
            mapped = map_array(storage.local_path(uri))
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(describe_unreadable(f"part {uri}", error, remedy)) from None
        if mapped.dtype != dtype or mapped.shape != shape:
            raise StoreError(
                f"part {uri} is damaged: it holds {mapped.dtype} {mapped.shape}, its index says {np.dtype(dtype)} "
                f"{shape}: {remedy}"
            )
        return mapped


def read_representation(uri: str) -> Representation:
    """The config of a store from its description."""
    try:
        return Representation.from_dict(storage.read_json(uri))
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        remedy = "delete this one file and extract again, which writes it anew and keeps the features"
        raise StoreError(describe_unreadable(uri, error, remedy)) from None
