"""Files at any fsspec URI. Written under a temporary name and renamed: a reader sees all of a file or none."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tonearm.core.remote_files import filesystem_of, fresh_info, mark_of, stamp_text, written_at

FILE = "file://"
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.tmp$")  # names of files before they are published
ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs"}  # object stores: what is put is seen whole or not at all


def is_local(uri: str) -> bool:
    """Whether the URI is a path on this machine."""
    return "://" not in uri or uri.startswith(FILE)


def local_path(uri: str) -> Path:
    """The path of a local URI: of ``file:///Song%20%231.mp3``, and of the same with ``#`` and ``?`` as they are."""
    if not uri.startswith(FILE):
        return Path(uri)
    return Path("/" + unquote(uri.removeprefix(FILE).removeprefix("localhost").lstrip("/")))


def escaped(uri: str) -> str:
    """A URI elsewhere as pyarrow and others read it, blanks escaped; a path on this machine as it is."""
    return uri if "://" not in uri else quote(uri, safe=":/@")


def file_uri(uri: str) -> str:
    """The URI of a local path, escaped as others read it; URIs elsewhere stay as they are."""
    return local_path(uri).absolute().as_uri() if is_local(uri) else uri


def join(base: str, *parts: str) -> str:
    """Join path parts to a URI or a path."""
    return "/".join([base.rstrip("/") or "/", *(p.strip("/") for p in parts)])


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    if is_local(uri):
        return local_path(uri).exists()
    filesystem, path = filesystem_of(uri)
    filesystem.invalidate_cache()  # other processes write there, too: an old listing would hide it
    return bool(filesystem.exists(path))


def size(uri: str) -> int:
    """Bytes of a file; -1 if that cannot be found out."""
    try:
        if is_local(uri):
            return local_path(uri).stat().st_size
        filesystem, path = filesystem_of(uri)
        return int(filesystem.size(path))
    except (OSError, ValueError, TypeError, ImportError):  # the last: no driver for such URIs here
        return -1


def stamp_now(uri: str) -> str:
    """Size and modification time of a local file, as text; of one elsewhere its size and its store's mark of it, or the
    time. Empty where its store tells neither; whatever its driver raises where it is not there or does not answer."""
    if is_local(uri):
        status = local_path(uri).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"
    entry = fresh_info(uri)
    return stamp_text(entry.get("size"), mark_of(entry), written_at(entry))


def stamp(uri: str) -> str:
    """As :func:`stamp_now`; empty where that cannot be found out."""
    try:
        return stamp_now(uri)
    except Exception:  # every driver has errors of its own
        return ""


def read_bytes(uri: str) -> bytes:
    """The whole content of a file."""
    if is_local(uri):
        return local_path(uri).read_bytes()
    filesystem, path = filesystem_of(uri)
    data: bytes = filesystem.cat_file(path)
    return data


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file so that no reader ever sees a part of it; folders are made."""
    if not is_local(uri):
        _upload(uri, lambda filesystem, partial: filesystem.pipe_file(partial, data))
        return
    temporary = temporary_file(uri)
    try:
        temporary.write_bytes(data)
        publish(temporary, uri)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_file(uri: str) -> Path:
    """A new path on this machine to write a large file to, which :func:`publish` then puts at ``uri``."""
    if is_local(uri):
        path = local_path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    return Path(tempfile.gettempdir()) / f"tonearm-{uuid.uuid4().hex}.tmp"


def publish(path: Path, uri: str) -> None:
    """Put a finished file from :func:`temporary_file` at its place, whole or not at all; the path is gone then."""
    if is_local(uri):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(local_path(uri))
        return
    _upload(uri, lambda filesystem, partial: filesystem.put_file(str(path), partial))
    path.unlink()


def _upload(uri: str, send: Callable[[Any, str], None]) -> None:
    """Send a file so that no reader ever sees a part of it: to object stores directly, elsewhere under another name,
    which is then changed."""
    filesystem, remote = filesystem_of(uri)
    protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
    if ATOMIC.intersection(protocols):
        send(filesystem, remote)
        return
    filesystem.makedirs(remote.rsplit("/", 1)[0], exist_ok=True)
    partial = f"{remote}.{uuid.uuid4().hex}.tmp"
    send(filesystem, partial)
    filesystem.mv(partial, remote)


def fetch(uri: str, path: Path) -> None:
    """Copy a file to this machine, without holding it in memory; no reader ever sees a part of it."""
    temporary = temporary_file(str(path))
    try:
        if is_local(uri):
            shutil.copyfile(local_path(uri), temporary)
        else:
            filesystem, remote = filesystem_of(uri)
            filesystem.get_file(remote, str(temporary))
        publish(temporary, str(path))
    finally:
        temporary.unlink(missing_ok=True)


def remove(uri: str) -> None:
    """Remove a file; one that is not there is no harm."""
    if is_local(uri):
        local_path(uri).unlink(missing_ok=True)
        return
    filesystem, path = filesystem_of(uri)
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm_file(path)


def list_temporary(uri: str) -> list[tuple[str, int, float | None]]:
    """Files below a folder that a writer began and did not finish, or does not have finished yet.

    Returns
    -------
    As :func:`list_below`.
    """
    return list_below(uri, UNFINISHED)


def list_below(uri: str, named: re.Pattern[str] | None = None) -> list[tuple[str, int, float | None]]:
    """All files below a folder, or those in whose names a pattern is found.

    Returns
    -------
    Of each its URI, its bytes, and how many seconds ago it was written; None where the store does not tell.
    """
    if is_local(uri):
        found: list[tuple[str, int, float | None]] = []
        for path in local_path(uri).rglob("*"):
            with contextlib.suppress(OSError):  # it has just gone
                if (named is None or named.search(path.name)) and path.is_file():
                    status = path.stat()
                    found.append((str(path), status.st_size, _age(status.st_mtime)))
        return found
    filesystem, path_there = filesystem_of(uri)
    filesystem.invalidate_cache()
    if not filesystem.exists(path_there):
        return []
    there = filesystem.find(path_there, detail=True)
    chosen = {name: entry for name, entry in there.items() if named is None or named.search(name)}
    return [(filesystem.unstrip_protocol(name), int(entry.get("size") or 0), _age(written_at(entry)))
            for name, entry in chosen.items()]  # fmt: skip


def _age(written: float | None) -> float | None:
    """Never less than nothing: by a clock that was set back, or another machine's, files are of the future."""
    return None if written is None else max(0.0, time.time() - written)


