"""Descriptors (tempo, key, loudness, ...) as a representation: what people understand, as numbers that a network reads.

It is made of the waveform in the pass that makes all others, is stored like them, and computed in serving.
"""

from __future__ import annotations

import numpy as np

from tonearm.core.types import Waveform
from tonearm.features.descriptors import DESCRIPTORS, LOWEST_SAMPLE_RATE, describe_music
from tonearm.features.summaries import Floats, Summary

MODES = {"major": 1.0, "minor": -1.0}
NAMES = (*DESCRIPTORS, "mode", "tempo_known", "key_known")
"""What the numbers are, in their order."""


class Attributes(Summary, kind="attributes"):
    """The numeric descriptors, each from -1 to 1 over its usual range, the mode, and whether tempo and key are known.

    What could not be measured is 0, the middle of its range; of the mode 1 is major, -1 minor, 0 none.
    """

    def problems_with(self, rows: int, frame_rate: float) -> list[str]:
        if rows == 1 and frame_rate >= LOWEST_SAMPLE_RATE:
            return []
        return [f"attributes are those of a waveform of at least {LOWEST_SAMPLE_RATE} Hz, not of {rows} rows at "
                f"{frame_rate:g} frames a second: set of to RawWaveform()"]  # fmt: skip

    def fewest_frames(self, frame_rate: float) -> int:
        """A second: a shorter clip is repeated."""
        return int(frame_rate)

    def length(self, rows: int, frame_rate: float) -> int:
        return len(NAMES)

    def compute(self, values: Floats, frame_rate: float) -> Floats:
        found = describe_music(Waveform(np.ascontiguousarray(values, dtype=np.float32), round(frame_rate)))
        scaled = []
        for name, usual in DESCRIPTORS.items():
            value = getattr(found, name)
            middle, half = (usual.low + usual.high) / 2, (usual.high - usual.low) / 2
            scaled.append(0.0 if value is None else (value - middle) / half)
        known = [float(value is not None) for value in (found.tempo, found.key)]
        return np.array([*scaled, MODES.get(found.mode or "", 0.0), *known])
