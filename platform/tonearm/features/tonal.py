"""A summary of pitch classes: which intervals sound, whatever the key."""

from __future__ import annotations

import numpy as np

from tonearm.features.summaries import SMALLEST, Floats, Summary

PITCH_CLASSES = 12
FIFTHS, MINOR_THIRDS, MAJOR_THIRDS = 7 / 12, 3 / 12, 4 / 12  # turns a semitone (Harte, Sandler and Gasser 2006)


class Tonal(Summary, kind="tonal"):
    """Pitch classes counted from the strongest one, so that a transposed piece has the same values.

    Twelve means and twelve deviations from the strongest pitch class up; how strongly each interval sounds, at once and
    after each of ``lags``; and of the three circles of the tonal centroid (Harte, Sandler and Gasser, "Detecting
    harmonic change in musical audio", 2006) how far from their middle it lies, and how far it moves in a frame.

    Attributes
    ----------
    lags
        In seconds, after which an interval's second note is looked for; 0 is a chord.
    """

    lags: tuple[float, ...] = (0.0, 0.186, 0.743)

    def problems(self) -> list[str]:
        return [] if self.lags and min(self.lags) >= 0 else [f"lags is {self.lags}: give seconds, from 0 on"]

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        return [] if rows == PITCH_CLASSES else [f"tonal takes 12 pitch classes: the representation has {rows} rows"]

    def fewest_frames(self, frame_rate: float) -> int:
        return 2 + max(self._frames(frame_rate))

    def length(self, rows: int, frame_rate: float) -> int:
        return PITCH_CLASSES * (2 + len(self.lags)) + 6

    def _frames(self, frame_rate: float) -> list[int]:
        return [round(lag * frame_rate) for lag in self.lags]

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        mean = values.mean(axis=1)
        strongest, count = int(mean.argmax()), values.shape[1]
        intervals = []
        for lag in self._frames(frame_rate):
            first, second = values[:, : count - lag], values[:, lag:]
            products = first @ second.T / first.shape[1]  # of each pair of pitch classes
            intervals += [np.trace(np.roll(products, -step, axis=1)) for step in range(PITCH_CLASSES)]
        angles = 2 * np.pi * np.arange(PITCH_CLASSES)
        circles = np.concatenate(
            [[np.sin(angles * turn), np.cos(angles * turn)] for turn in (FIFTHS, MINOR_THIRDS, MAJOR_THIRDS)]
        )
        centroid = circles @ (values / values.sum(axis=0).clip(SMALLEST))
        steps = np.diff(centroid, axis=1)
        return np.concatenate(
            [
                np.roll(mean, -strongest),
                np.roll(values.std(axis=1), -strongest),
                intervals,
                np.hypot(centroid[::2], centroid[1::2]).mean(axis=1),
                np.hypot(steps[::2], steps[1::2]).mean(axis=1),
            ]
        )
