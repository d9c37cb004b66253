"""Summaries over blocks of frames, after Seyerlehner, Widmer and Pohle, "Fusing block-level features for music
similarity estimation", DAFx 2010; bands, block lengths and percentiles are ours. And of attacks and their periods.

All take decibels, are made of bands of neighbouring rows, and see at most 80 dB below the loudest value.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tonearm.features.summaries import (
    SMALLEST,
    Floats,
    Summary,
    banded,
    correlations,
    fluctuations,
    loud_part,
    modulation_problems,
    not_within,
    too_fast,
)


class BlockSummary(Summary):
    """Base of those that sum up blocks of frames, and then over blocks.

    Attributes
    ----------
    bands
        Into which the rows are divided.
    block, step
        Frames a block, and from one to the next. A shorter clip is repeated.
    percentile
        Over blocks, 0..100.
    """

    bands: int = 32
    block: int = 10
    step: int = 5
    percentile: float = 90.0

    def problems(self) -> list[str]:
        found = [f"{n} is {getattr(self, n)}: it must be positive" for n in ("block", "step") if getattr(self, n) < 1]
        if not 0 <= self.percentile <= 100:
            found.append(f"percentile is {self.percentile}: it must be within 0 and 100")
        return found

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return not_within("bands", self.bands, rows)

    def fewest_frames(self, frame_rate: float) -> int:
        return self.block

    def levels(self, values: Floats) -> Floats:
        """Of each band in each frame, dB about the clip's mean."""
        found = banded(loud_part(values), self.bands)
        found -= found.mean()
        return found

    def blocks(self, levels: Floats) -> Floats:
        """(blocks, bands, block)."""
        return sliding_window_view(levels, self.block, axis=1)[:, :: self.step].transpose(1, 0, 2)

    def over_blocks(self, values: Floats) -> Floats:
        """The percentile over the first axis, as one vector."""
        return np.asarray(np.percentile(values, self.percentile, axis=0)).reshape(-1)


class SpectralPattern(BlockSummary, kind="spectral_pattern"):
    """The levels of each band, sorted within a block: timbre, and for how long it is loud."""

    def length(self, rows: int, frame_rate: float) -> int:
        return self.bands * self.block

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return self.over_blocks(np.sort(self.blocks(self.levels(values)), axis=2))


class DeltaSpectralPattern(BlockSummary, kind="delta_spectral_pattern"):
    """How much each band rises, the strongest rises of a block first: attacks.

    Attributes
    ----------
    lag
        Frames over which a rise is measured.
    kept
        Of a block's rises.
    """

    block: int = 25
    lag: int = 3
    kept: int = 14

    def problems(self) -> list[str]:
        found = super().problems()
        if self.lag < 1:
            found.append(f"lag is {self.lag}: it must be positive")
        if not 1 <= self.kept <= self.block:
            found.append(f"kept is {self.kept}: it must be within 1 and block, {self.block}")
        return found

    def fewest_frames(self, frame_rate: float) -> int:
        return self.block + self.lag

    def length(self, rows: int, frame_rate: float) -> int:
        return self.bands * self.kept

    def rises(self, values: Floats) -> Floats:
        """(blocks, bands, block), the strongest first."""
        levels = self.levels(values)
        rises = np.maximum(levels[:, self.lag :] - levels[:, : -self.lag], 0.0)
        return np.sort(self.blocks(rises), axis=2)[:, :, ::-1]

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return self.over_blocks(self.rises(values)[:, :, : self.kept])


class RiseVariance(DeltaSpectralPattern, kind="variance_delta_spectral_pattern"):
    """How much the rises of a block vary from block to block; ``percentile`` has no meaning here."""

    kept: int = 25

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return np.asarray(self.rises(values)[:, :, : self.kept].var(axis=0)).reshape(-1)


