"""One computed representation, and the checks before it: shared by the engine (NumPy) and its batched form (torch)."""

from __future__ import annotations

from dataclasses import dataclass

from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.base import Representation
from tonearm.features.normalisation import ClipStatistics, statistics


@dataclass(frozen=True)
class ComputedClip:
    """One representation of one waveform.

    Attributes
    ----------
    values
        float32 of shape (freq_bins, frames), or (2, freq_bins, frames) for two planes; not normalised.
    whole
        The same before rows were cut; what the statistics are taken of.
    """

    values: FloatArray
    whole: FloatArray

    def statistics(self) -> ClipStatistics:
        """What normalisation needs."""
        return statistics(self.whole)


def check_fits(waveform: Waveform, config: Representation) -> None:
    """Check that a representation can be computed of a waveform.

    Raises
    ------
    AudioError
        ``wrong_channels``, ``wrong_rate`` or ``too_short``.
    """
    channels, length = waveform.samples.shape
    if channels != config.planes:
        raise AudioError("wrong_channels", f"{channels} channels, {config.kind} takes {config.planes}")
    if waveform.sample_rate != config.sample_rate:
        raise AudioError("wrong_rate", f"{waveform.sample_rate} Hz, {config.kind} takes {config.sample_rate} Hz")
    if length < 1:
        raise AudioError("too_short", f"no samples: {config.kind} needs at least one")


def total_and_kept_frames(samples: int, config: Representation) -> tuple[int, int]:
    """Frames that so many samples have, and how many of them are kept."""
    total = config.frames_from(samples)
    return total, config.cut(total)
