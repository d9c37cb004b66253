"""Sources of encoded bytes: memory, a local file, any fsspec URI."""

from __future__ import annotations

import io
import os
from typing import Any

from tonearm.core.errors import AudioError
from tonearm.core.storage import is_local, local_path

Source = bytes | str | os.PathLike[str]

#: How WAV (also RF64 and W64), AIFF, FLAC, OGG and MP3 behind a tag begin; libsndfile is given nothing else, since an
#: uploaded file may be hostile. MP3 without a tag begins with a frame's eleven set bits.
MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b"fLaC", b"OggS", b"ID3")
HEAD_BYTES = 12


def open_handle(source: Source) -> Any:
    """What libsndfile reads from: a file object, or the descriptor of a local file, which it reads without Python.

    Not the name: it would take one that ends in ``.raw`` for headerless samples.
    """
    if isinstance(source, bytes):
        if not source:
            raise AudioError("empty", "the file has no bytes")
        return io.BytesIO(source)
    uri = os.fspath(source)
    if not is_local(uri):
        import fsspec

        return WatchedFile(fsspec.open(uri, "rb").open())
    path = local_path(uri)
    if path.stat().st_size == 0:  # raises OSError where it is missing, which the caller names
        raise AudioError("empty", f"{path} has no bytes")
    if path.is_dir():
        raise AudioError("undecodable", f"{path} is a folder, no audio file")
    return os.open(path, os.O_RDONLY)


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


def read_head(handle: Any) -> bytes:
    """The first bytes of a file, which is then at its beginning."""
    if isinstance(handle, int):
        return os.pread(handle, HEAD_BYTES, 0)
    head = bytes(handle.read(HEAD_BYTES))
    handle.seek(0)
    return head


def has_known_format(head: bytes) -> bool:
    """Whether a file begins as one that libsndfile may be given."""
    return head.startswith(MAGIC) or (len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0)


def source_name(source: Source) -> str:
    """Name of a source in messages."""
    return f"{len(source)} bytes" if isinstance(source, bytes) else os.fspath(source)
