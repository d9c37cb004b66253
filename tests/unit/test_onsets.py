"""Onsets are picked by librosa's rule, without its compiled function."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tonearm.core.types import FloatArray
from tonearm.features.onsets import pick_onsets

LIBRARY = Path(__file__).parents[2] / "platform"


def librosa_onsets(strength: FloatArray) -> list[int]:
    """librosa's picker with the settings of ``onset_detect`` at 22 050 Hz and hop 512, interpreted, not compiled."""
    import librosa.util.utils

    scaled = strength - strength.min()
    scaled /= scaled.max()
    peaks = np.zeros(len(scaled), dtype=bool)
    vars(librosa.util.utils)["__peak_pick"].gufunc_builder.py_func(scaled, 1, 1, 4, 5, 0.07, 1, peaks)
    return [int(n) for n in np.flatnonzero(peaks)]


@pytest.mark.parametrize("frames", [1, 2, 7, 9, 400, 1293])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_onsets_as_librosa(frames: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    strength = random.gamma(0.5, size=frames) + 1.0 * (np.arange(frames) % 17 == 3)
    if frames == 1:
        assert pick_onsets(strength).tolist() == []  # no range
    else:
        assert pick_onsets(strength).tolist() == librosa_onsets(strength)


def test_plateaus_and_neighbours() -> None:
    strength = np.zeros(40)
    strength[[0, 10, 11, 12, 13, 30, 39]] = [1, 1, 1, 1, 1, 0.05, 0.5]
    assert pick_onsets(strength).tolist() == librosa_onsets(strength) == [0, 10, 12, 39]


def test_silence_has_no_onsets() -> None:
    assert pick_onsets(np.zeros(100)).tolist() == []
    assert pick_onsets(np.full(100, 3.0)).tolist() == []


def test_no_function_of_librosa_that_dies_of_a_shared_cache_is_called() -> None:
    """Its gufuncs: peak picking, local extrema (tuning estimates), zero crossings, beats, pitch tracks."""
    deadly = re.compile(
        r"librosa\.[a-z_.]*(peak_pick|onset_detect|localm(ax|in)|onset_backtrack|zero_cross|beat_track|plp|"
        r"estimate_tuning|piptrack|pyin|yin)"
    )
    calls = [f"{p}: {m[0]}" for p in LIBRARY.rglob("*.py") for m in deadly.finditer(p.read_text()) if "`" not in m[0]]
    assert [c for c in calls if "onsets.py" not in c] == []
