"""Windows of a stored representation, normalised: what training, evaluation and serving put into a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.audio.windows import window_starts
from tonearm.core.types import FloatArray
from tonearm.features.augment import apply_gain
from tonearm.features.base import Representation
from tonearm.features.normalisation import ClipStatistics, TrainingStatistics, normalise
from tonearm.features.store import StoredClip
from tonearm.training.config import TrialConfig


def scale_window(
    values: FloatArray, stats: ClipStatistics, start: int, feature: Representation, scaling: TrainingStatistics | None,
    gain: float = 0.0,
) -> FloatArray:  # fmt: skip
    """Normalise a window, float32 of shape (planes, freq_bins, frames), the frames of its clip from ``start`` on.

    ``scaling`` is the training split's; ``gain`` in dB is applied before normalisation.
    """
    if gain:
        values = apply_gain(values, gain, feature.unit)
    return normalise(values, stats, feature.normalisation, start, scaling)


def clip_windows(
    clips: Sequence[StoredClip], config: TrialConfig, feature: Representation, scaling: TrainingStatistics | None
) -> FloatArray:
    """The windows that stand for a track in evaluation and in serving: float32 (windows, planes, freq_bins, frames).

    Each of its clips gives ``window.per_track``, evenly spread.
    """
    frames = config.window.frames_of(feature)
    shape = feature.example_spec(frames).shape
    return np.stack(
        [
            scale_window(
                stored.values[..., start : start + frames].astype(np.float32).reshape(shape),
                stored.stats, start, feature, scaling,
            )
            for stored in clips
            for start in window_starts(stored.frames, frames, config.window.per_track)
        ]
    )  # fmt: skip


def window_times(
    clips: Sequence[StoredClip], config: TrialConfig, feature: Representation
) -> list[tuple[float, float]]:  # fmt: skip
    """Where the windows of :func:`clip_windows` begin and end in the recording, seconds; of what sums clips up, where
    these do."""
    if feature.is_whole:
        each = [(clip.start, clip.start + config.clip.seconds) for clip in clips]
        return [times for times in each for _ in range(config.window.per_track)]
    frames, step = config.window.frames_of(feature), feature.hop / feature.sample_rate
    return [
        (clip.start + first * step, clip.start + (first + frames) * step)
        for clip in clips
        for first in window_starts(clip.frames, frames, config.window.per_track)
    ]
