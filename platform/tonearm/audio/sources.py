"""Sources of encoded bytes: memory, an open file, a path, any fsspec URI."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.remote_files import HEAD_BYTES, open_remote
from tonearm.core.storage import is_local, local_path

Source = bytes | bytearray | memoryview | BinaryIO | str | os.PathLike[str]


def as_source(source: Any) -> bytes | str:
    """A source as what can be opened several times: its bytes, its path or its URI.

    Raises
    ------
    ConfigError
        For what is no source.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if hasattr(source, "read"):
        data = source.read()
        if isinstance(data, bytes):
            return data
    raise ConfigError(
        f"{type(source).__name__} is no recording: pass a path, a URI, encoded bytes or a file opened in binary mode"
    )


def open_handle(source: bytes | str) -> Any:
    """What libsndfile reads from: a file object, or the descriptor of a local file, which it reads without Python.

    Not the name: it would take one that ends in ``.raw`` for headerless samples.
    """
    if isinstance(source, bytes):
        if not source:
            raise AudioError("empty", "the file has no bytes")
        return io.BytesIO(source)
    if not is_local(source):
        return WatchedFile(open_remote(source))
    path = local_path(source)
    if source.startswith("~/") and not path.exists():
        path = Path(source).expanduser()
    if path.stat().st_size == 0:  # raises OSError where it is missing, which the caller names
        raise AudioError("empty", f"{path} has no bytes")
    if path.is_dir():
        raise AudioError("undecodable", f"{path} is a folder, no audio file")
    return os.open(path, os.O_RDONLY)


@contextmanager
def open_named(uri: str, data: bytes | None = None) -> Iterator[Any]:
    """A file that has a name, by whose end readers of tags tell what it may be; None if it is not there.

    One elsewhere is fetched by small blocks, as far as it is read.

    Parameters
    ----------
    data
        All its bytes, where they were read before.

    Raises
    ------
    OSError
        Of a file elsewhere, when the block ends, if it could not be read in it.
    """
    file: Any = None
    if data is not None:
        file = NamedFile(io.BytesIO(data), uri)
    elif is_local(uri):
        with suppress(OSError):
            file = open(local_path(uri).__fspath__(), "rb")  # noqa: PTH123, SIM115  its name is to be a text
    else:
        with suppress(FileNotFoundError):
            file = NamedFile(open_remote(uri, HEAD_BYTES), uri)
    if file is None:
        yield None
        return
    try:
        yield file
    finally:
        file.close()
    if isinstance(file, NamedFile) and file.error is not None:
        raise file.error


class WatchedFile:
    """A remote file that stores its first error: libsndfile would take a broken connection for the file's end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        return bytes(self._remember(self._file.read, size))

    def readinto(self, buffer: Any) -> int:
        return int(self._remember(self._file.readinto, buffer))

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self._remember(self._file.seek, place, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()

    def _remember(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            self.error = self.error or error
            raise


class NamedFile(WatchedFile):
    """One with a name; a place before its beginning is the same error as of a local file, and none that is stored."""

    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file)
        self.name = name

    def seek(self, place: int, whence: int = 0) -> int:
        if whence and self._base(whence) + place < 0:  # of bytes in memory Python would take their beginning
            raise OSError(errno.EINVAL, f"{place} bytes from there are before the beginning")
        try:
            return int(self._file.seek(place, whence))
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None

    def _base(self, whence: int) -> int:
        """The place that another one is given from: the current one, or the end."""
        at = int(self._file.tell())
        end = int(self._file.seek(0, whence))
        self._file.seek(at)
        return end


class FileView:
    """A part of a file, some of its bytes replaced: what a decoder is given instead of a file that is wrong.

    Parameters
    ----------
    handle
        From :func:`open_handle`; closed with the view.
    start, end
        Where the view begins and ends; None: with the file.
    patches
        Bytes to put over those of the file, by place in it.

    Attributes
    ----------
    source
        The handle.
    """

    def __init__(
        self, handle: Any, start: int = 0, patches: dict[int, bytes] | None = None, end: int | None = None
    ) -> None:
        self.source = handle
        self._file = os.fdopen(handle, "rb", buffering=0) if isinstance(handle, int) else handle
        self._start, self._end, self._patches = start, end, patches or {}
        self._file.seek(start)

    def read(self, size: int = -1) -> bytes:
        place = self._file.tell()
        if self._end is not None:
            left = max(0, self._end - place)
            size = left if size < 0 else min(size, left)
        data = self._file.read(size)
        for at, patch in self._patches.items():
            first, last = max(at, place), min(at + len(patch), place + len(data))
            if first < last:
                data = data[: first - place] + patch[first - at : last - at] + data[last - place :]
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, place: int, whence: int = 0) -> int:
        if whence == 2 and self._end is not None:
            place, whence = place + self._end - self._start, 0
        return int(self._file.seek(place + (self._start if whence == 0 else 0), whence)) - self._start

    def tell(self) -> int:
        return int(self._file.tell()) - self._start

    @property
    def size(self) -> int:
        """Bytes of the view."""
        if self._end is not None:
            return self._end - self._start
        place = self._file.tell()
        size = int(self._file.seek(0, 2)) - self._start
        self._file.seek(place)
        return size

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()


class HeadReader:
    """Reads bytes of an open handle at any place, which leaves it at its beginning."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def size(self) -> int:
        """Bytes of the file."""
        if isinstance(self._handle, int):
            return os.fstat(self._handle).st_size
        size = int(self._handle.seek(0, 2))
        self._handle.seek(0)
        return size

    def __call__(self, place: int, count: int) -> bytes:
        if isinstance(self._handle, int):
            return os.pread(self._handle, count, place)
        self._handle.seek(place)
        data = bytes(self._handle.read(count))
        self._handle.seek(0)
        return data


def close_handle(handle: Any) -> None:
    """Close what :func:`open_handle` opened."""
    if isinstance(handle, int):
        os.close(handle)
    else:
        handle.close()


def raise_read_error(handle: Any, name: str) -> None:
    """Raise the read error that a remote file stored, if any.

    Raises
    ------
    AudioError
        ``missing``.
    """
    error = getattr(handle, "error", None)
    if error is not None:
        raise AudioError("missing", f"{name} could not be read to its end: {type(error).__name__}: {error}") from None


def source_name(source: bytes | str) -> str:
    """Name of a source in messages."""
    return f"{len(source)} bytes" if isinstance(source, bytes) else source