class FluctuationPattern(BlockSummary, kind="fluctuation_pattern"):
    """How strongly each band fluctuates, by the fluctuation's frequency: log10 of its amplitude in dB.

    Attributes
    ----------
    bins
        Of modulation frequency, evenly spaced in its logarithm.
    lowest, highest
        Modulation frequency, Hz.
    """

    block: int = 512
    step: int = 128
    percentile: float = 60.0
    bins: int = 24
    lowest: float = 0.2
    highest: float = 20.0

    def problems(self) -> list[str]:
        return super().problems() + modulation_problems(self.bins, self.lowest, self.highest)

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return super().problems_with(rows, frame_rate) + too_fast(self.highest, frame_rate)

    def length(self, rows: int, frame_rate: float) -> int:
        return self.bands * self.bins

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        blocks = self.blocks(self.levels(values))
        return self.over_blocks(fluctuations(blocks, frame_rate, self.lowest, self.highest, self.bins))


class CorrelationPattern(BlockSummary, kind="correlation_pattern"):
    """Correlation of each pair of bands within a block, -1..1: which of them sound together."""

    block: int = 256
    step: int = 64
    percentile: float = 50.0

    def length(self, rows: int, frame_rate: float) -> int:
        return self.bands * (self.bands - 1) // 2

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        return self.over_blocks(correlations(self.blocks(self.levels(values))))


class OnsetMoments(Summary, kind="onset_moments"):
    """Mean, deviation and skewness of how much the level rises from frame to frame, in bands and in all: how many
    attacks there are, and how hard.

    Attributes
    ----------
    bands
        Into which the rows are divided.
    """

    bands: int = 4

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return not_within("bands", self.bands, rows)

    def length(self, rows: int, frame_rate: float) -> int:
        return 3 * (self.bands + 1)

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        rises = onset_strength(values, self.bands)
        deviation = rises.std(axis=1)
        cubes = ((rises - rises.mean(axis=1, keepdims=True)) ** 3).mean(axis=1)
        return np.concatenate([rises.mean(axis=1), deviation, cubes / deviation.clip(SMALLEST) ** 3])


class Periodicity(Summary, kind="periodicity"):
    """Autocorrelation of the attacks, in bands and in all, -1..1: the pulse and its multiples, whatever their strength.

    Attributes
    ----------
    bands
        Into which the rows are divided.
    lags
        Evenly spaced in their logarithm; those that fall on one frame count once.
    shortest, longest
        Lag, seconds.
    """

    bands: int = 4
    lags: int = 36
    shortest: float = 0.14
    longest: float = 4.0

    def problems(self) -> list[str]:
        if self.lags >= 1 and 0 < self.shortest < self.longest:
            return []
        return [f"{self.lags} lags from {self.shortest} to {self.longest} s: at least one, and 0 < shortest < longest"]

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return not_within("bands", self.bands, rows)

    def frames_of_lags(self, frame_rate: float) -> list[int]:
        """The lags in frames, ascending."""
        lags = np.geomspace(self.shortest, self.longest, self.lags) * frame_rate
        return sorted({max(1, round(lag)) for lag in lags.tolist()})

    def fewest_frames(self, frame_rate: float) -> int:
        return 2 + self.frames_of_lags(frame_rate)[-1]

    def length(self, rows: int, frame_rate: float) -> int:
        return (self.bands + 1) * len(self.frames_of_lags(frame_rate))

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        rises = onset_strength(values, self.bands)
        rises = rises - rises.mean(axis=1, keepdims=True)
        count = rises.shape[1]
        power = np.square(np.abs(np.fft.rfft(rises, 2 * count, axis=1)))
        found = np.fft.irfft(power, axis=1)[:, :count]
        return (found[:, self.frames_of_lags(frame_rate)] / np.maximum(found[:, :1], SMALLEST)).reshape(-1)


def onset_strength(values: Floats, bands: int) -> Floats:
    """How much the level rises from frame to frame, dB: (bands + 1, frames - 1), the last row that of all."""
    rises = np.maximum(np.diff(loud_part(values), axis=1), 0.0)
    return np.concatenate([banded(rises, bands), rises.mean(axis=0, keepdims=True)])
