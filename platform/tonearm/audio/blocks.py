"""A decoder that gives blocks of any length, read like a file, so many samples at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tonearm.core.types import FloatArray


class BlockFile:
    """What has the interface of ``soundfile.SoundFile``, as far as :mod:`tonearm.audio.recording` reads it.

    Attributes
    ----------
    samplerate, channels, frames
        Of what is read; in Hz, and samples a channel.
    source
        The open handle below, which stores read errors of remote files.
    claimed
        Seconds that the container claims, where that can be wrong; else None.
    """

    samplerate: int
    channels: int
    frames: int
    source: object = None
    claimed: float | None = None
    _rest: FloatArray
    _blocks: Iterator[FloatArray]
    _next: int = 0

    def tell(self) -> int:
        """The next sample."""
        return self._next

    def read(self, frames: int, dtype: str, always_2d: bool, out: FloatArray) -> FloatArray:
        """The next samples, float32 of shape (samples, channels); fewer at the end."""
        while len(self._rest) < frames:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = np.concatenate([self._rest, block]) if len(self._rest) else block
        count = min(frames, len(self._rest))
        out[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._next += count
        return out[:count]

    def go_on(self, sample: int, blocks: Iterator[FloatArray]) -> int:
        """Read these blocks from now on, of which the first begins at a sample."""
        self._rest = np.empty((0, self.channels), dtype=np.float32)
        self._blocks, self._next = blocks, sample
        return sample
