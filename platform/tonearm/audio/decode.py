"""The one decoder: libsndfile (MP3, OGG Vorbis, Opus, FLAC, WAV, AIFF), FFmpeg (M4A, AAC); resampling by soxr HQ."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tonearm.audio.aac import AacFile, demuxer_for
from tonearm.audio.channels import Channels, convert_channels
from tonearm.audio.sources import Source, has_known_format, open_handle, raise_read_error, read_head, source_name
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray, Waveform

#: What is decoded, by file name; a folder scan looks for these. The content decides, not the name.
AUDIO_SUFFIXES = (".mp3", ".ogg", ".oga", ".opus", ".flac", ".wav", ".aif", ".aiff", ".m4a", ".aac")
MAX_CHANNELS = 8
LONGEST_TRUSTED_SECONDS = 12 * 3600.0  # the length of a longer file is counted by decoding it
SAMPLE_RATES = (1_000, 768_000)  # Hz; a header with another rate is invalid
LONGEST_DECODE_SECONDS = 3600.0  # the most that is held in memory at once
BLOCK_SAMPLES = 2**15  # a channel: 256 KiB of stereo stay in the cache while they are mixed and resampled


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
    with open_audio(source) as file:
        return file.info


Layout = tuple[int, Channels]
"""A form of decoded samples: sample rate in Hz, channels."""


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
        Rate of the result in Hz; resampled with soxr HQ where the source has another.
    channels
        1 (the mean of all), 2, or ``"mid_side"``.
    offset, duration
        Seconds to skip and to keep (None: to the end, at most an hour). Only that part is held in memory, and only
        in the requested layout: a file of eight channels at 768 kHz takes no more than its mono at 22 050 Hz.

    Returns
    -------
    Waveform
        ``samples`` float32 of shape (channels, samples), as many as the source has, up to ``duration``.

    Raises
    ------
    AudioError
        With reason ``empty``, ``missing``, ``undecodable``, ``bad_header`` or ``too_many_channels``.
    """
    layout = (sample_rate, channels)
    return decode_layouts(source, [layout], offset, duration)[layout]


def decode_layouts(
    source: Source, layouts: Sequence[Layout], offset: float = 0.0, duration: float | None = None
) -> dict[Layout, Waveform]:
    """Decode audio once and give it in several forms; parameters and errors are those of :func:`decode`."""
    if not (0 <= offset < math.inf) or not (duration is None or duration > 0):
        raise ConfigError(f"offset {offset} s and duration {duration} s must be at least 0 and above 0")
    with open_audio(source) as file:
        return file.read(layouts, offset, duration)


