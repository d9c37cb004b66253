"""The one decoder: libsndfile (MP3, OGG Vorbis, Opus, FLAC, WAV, AIFF) and soxr's HQ resampling."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.channels import Channels, convert_channels
from tonearm.core.errors import AudioError
from tonearm.core.storage import is_local, local_path
from tonearm.core.types import Waveform

Source = bytes | str | os.PathLike[str]

#: What libsndfile decodes, by file name; a folder scan looks for these. The content decides, not the name.
AUDIO_SUFFIXES = (".mp3", ".ogg", ".oga", ".opus", ".flac", ".wav", ".aif", ".aiff", ".m4a", ".aac")
MAX_CHANNELS = 8
SAMPLE_RATES = (1_000, 768_000)  # Hz; outside it a header lies
LONGEST_DECODE_SECONDS = 3600.0  # the most that is held in memory at once


@dataclass(frozen=True)
class AudioInfo:
    """What the header says: length in seconds, sample rate in Hz, channels, container format."""

    duration: float
    sample_rate: int
    channels: int
    format: str


def describe(source: Source) -> AudioInfo:
    """Read the header only.

    Raises
    ------
    AudioError
        ``empty``, ``missing``, ``undecodable``, ``bad_header``.
    """
    with _open(source) as file:
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, file.format)


def decode(
    source: Source,
    sample_rate: int = 22050,
    channels: Channels = 1,
    offset: float = 0.0,
    duration: float | None = None,
) -> Waveform:
    """Decode audio to float32 at one rate.

    Parameters
    ----------
    source
        The encoded bytes, a path or any fsspec URI.
    sample_rate
        Wanted rate in Hz; resampled with soxr HQ where the source has another.
    channels
        1 (the mean of all), 2, or ``"mid_side"``.
    offset, duration
        Seconds to skip and to keep (None: to the end, at most an hour). Only that part is held in memory.

    Returns
    -------
    Waveform
        ``samples`` float32 of shape (channels, samples), as many as the source has, up to ``duration``.

    Raises
    ------
    AudioError
        With reason ``empty``, ``missing``, ``undecodable``, ``bad_header`` or ``too_many_channels``.
    """
    import soundfile
    import soxr

    with _open(source) as file:
        rate = file.samplerate
        start = round(offset * rate)
        count = round(min(LONGEST_DECODE_SECONDS, LONGEST_DECODE_SECONDS if duration is None else duration) * rate)
        try:
            if start:
                file.seek(min(start, file.frames))
            samples = file.read(min(count, max(0, file.frames - start)), dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("undecodable", f"{_name(source)}: decoding failed after the header: {error}") from None
    if samples.shape[0] == 0:
        raise AudioError("empty", f"{_name(source)} holds no samples after {offset:g} s")
    out = convert_channels(samples, channels)
    if rate != sample_rate:
        out = np.stack([soxr.resample(channel, rate, sample_rate, quality="HQ") for channel in out])
    return Waveform(np.ascontiguousarray(out, dtype=np.float32), sample_rate)


@contextmanager
def _open(source: Source) -> Iterator[Any]:
    import soundfile

    handle: Any = None
    try:
        handle = _handle(source)
        file = soundfile.SoundFile(handle)
    except OSError as error:
        raise AudioError("missing", f"{_name(source)} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # an unknown protocol, a name with a zero byte
        raise AudioError("missing", f"{_name(source)!r} cannot be opened: {error}") from None
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise AudioError("undecodable", f"{_name(source)} is no audio libsndfile reads: {_reason(error)}") from None
    with file:
        if not (SAMPLE_RATES[0] <= file.samplerate <= SAMPLE_RATES[1] and 1 <= file.channels <= MAX_CHANNELS):
            raise AudioError(
                "bad_header",
                f"{_name(source)} claims {file.samplerate} Hz and {file.channels} channels: expected "
                f"{SAMPLE_RATES[0]}-{SAMPLE_RATES[1]} Hz and at most {MAX_CHANNELS} channels",
            )
        yield file


class _Nameless(io.BufferedReader):
    """A file whose name soundfile does not see: it would take one that ends in ``.raw`` for headerless samples."""

    @property
    def name(self) -> str:
        return ""


def _handle(source: Source) -> Any:
    if isinstance(source, bytes):
        if not source:
            raise AudioError("empty", "the file has no bytes")
        return io.BytesIO(source)
    uri = os.fspath(source)
    if not is_local(uri):
        import fsspec

        return fsspec.open(uri, "rb").open()
    path = local_path(uri)
    if path.stat().st_size == 0:  # raises OSError where it is missing, which the caller names
        raise AudioError("empty", f"{path} has no bytes")
    if path.is_dir():
        raise AudioError("undecodable", f"{path} is a folder, no audio file")
    return _Nameless(io.FileIO(path))


def _reason(error: Exception) -> str:
    """libsndfile's own words, without the handle that soundfile puts before them."""
    return str(getattr(error, "error_string", error))


def _name(source: Source) -> str:
    return f"{len(source)} bytes" if isinstance(source, bytes) else os.fspath(source)
