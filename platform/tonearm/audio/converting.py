"""From decoded blocks to one layout: channels mixed, then resampled, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from tonearm.audio.channels import DecodedChannels, convert_channels
from tonearm.core.types import FloatArray

Layout = tuple[int, DecodedChannels]
"""A form of decoded samples: sample rate in Hz, channels."""


class Converter:
    """Converts the blocks of one recording to one layout.

    Parameters
    ----------
    rate
        Of the blocks, Hz.
    sample_rate, channels
        Of the result.
    source_channels
        Of the blocks.
    """

    def __init__(self, rate: int, sample_rate: int, channels: DecodedChannels, source_channels: int) -> None:
        import soxr

        self._channels = channels
        self._parts: list[FloatArray] = []
        self._count = {1: 1, 2: 2, "mid_side": 2}.get(channels, source_channels)
        self._resampler: Any = None
        if rate != sample_rate:
            self._resampler = soxr.ResampleStream(rate, sample_rate, self._count, "float32", "HQ")

    def add(self, block: FloatArray) -> None:
        """Convert a block (samples, source channels), which may be overwritten afterwards."""
        samples = convert_channels(block, self._channels)
        self._parts.append(self._resample(samples, last=False) if self._resampler else samples)

    def finish(self) -> FloatArray:
        """All samples, (channels, samples)."""
        if self._resampler:
            nothing = np.empty((self._count, 0), dtype=np.float32)
            self._parts.append(self._resample(nothing, last=True))
        return np.ascontiguousarray(np.concatenate(self._parts, axis=1))

    def _resample(self, samples: FloatArray, last: bool) -> FloatArray:
        if self._count == 1:  # a flat array goes through soxr without being taken apart
            flat: FloatArray = self._resampler.resample_chunk(samples[0], last=last)
            return flat[None]
        pair: FloatArray = self._resampler.resample_chunk(np.ascontiguousarray(samples.T), last=last)
        return pair.T