class AudioFile:
    """An open recording, of which several parts can be read. Made by :func:`open_audio`.

    Attributes
    ----------
    info
        What the header says.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._name = source, source_name(source)
        self._file, self._handle = _decoder(source)
        rate, channels = self._file.samplerate, self._file.channels
        if not (SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1] and 1 <= channels <= MAX_CHANNELS):
            self.close()
            raise AudioError(
                "bad_header",
                f"{self._name} states {rate} Hz and {channels} channels: expected "
                f"{SAMPLE_RATES[0]}-{SAMPLE_RATES[1]} Hz and at most {MAX_CHANNELS} channels",
            )
        self._frames = self._file.frames
        if self._frames > LONGEST_TRUSTED_SECONDS * rate:  # a stream of unknown length, or a wrong header
            self._frames = self._count()
        self.info = AudioInfo(self._frames / rate, rate, channels, self._file.format)

    def close(self) -> None:
        """Close the file."""
        self._file.__exit__()

    def _reopen(self) -> None:
        self.close()
        self._file, self._handle = _decoder(self._source)

    def _count(self) -> int:
        """Samples that there really are, by decoding them."""
        import soundfile

        count, buffer = 0, np.empty((BLOCK_SAMPLES, self._file.channels), dtype=np.float32)
        try:
            while read := len(self._file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True, out=buffer)):
                count += read
        except (soundfile.SoundFileError, RuntimeError) as error:
            if not count:
                raise AudioError("undecodable", f"{self._name}: decoding failed at once: {error}") from None
        self._reopen()
        return count

    def read(
        self, layouts: Sequence[Layout], offset: float = 0.0, duration: float | None = None
    ) -> dict[Layout, Waveform]:
        """A part of the recording, as :func:`decode` gives it, in each layout.

        It is read block by block, and each block is converted before the next one is read.
        """
        rate = self.info.sample_rate
        seconds = min(LONGEST_DECODE_SECONDS, LONGEST_DECODE_SECONDS if duration is None else duration)
        converters = {layout: _Converter(rate, *layout) for layout in dict.fromkeys(layouts)}
        for block in self._blocks(round(offset * rate), round(seconds * rate), offset):
            for converter in converters.values():
                converter.add(block)
        return {layout: Waveform(c.finish(), layout[0]) for layout, c in converters.items()}

    def _blocks(self, start: int, count: int, offset: float) -> Iterator[FloatArray]:
        import soundfile

        # The header's length is an upper bound only: what is decoded counts.
        left = min(count, max(0, self._frames - start))
        try:
            if left and self._file.tell() != start:
                if self._file.tell() and self.info.format == "OGG":
                    # libsndfile 1.2 seeks to a wrong sample in Vorbis that was read before.
                    self._reopen()
                self._file.seek(start)
            buffer = np.empty((min(BLOCK_SAMPLES, left), self.info.channels), dtype=np.float32)
            nothing = True
            while left > 0:
                block = self._file.read(min(BLOCK_SAMPLES, left), dtype="float32", always_2d=True, out=buffer[:left])
                raise_read_error(self._handle, self._name)
                if len(block) == 0:
                    break
                nothing = False
                left -= len(block)
                yield block
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise_read_error(self._handle, self._name)
            raise AudioError("undecodable", f"{self._name}: decoding failed after the header: {error}") from None
        if nothing:
            raise AudioError("empty", f"{self._name} holds no samples after {offset:g} s")


class _Converter:
    """Converts the blocks of one recording to one layout."""

    def __init__(self, rate: int, sample_rate: int, channels: Channels) -> None:
        import soxr

        self._channels = channels
        self._parts: list[FloatArray] = []
        self._resampler: Any = None
        if rate != sample_rate:
            self._resampler = soxr.ResampleStream(rate, sample_rate, 1 if channels == 1 else 2, "float32", "HQ")

    def add(self, block: FloatArray) -> None:
        """Convert a block (samples, source channels), which may be overwritten afterwards."""
        samples = convert_channels(block, self._channels)
        self._parts.append(self._resample(samples, last=False) if self._resampler else samples)

    def finish(self) -> FloatArray:
        """All samples, (channels, samples)."""
        if self._resampler:
            nothing = np.empty((1 if self._channels == 1 else 2, 0), dtype=np.float32)
            self._parts.append(self._resample(nothing, last=True))
        return np.ascontiguousarray(np.concatenate(self._parts, axis=1))

    def _resample(self, samples: FloatArray, last: bool) -> FloatArray:
        if self._channels == 1:  # a flat array goes through soxr without being taken apart
            flat: FloatArray = self._resampler.resample_chunk(samples[0], last=last)
            return flat[None]
        pair: FloatArray = self._resampler.resample_chunk(np.ascontiguousarray(samples.T), last=last)
        return pair.T


@contextmanager
def open_audio(source: Source) -> Iterator[AudioFile]:
    """Open a recording; errors as :func:`describe` has them."""
    file = AudioFile(source)
    try:
        yield file
    finally:
        file.close()


def _decoder(source: Source) -> tuple[Any, Any]:
    """libsndfile's decoder, or FFmpeg's for what that does not read; and what it reads from."""
    import soundfile

    handle: Any = None
    try:
        handle = open_handle(source)
        head = read_head(handle)
        demuxer = demuxer_for(head)
        if demuxer:
            return AacFile(os.fdopen(handle, "rb") if isinstance(handle, int) else handle, demuxer), handle
        if not has_known_format(head):
            if isinstance(handle, int):
                os.close(handle)
            raise RuntimeError(f"it begins as none of the known formats: {head[:4]!r}")
        return _sequential()(handle, closefd=True), handle
    except OSError as error:
        raise AudioError("missing", f"{source_name(source)} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # an unknown protocol, a name with a zero byte
        raise AudioError("missing", f"{source_name(source)!r} cannot be opened: {error}") from None
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise_read_error(handle, source_name(source))
        if "SF_INFO" in str(error):  # libsndfile's words for a header without a rate or without channels
            raise AudioError(
                "bad_header", f"{source_name(source)} states a rate or a number of channels of 0"
            ) from None
        raise AudioError(
            "undecodable", f"{source_name(source)} is no audio that can be read: {_reason(error)}"
        ) from None


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


def _reason(error: Exception) -> str:
    """libsndfile's own words, without the handle that soundfile puts before them."""
    return str(getattr(error, "error_string", error))
