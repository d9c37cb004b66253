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
job killed at any moment loses only the parts it was writing, and an added track adds a part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core import storage, text
from tonearm.core.errors import ConfigError, StoreError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.normalisation import ClipStatistics, Float16Array, TrainingStatistics, pool_statistics
from tonearm.features.store_clips import mark_complete, read_clip_configs, write_clip_config
from tonearm.features.store_index import read_index

CLIP_NUMBERS = 2  # the meaning of a clip's number


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
        self._parts: dict[str, tuple[Float16Array, FloatArray]] = {}
        rows = read_index(uri)
        self._part = rows.column("part").to_pylist()
        self._number: list[int] = rows.column("clip").to_pylist()
        self._column = {
            name: rows.column(name).to_numpy()
            for name in ("start", "frames", "offset", "frame_offset", "mean", "deviation")
        }  # fmt: skip
        planes, bins = self._shape
        ends = self._column["offset"] + planes * bins * self._column["frames"]
        frame_ends = self._column["frame_offset"] + (planes * self._column["frames"] if bins > 1 else 0)
        self._ends: dict[str, tuple[int, int]] = {}  # the last row of a part says how long its files are
        for part, end, frame_end in zip(self._part, ends.tolist(), frame_ends.tolist(), strict=True):
            self._ends[part] = max(self._ends.get(part, (0, 0)), (end, frame_end))
        # A part may be there twice, if two jobs extracted the same track: the last one counts, whole.
        first: dict[tuple[str, str], list[int]] = {}
        for row, (key, part) in enumerate(zip(rows.column("key").to_pylist(), self._part, strict=True)):
            first.setdefault((key, part), []).append(row)
        self._rows = {key: indices for (key, _), indices in first.items()}

    def __len__(self) -> int:
        return len(self._rows)

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
        return key in self._rows

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not stored, in order."""
        return [k for k in keys if k not in self._rows]

    def clips(self, key: str) -> int:
        """Clips of a track: one, unless the whole track was taken."""
        return len(self._of(key))

    def clip_numbers(self, key: str) -> list[int]:
        """The numbers of a track's clips, ascending; those of clips that could not be used are missing."""
        return [self._number[row] for row in self._of(key)]

    def frames(self, key: str, clip: int | None = None) -> int:
        """Frames of a clip by its number, or of the first that is there."""
        return int(self._column["frames"][self._row(key, clip)])

    def read(self, key: str, clip: int | None = None) -> StoredClip:
        """One clip by its number, or the first that is there: a memory-mapped view, no copy.

        Raises
        ------
        StoreError
            If the key is not there, or its part is damaged.
        """
        row = self._row(key, clip)
        values, per_frame = self._open(self._part[row])
        planes, bins = self._shape
        frames, offset, at = (int(self._column[c][row]) for c in ("frames", "offset", "frame_offset"))
        block = values[offset : offset + planes * bins * frames].reshape(planes, bins, frames)
        frame_stats = per_frame[:, at : at + (planes * frames if bins > 1 else 0)].reshape(2, planes, -1)
        if planes == 1:
            block, frame_stats = block[0], frame_stats[:, 0]
        mean, deviation = (float(self._column[c][row]) for c in ("mean", "deviation"))
        statistics = ClipStatistics(frame_stats[0], frame_stats[1], mean, deviation)
        return StoredClip(block, statistics, self._number[row], float(self._column["start"][row]))

    def read_clips(self, key: str) -> list[StoredClip]:
        """All clips of a track, as :meth:`read` gives them."""
        return [self.read(key, clip) for clip in self.clip_numbers(key)]

    def training_statistics(self, keys: Iterable[str]) -> TrainingStatistics:
        """Mean and deviation of all values of these tracks, from stored statistics; no values are read."""
        rows = [row for key in keys for row in self._of(key)]
        if not rows:
            raise StoreError(f"no tracks to take statistics of in {self.uri}")
        return pool_statistics(*(self._column[c][rows].astype(np.float64) for c in ("mean", "deviation", "frames")))

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
            row = self._row(key, clip)
            values, _ = self._open(self._part[row])
            there, offset = int(self._column["frames"][row]), int(self._column["offset"][row])
            if start < 0 or start + frames > there:
                raise StoreError(f"{frames} frames from {start} on are not in the {there} of clip {clip} of {key}")
            size = self._shape[0] * self._shape[1] * there
            block = values[offset : offset + size].reshape(*self._shape, there)
            out[i] = block[..., start : start + frames]
        return out

    def _row(self, key: str, clip: int | None) -> int:
        rows = self._of(key)
        if clip is None:
            return rows[0]
        if 0 <= clip < len(rows) and self._number[rows[clip]] == clip:  # none is missing, as a rule
            return rows[clip]
        for row in rows:
            if self._number[row] == clip:
                return row
        raise StoreError(f"track key {key} has {len(rows)} clip(s) in the store {self.uri}, none is number {clip}")

    def _of(self, key: str) -> list[int]:
        if key not in self._rows:
            raise StoreError(f"track key {key} is not in the store {self.uri}: extract it first")
        return self._rows[key]

    def _open(self, part: str) -> tuple[Float16Array, FloatArray]:
        if part not in self._parts:
            values, per_frame = self._ends[part]
            self._parts[part] = (
                self._map(f"{part}.npy", np.float16, (values,)),
                self._map(f"{part}.frames.npy", np.float32, (2, per_frame)),
            )
        return self._parts[part]

    def _map(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> Any:
        uri = storage.join(self.uri, "parts", name)
        try:
            mapped = np.load(storage.local_path(uri), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"part {uri} is damaged ({error}): delete it and its .parquet, then extract") from None
        if mapped.dtype != dtype or mapped.shape != shape:
            raise StoreError(
                f"part {uri} is damaged: it holds {mapped.dtype} {mapped.shape}, its index says {np.dtype(dtype)} "
                f"{shape}: delete it and its .parquet, then extract"
            )
        return mapped.view(np.ndarray)  # a plain array over the mapping: slicing a memmap object is ten times slower


def read_representation(uri: str) -> Representation:
    """The config of a store from its description."""
    try:
        return Representation.from_dict(storage.read_json(uri))
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise StoreError(
            f"{uri} is damaged ({error}): delete this one file and extract again, which writes it anew and keeps the "
            "features"
        ) from None
