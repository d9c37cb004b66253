"""Recordings that are several files one behind the other, each with a header of its own: each is decoded by itself."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.blocks import BlockFile
from tonearm.audio.channels import convert_channels
from tonearm.audio.decoders import BLOCK_SAMPLES, DECODE_ERRORS, open_part
from tonearm.audio.formats import Format
from tonearm.audio.sources import raise_read_error, source_name
from tonearm.core.types import FloatArray

MOST_PARTS = 1000  # each is opened once to know its length, some milliseconds


@dataclass(frozen=True)
class _Part:
    """Where a file begins and ends in bytes, what it holds, and its first sample and its samples in the whole."""

    start: int
    end: int
    rate: int
    channels: int
    first: int
    frames: int


def open_joined(
    source: bytes | str, found: Format, places: Sequence[int], size: int, at_most: float = math.inf
) -> JoinedFile | None:
    """The decoder of several files in one, see :class:`JoinedFile`; None if none can be decoded, or for thousands."""
    if len(places) > MOST_PARTS:
        return None
    try:
        return JoinedFile(source, found, places, size, at_most)
    except DECODE_ERRORS:
        return None


class JoinedFile(BlockFile):
    """Files of one format that were joined, read like one with the sample rate and the channels of the first.

    Parameters
    ----------
    source
        Bytes, a path or a URI.
    found
        The format.
    places
        Where each begins, in bytes.
    size
        Where the last one ends.
    at_most
        Seconds after which no more are opened.

    Raises
    ------
    RuntimeError
        If none can be decoded.
    """

    def __init__(
        self, source: bytes | str, found: Format, places: Sequence[int], size: int, at_most: float = math.inf
    ) -> None:
        self._source, self._found = source, found
        self._parts: list[_Part] = []
        self.frames = self.samplerate = self.channels = 0
        for start, end in zip(places, (*places[1:], size), strict=True):
            if self.frames > at_most * self.samplerate > 0:
                break
            self._add(start, end, at_most)
        if not self._parts:
            raise RuntimeError("it holds no samples")
        self.claimed = self._parts[0].frames / self.samplerate
        self.seek(0)

    def __exit__(self, *error: object) -> None:
        """Close the one that is being read."""
        self.go_on(0, iter(()))

    def seek(self, sample: int) -> int:
        """Go to a sample."""
        return self.go_on(sample, self._decoded(sample))

    def _add(self, start: int, end: int, at_most: float) -> None:
        """Take a part, if it can be decoded and be made like the first."""
        try:
            opened, _ = open_part(self._source, self._found, start, end, at_most)
            with closing(opened) as file:
                rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
        except DECODE_ERRORS:
            return
        self.samplerate, self.channels = self.samplerate or rate, self.channels or channels
        if not frames or not (channels == self.channels or self.channels == 1 or (self.channels, channels) == (2, 1)):
            return
        frames = round(frames * self.samplerate / rate)
        self._parts.append(_Part(start, end, rate, channels, self.frames, frames))
        self.frames += frames

    def _decoded(self, first: int) -> Iterator[FloatArray]:
        """Blocks from a sample on; a part that breaks off ends there."""
        index = max(0, bisect_right([part.first for part in self._parts], first) - 1)
        for part in self._parts[index:]:
            skipped = max(0, first - part.first)
            file, handle = open_part(self._source, self._found, part.start, part.end)
            with closing(file):
                with suppress(*DECODE_ERRORS):
                    yield from self._part(file, part, skipped)
                raise_read_error(handle, source_name(self._source))

    def _part(self, file: Any, part: _Part, skipped: int) -> Iterator[FloatArray]:
        """A part from a sample on, as the whole has them."""
        import soxr

        resampler: Any = None
        if part.rate != self.samplerate:
            resampler = soxr.ResampleStream(part.rate, self.samplerate, self.channels, "float32", "HQ")
        first = round(skipped * part.rate / self.samplerate)
        file.seek(first)
        left, unread, ended = part.frames - skipped, int(file.frames) - first, False
        while left > 0 and not ended:
            # No more than there is: libsndfile fails at what is behind the last sample.
            buffer = np.empty((min(BLOCK_SAMPLES, unread), part.channels), dtype=np.float32)
            block = file.read(len(buffer), dtype="float32", always_2d=True, out=buffer) if unread else buffer
            ended, unread = len(block) == 0, unread - len(block)
            if part.channels != self.channels:
                block = convert_channels(block, 1 if self.channels == 1 else 2).T
            if resampler:
                block = resampler.resample_chunk(np.ascontiguousarray(block), last=ended)
                block = block.reshape(len(block), self.channels)
            yield block[:left]
            left -= len(block)