def remove_stale(uri: str, seconds: float = 86_400.0) -> int:
    """Remove what writers that were killed left of files in a folder more than ``seconds`` ago; returns how many files.

    For a local folder they lie in it; for one elsewhere in this machine's temporary folder, since an upload is seen
    whole or not at all.
    """
    folder, pattern = (local_path(uri), ".*.tmp") if is_local(uri) else (Path(tempfile.gettempdir()), "tonearm-*.tmp")
    removed = 0
    for path in folder.glob(pattern) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # published meanwhile, or removed by another
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
                removed += 1
    return removed


def modified(uri: str) -> float | None:
    """Seconds since 1970 when a file was last written; None if it is not there, or its store does not tell."""
    try:
        if is_local(uri):
            return local_path(uri).stat().st_mtime
        filesystem, path = filesystem_of(uri)
        return written_at(filesystem.info(path))
    except (OSError, ValueError, TypeError, ImportError):  # the last: no driver for such URIs here
        return None


def age(uri: str) -> float | None:
    """Seconds since a file was written; None as of :func:`modified`."""
    return _age(modified(uri))


def age_by_store(uri: str) -> float | None:
    """Seconds since a file was written, by the clock of the store that it is in: a file is written beside it, and
    removed. By this machine's clock where none can be; None as of :func:`modified`."""
    written, beside = modified(uri), f"{uri.rpartition('/')[0]}/.{uuid.uuid4().hex}.tmp"
    try:
        write_bytes(beside, b"")
        now = modified(beside)
        remove(beside)
    except OSError:  # only to be read, or full
        now = None
    return None if written is None else (time.time() if now is None else now) - written


def list_folders(uri: str) -> list[str]:
    """The names (not paths) of the folders in a folder, sorted; an absent folder holds none."""
    if is_local(uri):
        folder = local_path(uri)
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    filesystem, path = filesystem_of(uri)
    filesystem.invalidate_cache()
    if not filesystem.exists(path):
        return []
    found = filesystem.ls(path, detail=True)
    return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in found if e["type"] == "directory")


def list_files(uri: str, suffix: str = "") -> list[str]:
    """The names (not paths) of the complete files in a folder, sorted; an absent folder holds none."""
    if is_local(uri):
        folder = local_path(uri)
        names = [p.name for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    else:
        filesystem, path = filesystem_of(uri)
        filesystem.invalidate_cache()
        names = []
        if filesystem.exists(path):
            names = [e["name"].rsplit("/", 1)[-1] for e in filesystem.ls(path, detail=True) if e["type"] == "file"]
    return sorted(n for n in names if n.endswith(suffix) and not n.endswith(".tmp"))


def read_json(uri: str) -> Any:
    """The value of a JSON file."""
    return json.loads(read_bytes(uri))


def write_json(uri: str, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_bytes(uri, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
