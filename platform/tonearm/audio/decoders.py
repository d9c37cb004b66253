"""Opening the two decoders, libsndfile's and FFmpeg's, and what it means when that fails."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from tonearm.audio.ffmpeg import FFmpegFile
from tonearm.audio.formats import Format
from tonearm.audio.sources import FileView, open_handle, raise_read_error, source_name
from tonearm.core.errors import AudioError

BLOCK_SAMPLES = 2**15  # a channel: 256 KiB of stereo stay in the cache while they are mixed and resampled
MOST_RATE = 2 * 192_000  # samples a second of all channels; with more, a recording counts as so much longer
UNREAD_BYTES = 2**17  # behind the last sample: more music, or a tag
#: soundfile's are runtime errors, too, but for one of them.
DECODE_ERRORS = (RuntimeError, OSError, ValueError, EOFError)
#: Raised whenever files are read that were refused before, or differently: what was set aside is then tried again.
DECODER_VERSION = 4


def open_by_libsndfile(source: bytes | str, patches: Mapping[int, bytes], handle: Any = None) -> tuple[Any, Any]:
    """libsndfile's decoder, and what it reads from.

    Parameters
    ----------
    patches
        Bytes to put over those of the file, by place.
    handle
        Of the source, if it is open already.

    Raises
    ------
    AudioError
        ``missing``, ``undecodable``, ``bad_header``.
    """
    try:
        handle = open_handle(source) if handle is None else handle
        return _sequential()(FileView(handle, 0, dict(patches)) if patches else handle, closefd=True), handle
    except Exception as error:
        raise refusal(error, source_name(source), handle) from None


def open_by_ffmpeg(source: bytes | str, found: Format, handle: Any = None, at_most: float = math.inf) -> FFmpegFile:
    """FFmpeg's decoder, which counts so many seconds.

    Raises
    ------
    RuntimeError
        If it hears nothing in the file.
    AudioError
        ``missing``.
    """
    try:
        handle = open_handle(source) if handle is None else handle
        file = FFmpegFile(FileView(handle, found.start), found.demuxer, found.name, at_most)
    except (OSError, RuntimeError, ValueError) as error:
        raise_read_error(handle, source_name(source))
        raise RuntimeError(reason_of(error)) from None
    if not file.frames:
        file.__exit__()
        raise RuntimeError("it holds no samples")
    return file


def open_part(source: bytes | str, found: Format, start: int, end: int, at_most: float = math.inf) -> tuple[Any, Any]:
    """The decoder of a file within a file, and what it reads from: of one that is whole libsndfile's, else FFmpeg's.

    Raises
    ------
    DECODE_ERRORS
        If neither reads it.
    """
    if found.by_libsndfile:
        view = FileView(open_handle(source), start, end=end)
        try:
            file = _sequential()(view, closefd=True)
        except DECODE_ERRORS:
            file = None
        if file is not None and has_its_end(file):
            return file, view.source
    other = FFmpegFile(FileView(open_handle(source), start, end=end), found.demuxer, found.name, at_most)
    return other, other.source


def has_its_end(file: Any, handle: Any = None, size: int = 0) -> bool:
    """Whether the last sample that a file of libsndfile claims is there; it stands at its beginning afterwards.

    Parameters
    ----------
    handle, size
        What it reads from, and the bytes of that: then there must not be much behind the sample, either.
    """
    try:
        file.seek(file.frames - 1)
        there = len(file.read(1, dtype="float32", always_2d=True))
        place = os.lseek(handle, 0, os.SEEK_CUR) if isinstance(handle, int) else handle.tell() if handle else size
        file.seek(0)
    except DECODE_ERRORS:
        return False
    return there == 1 and size - place <= UNREAD_BYTES


def count_samples(file: Any, most: int) -> int:
    """Samples that there are, by decoding them, up to so many; it stands behind them afterwards.

    Raises
    ------
    DECODE_ERRORS
        If not even the first can be decoded.
    """
    count, buffer = 0, np.empty((BLOCK_SAMPLES, file.channels), dtype=np.float32)
    try:
        while count < most:
            out = buffer[: min(BLOCK_SAMPLES, most - count)]
            read = len(file.read(len(out), dtype="float32", always_2d=True, out=out))
            if not read:
                break
            count += read
    except DECODE_ERRORS:
        if not count:
            raise
    return count


def require_at_most(at_most: float, seconds: float, name: str, samples_a_second: int = 0) -> None:
    """Check that a recording has at most so many seconds, and of samples no more than 384 000 Hz would have.

    Raises
    ------
    AudioError
        ``too_long``.
    """
    if seconds * max(1, samples_a_second / MOST_RATE) > at_most:
        rate = f" of {MOST_RATE:,} samples a second" if samples_a_second > MOST_RATE else ""
        raise AudioError(
            "too_long", f"{name}: at most {at_most:g} s{rate} are accepted, it is longer: send a part of it"
        )


def refusal(error: Exception, name: str, handle: Any) -> AudioError:
    """What a failure to open a file means."""
    if isinstance(error, AudioError):
        return error
    if isinstance(error, OSError) and not getattr(handle, "error", None):
        return AudioError("missing", f"{name} cannot be read: {error.strerror or error}")
    raise_read_error(handle, name)
    if isinstance(error, ValueError):  # an unknown protocol, a name with a zero byte
        return AudioError("missing", f"{name!r} cannot be opened: {error}")
    import soundfile

    if not isinstance(error, (soundfile.SoundFileError, RuntimeError, TypeError)):
        raise error  # a fault of ours
    if "regular file" in str(error):  # its words for an MP3 that ends within its first frames
        return AudioError("undecodable", f"{name} holds no music that can be decoded: it ends within its first frames")
    if "SF_INFO" in str(error):  # libsndfile's words for a header without a rate or without channels
        return AudioError("bad_header", f"{name} states a rate or a number of channels of 0")
    return AudioError("undecodable", f"{name} is no audio that can be read: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """libsndfile's own words, without the handle that soundfile puts before them."""
    return str(getattr(error, "error_string", error))


@lru_cache(maxsize=1)
def _sequential() -> Any:
    """soundfile's class without the seek that it makes after every read.

    That seek costs MP3 a frame or two each time, and makes the last block of Opus wrong if it is short.
    """
    import soundfile

    class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return SequentialFile
