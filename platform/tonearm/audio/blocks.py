"""A decoder that gives blocks of any length, read like a file, so many samples at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from tonearm.core.types import FloatArray

BLOCK_SAMPLES = 2**15
MOST_KEPT = 2**24  # samples of all channels, 64 MiB: minutes of stereo


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
    remembers: bool = False  #: whether what was read a moment ago is kept, for those that cannot be sought
    _rest: FloatArray
    _blocks: Iterator[FloatArray]
    _kept: deque[FloatArray]
    _kept_samples: int = 0
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
        if self.remembers:
            self._kept.append(out[:count].copy())
            self._kept_samples += count
            while (self._kept_samples - len(self._kept[0])) * self.channels > MOST_KEPT:
                self._kept_samples -= len(self._kept.popleft())
        return out[:count]

    def go_near(self, sample: int) -> bool:
        """Go to a sample that lies ahead, or was read a moment ago: overlapping clips are decoded once.

        Returns
        -------
        Whether it is one of those; if not, nothing is changed.
        """
        back = self._next - sample
        if back > self._kept_samples:
            return False
        if back > 0:
            kept = np.concatenate(self._kept)
            self._rest = np.concatenate([kept[-back:], self._rest])
            self._kept, self._kept_samples = deque([kept[:-back]]), len(kept) - back
        else:
            buffer = np.empty((min(BLOCK_SAMPLES, -back), self.channels), dtype=np.float32)
            while self._next < sample:
                part = buffer[: sample - self._next]
                if not len(self.read(len(part), "float32", True, part)):
                    break
        self._next = sample
        return True

    def go_on(self, sample: int, blocks: Iterator[FloatArray]) -> int:
        """Read these blocks from now on, of which the first begins at a sample."""
        self._rest = np.empty((0, self.channels), dtype=np.float32)
        self._blocks, self._next = blocks, sample
        self._kept, self._kept_samples = deque(), 0
        return sample
