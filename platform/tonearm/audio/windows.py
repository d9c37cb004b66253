"""Which part of a recording is used: one clip of a track, and windows of that clip."""

from __future__ import annotations

import math
from typing import Literal

from tonearm.audio.channels import Channels
from tonearm.audio.checks import check_waveform
from tonearm.audio.decode import Source, decode, describe
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.types import Waveform


class ClipConfig(Config):
    """The part of a track that stands for it.

    Attributes
    ----------
    seconds
        Length of the clip; shorter tracks are used whole.
    position
        Where a longer track is cut: ``"start"``, or ``"middle"``, which skips fade-ins and spoken openings.
    """

    seconds: float = 30.0
    position: Literal["start", "middle"] = "middle"

    def problems(self) -> list[str]:
        if 0 < self.seconds < math.inf:
            return []
        return [f"clip.seconds is {self.seconds}: a clip needs a positive, finite length"]


def load_clip(
    source: Source,
    clip: ClipConfig,
    sample_rate: int = 22050,
    channels: Channels = 1,
    min_seconds: float = 1.0,
) -> Waveform:
    """Decode the clip of a track and pass it through the gate; extraction and serving both come this way.

    Raises
    ------
    AudioError
        Whatever :func:`tonearm.audio.decode.decode` and :func:`tonearm.audio.checks.check_waveform` find.
    """
    offset = 0.0
    if clip.position == "middle":
        offset = max(0.0, (describe(source).duration - clip.seconds) / 2)
    return check_waveform(decode(source, sample_rate, channels, offset, clip.seconds), min_seconds)


def window_starts(frames: int, window: int, count: int) -> list[int]:
    """First frames of ``count`` windows spread evenly over a clip, from its first frame to its last.

    Parameters
    ----------
    frames
        Frames there are.
    window
        Frames a window.
    count
        Windows wanted, at least 1; a single one is taken from the middle.

    Raises
    ------
    ConfigError
        If the window is longer than the clip.
    """
    room = frames - window
    if room < 0 or count < 1:
        raise ConfigError(
            f"{count} windows of {window} frames cannot be taken from {frames} frames: shorten the window"
        )
    if count == 1:
        return [room // 2]
    return [round(i * room / (count - 1)) for i in range(count)]
