"""Onsets and tempo are librosa's, without librosa: its import takes seconds, and its compiled functions die."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tonearm.core.types import FloatArray
from tonearm.features.onsets import HOP, RATE, onset_strength, pick_onsets
from tonearm.features.tempo import FRAMES_A_MINUTE, autocorrelate, likeliest_lag

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


@pytest.mark.parametrize("frames", [1, 2, 5, 400])
def test_the_same_onset_strength_as_librosa(frames: int) -> None:
    import librosa

    mel = np.random.default_rng(frames).gamma(0.05, size=(128, frames)).astype(np.float32)
    expected = librosa.onset.onset_strength(S=librosa.power_to_db(mel), sr=RATE)
    np.testing.assert_allclose(onset_strength(mel), expected, rtol=1e-5)
    assert frames < 5 or onset_strength(mel)[3:].min() > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_same_tempo_as_librosa(seed: int) -> None:
    import librosa

    windows = np.random.default_rng(seed).gamma(0.5, size=(3, 344)) + 3.0 * (np.arange(344) % (15 + 9 * seed) == 3)
    correlation = autocorrelate(windows)
    np.testing.assert_allclose(correlation, librosa.autocorrelate(windows, axis=1), rtol=1e-9, atol=1e-9)
    tempogram = (correlation / correlation[:, :1]).mean(axis=0)
    expected = librosa.feature.tempo(tg=tempogram[:, None], sr=RATE, hop_length=HOP)[0]
    assert FRAMES_A_MINUTE / likeliest_lag(tempogram) == pytest.approx(expected)


def test_descriptors_take_no_librosa() -> None:
    import tonearm.features.descriptors  # whose own imports, and what its functions import later

    files = [Path(tonearm.features.descriptors.__file__).with_name(f"{n}.py") for n in
             ("descriptors", "tempo", "onsets", "loudness", "spectral", "definition", "filters")]  # fmt: skip
    assert [f.name for f in files if re.search("^ *(import|from) (librosa|numba)", f.read_text(), re.MULTILINE)] == []


def test_no_function_of_librosa_that_dies_of_a_shared_cache_is_called() -> None:
    """Its gufuncs: peak picking, local extrema (tuning estimates), zero crossings, beats, pitch tracks."""
    deadly = re.compile(
        r"librosa\.[a-z_.]*(peak_pick|onset_detect|localm(ax|in)|onset_backtrack|zero_cross|beat_track|plp|"
        r"estimate_tuning|piptrack|pyin|yin)"
    )
    calls = [f"{p}: {m[0]}" for p in LIBRARY.rglob("*.py") for m in deadly.finditer(p.read_text()) if "`" not in m[0]]
    assert [c for c in calls if "onsets.py" not in c] == []
