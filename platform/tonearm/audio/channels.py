"""Conversion of channels: mono, stereo, mid and side."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray

Channels = Literal[1, 2, "mid_side"]
DecodedChannels = Channels | Literal["all"]
"""What decoding may give: ``"all"`` are the source's own channels, which measurements take and networks do not."""


def convert_channels(samples: FloatArray, channels: DecodedChannels) -> FloatArray:
    """Convert decoded samples to the given channels.

    Parameters
    ----------
    samples
        float32 of shape (samples, source channels), as decoders interleave them.
    channels
        1: the mean of all channels. 2: left and right (mono is doubled). ``"mid_side"``: (L+R)/2 and (L-R)/2.
        ``"all"``: as they are.

    Returns
    -------
    float32 of shape (1 or 2, samples), or (source channels, samples) for "all"; C-contiguous, a copy.

    Raises
    ------
    AudioError
        ``too_many_channels`` if two channels are requested of a source with more.
    """
    if channels not in (1, 2, "mid_side", "all"):
        raise ConfigError(f"channels is {channels!r}: choose 1, 2 or 'mid_side'")
    count = samples.shape[1]
    if channels == "all":
        return np.array(samples.T, order="C")
    if channels == 1:
        # numpy's mean over a short last axis is thirty times slower than adding the columns.
        if count == 1:
            return samples.T.copy()
        mono: FloatArray = samples[:, 0] + samples[:, 1]
        for i in range(2, count):
            mono += samples[:, i]
        mono /= np.float32(count)
        return mono[None]
    if count > 2:
        raise AudioError("too_many_channels", f"{count} channels cannot be made into {channels!r}: give mono or stereo")
    left, right = samples[:, 0], samples[:, -1]
    if channels == 2:
        return np.ascontiguousarray(np.stack([left, right]))
    return np.ascontiguousarray(np.stack([(left + right) / 2, (left - right) / 2]).astype(np.float32))
