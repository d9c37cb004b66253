"""Parts of a store are joined to large ones: workers write small parts, so that a kill loses little, and a store of
100 000 tracks in parts of 16 would have 20 000 files.

A joined part is complete before the parts that it is made of are taken away, its index last; killed in between, rows
are there twice, which readers know, and joining again takes the small parts away.
"""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import StoreError
from tonearm.core.mapped import map_array
from tonearm.core.progress import Progress
from tonearm.core.seeding import digest
from tonearm.features.base import Representation
from tonearm.features.joining_lock import joining_lock
from tonearm.features.store_index import index_schema, read_index, read_part_index
from tonearm.features.store_rows import StoreRows

logger = logging.getLogger(__name__)

PART_BYTES = 64 * 2**20  # smaller parts are joined: 64 MiB are 200 clips of 30 s of 256 mel bands
FILES = (".parquet", ".npy", ".frames.npy")  # the index first: without it the others are no part
LOCK_SECONDS = 60.0
DAY = 86_400.0  # what is younger ``clean`` leaves alone
MANY_GROUPS = 8  # half a gigabyte: more than these are told, and how far they are
REMEDY = "delete it and its .parquet, then extract"

Arrays = tuple[np.ndarray, np.ndarray]  # of a part: its values, and its frames' statistics


def join_small_parts(uri: str, representation: Representation) -> int:
    """Join a store's small parts, as a job does when it has written some; returns how many there are fewer.

    A part that cannot be read, or is not what its index says, is left alone, and a warning says so. Where another job
    joins parts of the store, nothing is done. (Elsewhere than on this machine there is no such lock: two jobs that end
    at once may write rows twice.)
    """
    with joining_lock(uri, LOCK_SECONDS) as alone:
        index = read_index(uri) if alone else index_schema().empty_table()
        rows = StoreRows.of_index(index, representation)
        size = dict(zip(rows.parts, (2 * rows.lengths[0]).tolist(), strict=True))
        small = [part for part in rows.parts if size[part] < PART_BYTES]
        joined = _rows_by_track(index, small)  # by a job that was killed before it took them away

        def counts(part: str, clips: list[dict[str, Any]]) -> bool:
            key = clips[0]["key"]
            return rows.part_of(key) == part and _identity(clips) not in joined.get(key, ())

        fewer = 0
        groups = _groups(uri, {part: size[part] for part in small})
        if len(groups) > MANY_GROUPS:
            logger.warning("  %d small parts of %s are joined to large ones, once; if that is stopped, the next "
                           "extraction goes on", len(small), uri)  # fmt: skip
        with Progress("small parts joined", sum(map(len, groups))) as progress:
            for group in groups:
                fewer += _join(uri, representation, group, counts)
                if len(groups) > MANY_GROUPS:
                    progress.add(len(group))
        return fewer


