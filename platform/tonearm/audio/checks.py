"""The one gate that samples pass before anything is computed of them."""

from __future__ import annotations

import numpy as np

from tonearm.core.errors import AudioError
from tonearm.core.types import Waveform

SILENCE_PEAK = 1e-4  # -80 dBFS: below the noise floor of 14-bit audio
LOUDEST_PEAK = 1e6  # +120 dBFS: far above any mis-scaled integers; the power of much more overflows float32


def check_waveform(waveform: Waveform, min_seconds: float) -> Waveform:
    """Return the waveform if it can be used.

    Raises
    ------
    AudioError
        ``too_short`` (no samples, or under ``min_seconds``), ``not_finite`` (NaN or infinite samples), ``too_loud``
        (a sample above +120 dBFS), ``silent`` (the peak, any constant offset apart, under -80 dBFS).
    """
    samples = waveform.samples
    if waveform.duration < min_seconds or samples.shape[-1] == 0:
        raise AudioError("too_short", f"{waveform.duration:.2f} s of audio, at least {min_seconds:.2f} s are needed")
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise AudioError("not_finite", f"{bad} of {samples.size} samples are NaN or infinite")
    loudest = float(np.abs(samples).max())
    if loudest > LOUDEST_PEAK:
        raise AudioError("too_loud", f"a sample is {loudest:.1e} times full scale: these are no audio samples")
    swing = float((samples.max(axis=-1) - samples.min(axis=-1)).max()) / 2
    if swing < SILENCE_PEAK:
        raise AudioError("silent", f"the peak is {swing:.1e}, below {SILENCE_PEAK:.0e} of full scale")
    return waveform
