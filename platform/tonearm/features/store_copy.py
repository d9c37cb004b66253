"""Copies of feature stores on a node's own disk, made once and shared by all its trials."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.features.store_clips import CLIPS
from tonearm.features.store_index import INDEX, read_index


def copy_to_node(uri: str, cache: str, keys: Iterable[str] | None = None) -> str:
    """A local copy of a remote store, made once a node and shared by all its trials; a local one is used as it is.

    Parameters
    ----------
    uri
        The store, at any URI.
    cache
        A local folder.
    keys
        Copy only the parts that hold these tracks; None copies all.
    """
    if storage.is_local(uri):
        return str(storage.local_path(uri))
    from filelock import FileLock

    target = Path(cache) / f"{uri.rsplit('/', 1)[-1]}-{digest(uri)}"
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target / ".copying"):  # trials that begin at once: one copies, the others find it done
        _copy_parts(uri, target, keys)
    return str(target)


def _copy_parts(uri: str, target: Path, keys: Iterable[str] | None) -> None:
    """Copy what is not there yet, and with it the common index, so that opening the copy reads one file."""
    if not (target / "representation.json").exists():
        storage.fetch(storage.join(uri, "representation.json"), target / "representation.json")
    for name in storage.list_files(storage.join(uri, CLIPS)):
        if not (target / CLIPS / name).exists():
            storage.fetch(storage.join(uri, CLIPS, name), target / CLIPS / name)
    parts = storage.join(uri, "parts")
    names = storage.list_files(parts, ".parquet")
    if keys is not None:
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = read_index(uri)
        of_keys = rows.filter(pc.is_in(rows.column("key"), pa.array(list(keys), pa.string())))
        names = [f"{part}.parquet" for part in of_keys.column("part").unique().to_pylist()]
    new = [name for name in names if not (target / "parts" / name).exists()]
    for name in new:
        stem = name.removesuffix(".parquet")
        for file in (f"{stem}.npy", f"{stem}.frames.npy", name):  # a part's own index last, as in the original
            if not (target / "parts" / file).exists():
                storage.fetch(storage.join(parts, file), target / "parts" / file)
    if new and storage.exists(storage.join(uri, INDEX)):
        storage.fetch(storage.join(uri, INDEX), target / INDEX)
