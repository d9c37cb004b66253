"""The one decoder: any recording to float32 samples at one rate; resampling by soxr HQ."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from tonearm.audio.channels import Channels
from tonearm.audio.converting import Layout
from tonearm.audio.formats import AudioInfo
from tonearm.audio.recording import LONGEST_DECODE_SECONDS, SAMPLE_RATES, AudioFile, open_audio
from tonearm.audio.sources import Source
from tonearm.core.errors import ConfigError
from tonearm.core.types import Waveform

__all__ = ["AUDIO_SUFFIXES", "AudioFile", "AudioInfo", "Layout", "decode", "decode_layouts", "describe", "open_audio"]

#: What is decoded, by file name; a folder scan looks for these. The content decides, not the name.
AUDIO_SUFFIXES = (
    ".mp3", ".ogg", ".oga", ".opus", ".flac", ".wav", ".aif", ".aiff", ".m4a", ".aac", ".webm", ".weba",
)  # fmt: skip

logger = logging.getLogger(__name__)


def describe(source: Source, at_most: float = math.inf) -> AudioInfo:
    """How long a recording is, its rate, channels and format; nothing is decoded where its header is right.

    Parameters
    ----------
    source
        As :func:`decode` has it.
    at_most
        Seconds: a longer recording is refused, and what it holds is counted no further, which could take minutes.

    Raises
    ------
    AudioError
        ``empty``, ``missing``, ``undecodable``, ``bad_header``; ``too_long``.
    """
    with open_audio(source, at_most) as file:
        return file.info


def decode(
    source: Source,
    sample_rate: int | None = 22050,
    channels: Channels = 1,
    offset: float = 0.0,
    duration: float | None = None,
) -> Waveform:
    """Decode audio to float32 at one rate.

    Parameters
    ----------
    source
        A path, any fsspec URI, the encoded bytes, or a file opened in binary mode, which is read to its end.
    sample_rate
        Rate of the result in Hz; resampled with soxr HQ where the source has another. None: that of the source.
    channels
        1 (the mean of all), 2, or ``"mid_side"``.
    offset, duration
        Seconds to skip and to keep (None: to the end, at most an hour; what is left out is logged). Only that part is
        held in memory, and only in the requested layout: a file of eight channels at 768 kHz takes no more than its
        mono at 22 050 Hz.

    Returns
    -------
    Waveform
        ``samples`` float32 of shape (channels, samples), as many as the source has, up to ``duration``. Where a header
        claims another length than there is, what is there counts, and that is logged.

    Raises
    ------
    AudioError
        With reason ``empty``, ``missing``, ``undecodable``, ``bad_header`` or ``too_many_channels``.
    ConfigError
        For a source, a rate or a part that cannot be.
    """
    _check_part(sample_rate, offset, duration)
    with open_audio(source) as file:
        layout = (file.info.sample_rate if sample_rate is None else sample_rate, channels)
        return _read(file, [layout], offset, duration)[layout]


def decode_layouts(
    source: Source, layouts: Sequence[Layout], offset: float = 0.0, duration: float | None = None
) -> dict[Layout, Waveform]:
    """Decode audio once and give it in several forms; parameters and errors are those of :func:`decode`."""
    for rate, _ in layouts:
        _check_part(rate, offset, duration)
    with open_audio(source) as file:
        return _read(file, layouts, offset, duration)


def _read(file: AudioFile, layouts: Sequence[Layout], offset: float, duration: float | None) -> dict[Layout, Waveform]:
    found = file.read(layouts, offset, duration)
    if file.note:
        logger.warning("%s %s", file.name, file.note)
    kept, there = LONGEST_DECODE_SECONDS, min(math.inf if duration is None else duration, file.info.duration - offset)
    if there > kept:
        logger.warning(
            "%s: %.0f s were asked for, the first %.0f s are decoded, the most at once: read the rest by offset and "
            "duration", file.name, there, kept,
        )  # fmt: skip
    return found


def _check_part(sample_rate: int | None, offset: float, duration: float | None) -> None:
    if not (0 <= offset < math.inf) or not (duration is None or duration > 0):
        raise ConfigError(f"offset {offset} s and duration {duration} s must be at least 0 and above 0")
    low, high = SAMPLE_RATES
    if sample_rate is not None and not (hasattr(sample_rate, "__index__") and low <= sample_rate <= high):
        raise ConfigError(
            f"sample_rate is {sample_rate!r}: give whole Hz within {low} and {high}, or None for that of the source"
        )
