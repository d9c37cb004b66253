"""Files and folders elsewhere, with as much of :class:`pathlib.Path` as is used of local ones; and their listing."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from tonearm.core.errors import DatasetError
from tonearm.core.passwords import without_password
from tonearm.core.remote_files import CHAINED, filesystem_of, mark_of, written_at
from tonearm.core.storage import is_local, local_path, read_bytes

NO_LISTING = ("http", "https", "data")  # kinds of URIs that are of single files
S3 = ("s3", "s3a")
CLOCK_OFF = "request time"  # of S3's words on who is 15 minutes off
LOST = (ConnectionError, TimeoutError, EOFError)  # a server that is away, whatever folder it is asked for


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A file or folder elsewhere.

    Attributes
    ----------
    uri
        Without a slash at its end.
    size, written, mark
        What a listing told of a file: bytes, seconds since 1970, and what its store calls its content (an ETag).
        -1, None and "": not known.
    data
        All bytes, where they were fetched.
    """

    uri: str
    size: int = -1
    written: float | None = None
    mark: str = ""
    data: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.uri}/{name}")

    @property
    def name(self) -> str:
        """The last part: of a bucket its name."""
        return self.uri.partition("://")[2].rpartition("/")[2]

    @property
    def stamp(self) -> tuple[int, int, int]:
        """Bytes, time and mark of its content as whole numbers; of what no store tells one that never comes again."""
        if self.mark:
            return self.size, 0, int.from_bytes(self.mark.encode(), "little") % (2**63 - 1)
        at = time.time_ns() if self.written is None else int(self.written * 10**9)
        return self.size, at, at

    def absolute(self) -> RemotePath:
        """Itself: a URI is absolute."""
        return self

    def resolve(self) -> RemotePath:
        """Itself: there are no links."""
        return self

    def read_bytes(self) -> bytes:
        """The whole content."""
        return read_bytes(self.uri) if self.data is None else self.data

    def fetched(self) -> RemotePath:
        """The same file with its bytes.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        try:
            return replace(self, data=self.read_bytes())
        except Exception as error:
            raise DatasetError(f"{self} cannot be read ({reason_of(error)}): give credentials that may") from None


AnyPath = Path | RemotePath


def reason_of(error: Exception) -> str:
    """What a driver says of a failure, in one line without passwords."""
    line = without_password(next(iter(str(error).strip().splitlines()), ""))
    return f"{type(error).__name__}: {line[:200]}"


def any_path(place: str) -> AnyPath:
    """A path on this machine, or elsewhere where it is such a URI."""
    return local_path(place) if is_local(place) else RemotePath(place.rstrip("/"))


def is_remote_folder(uri: str) -> bool:
    """Whether a URI is a folder's; where nobody can tell, it is a file's."""
    if uri.partition("://")[0] in NO_LISTING:
        return False
    try:
        filesystem, path = filesystem_of(uri)
        return bool(filesystem.isdir(path))
    except Exception:  # every driver has errors of its own; what is wrong is told by reading it
        return False


def name_below(uri: str, root: str) -> str:
    """The name of a place relative to a folder elsewhere, however both are spelled; "" if it is not below it."""
    if is_local(uri):
        return ""
    with suppress(Exception):  # nobody can tell
        (own, path), (other, folder) = filesystem_of(uri), filesystem_of(root)
        path, folder = (re.sub("/+", "/", place).strip("/") for place in (path, folder))
        if own == other and path.startswith(above := f"{folder}/" if folder else ""):
            return path.removeprefix(above)
    return ""


class Listing(NamedTuple):
    """What is below a folder elsewhere.

    Attributes
    ----------
    files
        By their names relative to it, in the order of :class:`pathlib.Path`; none if there is no such folder.
    unlisted
        Folders that cannot be listed, relative to it, with the cause.
    """

    files: dict[str, RemotePath]
    unlisted: list[tuple[str, str]]


def list_remote(uri: str) -> Listing:
    """All files below a folder elsewhere, by one listing.

    Raises
    ------
    DatasetError
        If it cannot be listed; with the fix.
    """
    if (plain := without_password(uri)) != uri:
        raise DatasetError(
            f"AUDIO {plain} has a password, which tables, logs and messages would keep: leave it out, and set it where "
            "the storage's driver finds it, such as fsspec's ~/.config/fsspec/*.json"
        )
    if CHAINED.search(uri):
        raise DatasetError(
            f"AUDIO {uri!r} chains storages, in which recordings have no URIs of their own: unpack or copy them to a "
            "folder or s3://BUCKET/MUSIC, and give that"
        )
    kind, _, rest = uri.partition("://")
    if kind in NO_LISTING:
        raise DatasetError(
            f"AUDIO {uri!r} cannot be listed, {kind}:// is of single files: give a folder or s3://BUCKET/MUSIC"
        )
    if not rest.strip("/") and kind != "memory":
        raise DatasetError(
            f"AUDIO {uri!r} names no bucket: give one and the folder in it, such as {kind}://BUCKET/MUSIC"
        )
    try:
        filesystem, path = filesystem_of(uri)
        path = path.rstrip("/")
        filesystem.invalidate_cache()  # an earlier listing would hide what is new
        found, unlisted = _find(filesystem, path)
    except Exception as error:  # every driver has errors of its own
        raise DatasetError(f"AUDIO {uri!r} {_why(kind, error)}") from None
    if path in found:
        raise DatasetError(f"AUDIO {uri!r} is a file: give the folder that holds your recordings")
    files = {}
    for place, entry in found.items():
        name = place.removeprefix(path).removeprefix("/")
        if entry.get("type") == "file" and not name.endswith("/"):  # no folder that a program wrote as an empty object
            size = -1 if entry.get("size") is None else int(entry["size"])
            files[name] = RemotePath(f"{uri.rstrip('/')}/{name}", size, written_at(entry), mark_of(entry))
    filesystem.invalidate_cache()  # some keep a listing, and look for every file that is opened in all of it
    return Listing(
        {name: files[name] for name in sorted(files, key=lambda name: name.split("/"))},
        [(place.removeprefix(path).removeprefix("/"), cause) for place, cause in unlisted],
    )


def _find(filesystem: Any, path: str) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """What the store tells of each file below a folder, by path; and the folders that cannot be listed, with the cause.

    The ``find`` that most drivers inherit leaves such folders out without a word.
    """
    if not _inherits_find(filesystem):
        return filesystem.find(path, detail=True), []
    found, unlisted, pending = dict[str, dict[str, Any]](), list[tuple[str, str]](), [path]
    while pending:
        folder = pending.pop()
        try:
            entries = filesystem.ls(folder, detail=True)
        except Exception as error:  # every driver has errors of its own
            if folder == path and filesystem.isfile(path):
                return {path: {}}, []
            gone = isinstance(error, FileNotFoundError)
            if isinstance(error, LOST) or (folder == path and not gone):
                raise
            unlisted += [] if gone else [(folder, reason_of(error))]
            continue
        for entry in entries:
            place = entry["name"].rstrip("/")
            if entry["type"] == "directory" and place != folder:
                pending.append(place)
            else:
                found[entry["name"]] = entry
    return found, unlisted


def _inherits_find(filesystem: Any) -> bool:
    """Whether a driver lists folder by folder, as fsspec does for those that have no other way."""
    from fsspec.asyn import AsyncFileSystem

    kind, base = type(filesystem), AsyncFileSystem
    return kind._find is base._find if isinstance(filesystem, base) else kind.find is base.find


def is_unlistable(uri: str) -> bool:
    """Whether a folder elsewhere cannot be listed, so that nobody can say if a file is in it."""
    try:
        filesystem, path = filesystem_of(uri)
        if _inherits_find(filesystem):  # any other listing fails as a whole
            filesystem.ls(path.rstrip("/"), detail=True)
    except Exception as error:  # every driver has errors of its own
        return not isinstance(error, FileNotFoundError)
    return False


def _why(kind: str, error: Exception) -> str:
    """The end of a sentence on a folder that cannot be listed, with the fix."""
    from fsspec.registry import known_implementations

    if kind not in known_implementations:
        return f"is of no storage that is known ({kind}://): give a folder or s3://BUCKET/MUSIC"
    if isinstance(error, ImportError):
        return f"needs a driver that is not installed here: {driver_hint(kind)}"
    if isinstance(error, FileNotFoundError):
        return f"cannot be listed, there is no such bucket ({reason_of(error)}): give one that is there"
    return f"cannot be listed ({reason_of(error)}): {remedy(kind, error, 'may list and read it')}"


def driver_hint(kind: str) -> str:
    """How the driver of a kind of storage that fsspec knows is installed."""
    from fsspec.registry import known_implementations

    return "pip install 'tonearm[s3]'" if kind in S3 else known_implementations[kind].get("err", "install it")


def remedy(kind: str, error: Exception, may: str) -> str:
    """What to do where a storage refuses.

    Parameters
    ----------
    may
        What its credentials must permit, as in ``"may list it"``.
    """
    if CLOCK_OFF in str(error):
        return "set this machine's clock"
    key = " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)" if kind in S3 else ""
    return f"give a bucket that is there, and credentials{key} that {may}"
