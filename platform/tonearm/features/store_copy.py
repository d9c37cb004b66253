"""Copies of feature stores on a node's own disk, made once and shared by all its trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tonearm.core import storage
from tonearm.core.node_copies import LOCK, forget_unused, mark_used
from tonearm.core.seeding import digest
from tonearm.features.store_clips import CLIPS
from tonearm.features.store_index import INDEX, read_index

DOWNLOADS = 8  # at once
ATTEMPTS = 5  # to copy a store whose parts are joined meanwhile


def copy_to_node(uri: str, cache: str, keys: Iterable[str] | None = None) -> str:
    """A local copy of a remote store, made once a node and shared by all its trials; a local one is used as it is.

    Copies that nobody asked for in a week are deleted when another one is made.

    Parameters
    ----------
    uri
        The store, at any URI.
    cache
        A local folder.
    keys
        Copy only the parts that hold these tracks; None copies all. Looked at for remote stores only.
    """
    if storage.is_local(uri):
        return str(storage.local_path(uri))
    from filelock import FileLock

    target = Path(cache) / f"{uri.rsplit('/', 1)[-1]}-{digest(uri)}"
    target.mkdir(parents=True, exist_ok=True)
    wanted = None if keys is None else set(keys)
    with FileLock(target / LOCK):  # trials that begin at once: one copies, the others find it done
        mark_used(target)
        if not _holds(target, wanted):
            forget_unused(Path(cache))
            _copy(uri, target, wanted)
    return str(target)


def _holds(target: Path, keys: set[str] | None) -> bool:
    """Whether a copy has all these tracks; then the store is not even asked."""
    if keys is None or not (target / "representation.json").exists():
        return False
    return keys <= set(read_index(str(target)).column("key").unique().to_pylist())


def _copy(uri: str, target: Path, keys: set[str] | None) -> None:
    """Copy what is not there yet, and with it the common index, so that opening the copy reads one file."""
    if not (target / "representation.json").exists():
        storage.fetch(storage.join(uri, "representation.json"), target / "representation.json")
    for name in storage.list_files(storage.join(uri, CLIPS)):
        if not (target / CLIPS / name).exists():
            storage.fetch(storage.join(uri, CLIPS, name), target / CLIPS / name)
    for attempt in range(ATTEMPTS):
        new = [part for part in _parts(uri, keys) if not (target / "parts" / f"{part}.parquet").exists()]
        try:
            with ThreadPoolExecutor(DOWNLOADS) as pool:
                list(pool.map(partial(_copy_part, uri, target), new))
        except FileNotFoundError:  # it was joined with others: they are listed now
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            break
    if new and storage.exists(storage.join(uri, INDEX)):
        storage.fetch(storage.join(uri, INDEX), target / INDEX)


def _parts(uri: str, keys: set[str] | None) -> Sequence[str]:
    """The parts of a store that hold these tracks."""
    if keys is None:
        return [n.removesuffix(".parquet") for n in storage.list_files(storage.join(uri, "parts"), ".parquet")]
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = read_index(uri)
    of_keys = rows.filter(pc.is_in(rows.column("key"), pa.array(list(keys), pa.string())))
    found: list[str] = of_keys.column("part").unique().to_pylist()
    return found


def _copy_part(uri: str, target: Path, part: str) -> None:
    for suffix in (".npy", ".frames.npy", ".parquet"):  # a part's own index last, as in the original
        if not (target / "parts" / f"{part}{suffix}").exists():
            storage.fetch(storage.join(uri, "parts", part + suffix), target / "parts" / f"{part}{suffix}")
