"""Validation of decoded samples, before anything is computed of them."""

from __future__ import annotations

import numpy as np

from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray, Waveform

SILENCE_PEAK = 1e-4  # -80 dBFS: below the noise floor of 14-bit audio
LOUDEST_PEAK = 1e6  # +120 dBFS: far above any mis-scaled integers; the power of much more overflows float32
FULL_SCALE = 0.98  # a clipped plateau rings a little when it is resampled
MOST_CLIPPED = 0.5  # the loudest masters clip a few samples in a hundred; at half of them the music is gone


def check_waveform(waveform: Waveform, min_seconds: float) -> Waveform:
    """Return the waveform if it can be used.

    Raises
    ------
    AudioError
        ``wrong_type`` (not float32 of shape (channels, samples)), ``too_short`` (no samples, or under
        ``min_seconds``), ``not_finite`` (NaN or infinite samples), ``too_loud`` (a sample above +120 dBFS),
        ``silent`` (the peak, any constant offset apart, under -80 dBFS), ``clipped`` (more than half of the samples
        are at full scale).
    """
    samples, (low, high) = waveform.samples, check_samples(waveform, min_seconds)
    loudest = float(max(-low.min(), high.max()))
    swing = float((high - low).max()) / 2
    if swing < SILENCE_PEAK <= loudest:
        offset = (float(high.max()) + float(low.min())) / 2
        raise AudioError("silent", f"the samples are a constant of {offset:.2g} of full scale: there is no sound on it")
    if swing < SILENCE_PEAK:
        raise AudioError("silent", f"the peak is {swing:.1e}, below {SILENCE_PEAK:.0e} of full scale")
    if FULL_SCALE <= loudest <= 2:  # beyond, the samples have another scale
        share = float((np.abs(samples) >= FULL_SCALE).mean())
        if share > MOST_CLIPPED:
            raise AudioError("clipped", f"{share:.0%} of the samples are at full scale: the recording is overdriven")
    return waveform


def check_samples(waveform: Waveform, min_seconds: float) -> tuple[FloatArray, FloatArray]:
    """The checks of :func:`check_waveform` without those for silence and clipping.

    Returns
    -------
    The least and the greatest sample of each channel.

    Raises
    ------
    AudioError
        ``wrong_type``, ``too_short``, ``not_finite``, ``too_loud``, as :func:`check_waveform` has them; ``wrong_rate``
        if the sample rate is not above 0.
    """
    samples = waveform.samples
    if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or samples.ndim != 2:
        array = np.asarray(samples)
        fix = " (samples[None] adds the channel)" if array.ndim == 1 else ""
        raise AudioError("wrong_type", f"{array.dtype} of shape {array.shape}, not float32 (channels, samples){fix}")
    if not waveform.sample_rate > 0:
        raise AudioError("wrong_rate", f"{waveform.sample_rate} Hz: a sample rate is above 0")
    if waveform.duration < min_seconds or samples.size == 0:
        raise AudioError("too_short", f"{waveform.duration:.2f} s of audio, at least {min_seconds:.2f} s are needed")
    low, high = samples.min(axis=-1), samples.max(axis=-1)  # NaN and infinity reach these two
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        bad = int((~np.isfinite(samples)).sum())
        raise AudioError("not_finite", f"{bad} of {samples.size} samples are NaN or infinite")
    loudest = float(max(-low.min(), high.max()))
    if loudest > LOUDEST_PEAK:
        raise AudioError("too_loud", f"a sample is {loudest:.1e} times full scale: these are no audio samples")
    return low, high