def _groups(uri: str, sizes: Mapping[str, int]) -> list[list[str]]:
    """Small parts that become one each: of one day (UTC), or older than a day.

    What is joined is as old as the youngest of its parts. Were old parts joined with new ones, a store that grows every
    day would have none that is old, and ``clean`` would find nothing that is not needed.
    """
    now, days = time.time(), dict[int, list[str]]()
    for part in sizes:
        written = storage.modified(storage.join(uri, "parts", part + FILES[0])) or now
        days.setdefault(int(written // DAY) if now - written < DAY else 0, []).append(part)
    groups = []
    for day, parts in sorted(days.items()):
        group, size = list[str](), 0
        for i, part in enumerate(parts):
            group, size = [*group, part], size + sizes[part]
            # Elsewhere than here what is written is new, whatever is in it: old parts are joined to large ones only.
            if size >= PART_BYTES or (i + 1 == len(parts) and (day or storage.is_local(uri))):
                groups.append(group)
                group, size = [], 0
    return groups


def _rows_by_track(index: Any, small: Sequence[str]) -> dict[str, set[Any]]:
    """Of the tracks that are in small parts and in others, too, what they are in each of the others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_small = pc.is_in(index.column("part"), pa.array(small, pa.string()))
    others = index.filter(pc.invert(is_small))
    others = others.filter(pc.is_in(others.column("key"), index.filter(is_small).column("key").unique()))
    clips: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in others.to_pylist():
        clips.setdefault((row["key"], row["part"]), []).append(row)
    found: dict[str, set[Any]] = {}
    for (key, _), rows in clips.items():
        found.setdefault(key, set()).add(_identity(rows))
    return found


def _identity(clips: Sequence[dict[str, Any]]) -> Any:
    """What tells two computations of a track's clips apart."""
    return tuple((row["clip"], row["frames"], row["mean"], row["deviation"]) for row in clips)


class PartJoiner:
    """Joins the parts that a worker writes, as soon as they are large enough together."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, int]] = {}

    def add(self, uri: str, representation: Representation, part: str, size: int) -> None:
        """Note a part that was written, of ``size`` bytes; those of its store are joined if it is time."""
        waiting = self._waiting.setdefault(uri, {})
        waiting[part] = size
        if sum(waiting.values()) < PART_BYTES:
            return
        with joining_lock(uri, 0.0) as alone:
            if not alone:  # another one joins just now: with the next part
                return
            try:
                _join(uri, representation, list(waiting))
            except (OSError, StoreError) as error:  # a full disk, say: all is stored
                logger.warning("small parts of %s stay as they are, they could not be joined: %s", uri, error)
        waiting.clear()


def write_part_of(uri: str, representation: Representation, rows: Sequence[dict[str, Any]]) -> str:
    """Write clips of complete parts as a part of its own, its index last; returns its name.

    Parameters
    ----------
    rows
        Of the index, each with its ``part``; at least one.

    Raises
    ------
    StoreError
        If a part cannot be read.
    """
    return _write(uri, representation, rows, {row["part"]: _read_arrays(uri, row["part"]) for row in rows})


def _write(
    uri: str, representation: Representation, rows: Sequence[dict[str, Any]], arrays: Mapping[str, Arrays]
) -> str:
    """Write clips as a part, out of the arrays of their parts; returns its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    planes, bins = representation.planes, representation.freq_bins
    written, statistics = [], []
    offset = frame_offset = 0
    path = storage.temporary_file(storage.join(uri, "parts", "values.npy"))
    try:
        with path.open("wb") as file:
            shape = {"descr": "<f2", "fortran_order": False,
                     "shape": (sum(planes * bins * row["frames"] for row in rows),)}  # fmt: skip
            np.lib.format.write_array_header_1_0(file, shape)
            for row in rows:
                size, width = planes * bins * row["frames"], planes * row["frames"] if bins > 1 else 0
                values, frames = arrays[row["part"]]
                block = values[row["offset"] : row["offset"] + size]
                noted = frames[:, row["frame_offset"] : row["frame_offset"] + width]
                if block.shape != (size,) or noted.shape != (2, width):
                    place = storage.join(uri, "parts", row["part"])
                    raise StoreError(f"part {place} is damaged: it lacks clip {row['clip']} of {row['key']}")
                file.write(block.data)
                statistics.append(noted)
                written.append({**row, "offset": offset, "frame_offset": frame_offset})
                offset, frame_offset = offset + size, frame_offset + width
        # Parts are named by what they hold, and so is this one: two that differ never share a name.
        name = digest([[row["part"], row["key"], row["clip"]] for row in rows])
        place = storage.join(uri, "parts", name)
        per_frame, index, schema = io.BytesIO(), io.BytesIO(), index_schema()
        np.save(per_frame, np.concatenate(statistics, axis=1), allow_pickle=False)
        pq.write_table(pa.Table.from_pylist(written, schema.remove(len(schema) - 1)), index)
        storage.publish(path, f"{place}.npy")
    finally:
        path.unlink(missing_ok=True)
    storage.write_bytes(f"{place}.frames.npy", per_frame.getvalue())
    storage.write_bytes(f"{place}.parquet", index.getvalue())
    return name


def remove_part(uri: str, name: str) -> None:
    """Delete a part, its index first."""
    for suffix in FILES:
        storage.remove(storage.join(uri, "parts", name + suffix))


def _join(
    uri: str,
    representation: Representation,
    parts: Sequence[str],
    counts: Callable[[str, list[dict[str, Any]]], bool] = lambda part, clips: True,
) -> int:
    """Join parts that can be read; returns how many there are fewer.

    ``counts`` says of a part and the rows of a track in it whether they are kept: they may be in another part, too.
    """
    kept: list[dict[str, Any]] = []
    found: dict[str, Arrays] = {}
    for part in parts:
        try:
            rows = read_part_index(uri, part).to_pylist()
            arrays = _read_arrays(uri, part)
            _check_sizes(uri, representation, part, rows, arrays)
        except StoreError as error:
            if storage.exists(storage.join(uri, "parts", part + FILES[0])):  # else it was joined by another
                logger.warning("a part is not joined with others: %s", error)
            continue
        found[part] = arrays
        tracks: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            tracks.setdefault(row["key"], []).append({**row, "part": part})
        kept += [row for clips in tracks.values() if counts(part, clips) for row in clips]
    if not found or (len(found) == 1 and kept):
        return 0
    indices = [storage.join(uri, "parts", part + FILES[0]) for part in found]
    written = [at for at in map(storage.modified, indices) if at is not None] if storage.is_local(uri) else []
    made = [_write(uri, representation, kept, found)] if kept else []
    for name in made if written else ():
        os.utime(storage.local_path(storage.join(uri, "parts", name + FILES[0])), (max(written),) * 2)
    for part in found:
        remove_part(uri, part)
    return len(found) - len(made)


def _read_arrays(uri: str, part: str) -> Arrays:
    """The values of a part and its frames' statistics; each is read once."""
    values, frames = (_read_array(uri, part + suffix) for suffix in FILES[1:])
    are_values = values.dtype == np.float16 and values.ndim == 1
    if not are_values or frames.dtype != np.float32 or frames.ndim != 2 or len(frames) != 2:
        place = storage.join(uri, "parts", part)
        raise StoreError(f"part {place} is damaged: it holds {values.dtype} {values.shape} and {frames.dtype} "
                         f"{frames.shape}: {REMEDY}")  # fmt: skip
    return values, frames


def _check_sizes(
    uri: str, representation: Representation, part: str, rows: Sequence[dict[str, Any]], arrays: Arrays
) -> None:
    """A part must hold what its index says, no less and no more: readers take no other."""
    planes, bins = representation.planes, representation.freq_bins
    sizes = [(row["offset"] + planes * bins * row["frames"],
              row["frame_offset"] + (planes * row["frames"] if bins > 1 else 0)) for row in rows]  # fmt: skip
    wanted = tuple(max(ends, default=0) for ends in zip(*sizes, strict=True)) if sizes else (0, 0)
    there = tuple(array.shape[-1] for array in arrays)
    if there != wanted:
        raise StoreError(f"part {storage.join(uri, 'parts', part)} is damaged: it holds {there[0]} values and "
                         f"{there[1]} frames' statistics, its index says {wanted[0]} and {wanted[1]}: "
                         f"{REMEDY}")  # fmt: skip


def _read_array(uri: str, file: str) -> np.ndarray:
    place = storage.join(uri, "parts", file)
    try:
        if storage.is_local(place):
            return np.asarray(map_array(storage.local_path(place)))
        return np.asarray(np.load(io.BytesIO(storage.read_bytes(place)), allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(describe_unreadable(f"part {place}", error, REMEDY)) from None
