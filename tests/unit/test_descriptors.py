"""Descriptors of signals whose truth is known."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pytest
from scipy.signal import sosfilt

from tests.builders import RATE, music, tone
from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.descriptors import DESCRIPTORS, PITCH_CLASSES, Descriptors, describe_music
from tonearm.features.loudness import _step_powers, k_weighting, measure_loudness


def mono(samples: FloatArray, rate: int = RATE) -> Waveform:
    return Waveform(samples[None], rate)


def clicks(rate_hz: float, seconds: float = 20.0, rate: int = RATE) -> FloatArray:
    """Short decaying tones, the first after half a second."""
    samples = np.zeros(round(seconds * rate), dtype=np.float32)
    time = np.arange(round(0.03 * rate)) / rate
    click = (0.5 * np.sin(2 * np.pi * 1000 * time) * np.exp(-time / 0.006)).astype(np.float32)
    for start in np.arange(0.5, seconds - 0.25, 1 / rate_hz):
        first = round(start * rate)
        samples[first : first + len(click)] += click
    return samples


def noise(seconds: float, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def cadence(tonic: int, mode: str, tuning: float = 0.0, harmonics: int = 6) -> FloatArray:
    """I IV V I with a major dominant, a second a chord; ``tuning`` in semitones."""
    third = 4 if mode == "major" else 3
    tonic_chord, subdominant, dominant = (0, third, 7, 12), (5, 5 + third, 12, 17), (7, 11, 14, 19)
    time = np.arange(RATE) / RATE
    parts = []
    for chord in (tonic_chord, subdominant, dominant, tonic_chord):
        pitches = [440 * 2 ** ((48 + tonic + note - 69 + tuning) / 12) for note in chord]
        partials = [np.sin(2 * np.pi * p * h * time) / h**1.5 for p in pitches for h in range(1, harmonics + 1)]
        parts.append(0.05 * np.sum(partials, axis=0) * np.exp(-2 * time))
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize("bpm", [60, 90, 120, 133, 150, 174])
def test_tempo_of_clicks_is_finer_than_a_frame(bpm: int) -> None:
    assert describe_music(mono(clicks(bpm / 60))).tempo == pytest.approx(bpm, rel=2e-3)


@pytest.mark.parametrize("bpm", [40, 200, 220])
def test_extreme_tempi_are_right_up_to_an_octave(bpm: int) -> None:
    tempo = describe_music(mono(clicks(bpm / 60))).tempo
    assert tempo is not None
    octaves = math.log2(tempo / bpm)
    assert round(octaves) in (-1, 0, 1) and abs(octaves - round(octaves)) < 0.01


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_noise_has_neither_tempo_nor_key_nor_onsets(seconds: float, seed: int) -> None:
    found = describe_music(mono(noise(seconds, seed)))
    assert (found.tempo, found.key, found.mode, found.key_strength) == (None, None, None, None)
    assert found.onset_rate == 0
    assert found.brightness == pytest.approx(RATE / 4, rel=0.03)


@pytest.mark.parametrize("seconds", [3.0, 6.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_attacks_at_random_times_have_no_tempo(seconds: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * RATE), dtype=np.float32)
    for start in rng.uniform(0.2, seconds - 0.1, round(3 * seconds)):
        first = round(start * RATE)
        samples[first : first + 600] += rng.normal(0, 0.1, 600).astype(np.float32)
    found = describe_music(mono(samples))
    assert found.tempo is None
    assert found.onset_rate > 1


def test_two_beats_are_no_tempo() -> None:
    assert describe_music(mono(clicks(1.0, seconds=2.0))).tempo is None


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_key_of_cadences(tonic: int, mode: str) -> None:
    found = describe_music(mono(cadence(tonic, mode)))
    assert (found.key, found.mode) == (PITCH_CLASSES[tonic], mode)
    assert found.key_strength is not None and 0.7 < found.key_strength <= 1


@pytest.mark.parametrize("tuning", [-0.47, -0.2, 0.3, 0.47])
def test_key_does_not_depend_on_tuning(tuning: float) -> None:
    for tonic, mode in ((0, "major"), (9, "minor"), (6, "major")):
        found = describe_music(mono(cadence(tonic, mode, tuning)))
        assert (found.key, found.mode) == (PITCH_CLASSES[tonic], mode)


@pytest.mark.parametrize("samples", [tone(440, 3.0), (tone(440, 3.0) + tone(660, 3.0)) / 2])
def test_a_lone_tone_or_fifth_has_no_key(samples: FloatArray) -> None:
    found = describe_music(mono(samples))
    assert (found.key, found.mode, found.key_strength) == (None, None, None)


@pytest.mark.parametrize("rate_hz", [1, 2, 3, 4, 6])
def test_onset_rate_counts_clicks(rate_hz: int) -> None:
    seconds = 20.0
    expected = len(np.arange(0.5, seconds - 0.25, 1 / rate_hz)) / seconds
    assert describe_music(mono(clicks(rate_hz, seconds))).onset_rate == pytest.approx(expected, abs=1 / seconds)


@pytest.mark.parametrize("frequency", [100, 440, 1000, 3520, 8000])
def test_steady_tone(frequency: int) -> None:
    found = describe_music(mono(tone(frequency, 5.0)))
    assert found.brightness == pytest.approx(frequency, rel=0.01)
    assert (found.tempo, found.onset_rate) == (None, 0)
    assert found.energy == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)


def test_brightness_leaves_out_silence_and_offset() -> None:
    sounding = tone(1000, 2.0)
    quiet = np.concatenate([sounding, noise(8.0) * np.float32(1e-4)])
    offset = sounding + np.float32(0.4)
    assert describe_music(mono(quiet)).brightness == pytest.approx(1000, rel=0.01)
    assert describe_music(mono(offset)).brightness == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("amplitude", [0.1, 0.5, 1.0])
def test_energy_of_a_square_wave_is_its_amplitude(amplitude: float) -> None:
    square = np.where(np.arange(2 * RATE) // 50 % 2, amplitude, -amplitude).astype(np.float32)
    assert describe_music(mono(square)).energy == pytest.approx(amplitude, rel=1e-6)


def test_k_weighting_at_48_khz_is_the_table_of_the_standard() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], rtol=0, atol=2e-8)


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_levels_are_those_of_the_two_sections_one_after_the_other(rate: int) -> None:
    samples = (music(4.0, rate, seed=1) + np.float32(0.2))[None]  # with an offset: a filter that drifts would show it
    expected = np.mean(sosfilt(k_weighting(rate), samples.astype(np.float64), axis=1) ** 2)
    np.testing.assert_allclose(_step_powers(Waveform(samples, rate)).mean(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rate", "tolerance"),
    [(8_000, 0.22), (11_025, 0.12), (22_050, 0.03), (44_100, 0.01), (48_000, 0.005)],
)
def test_loudness_of_a_full_scale_sine(rate: int, tolerance: float) -> None:
    loudness = measure_loudness(mono(tone(997, 5.0, rate, amplitude=1.0), rate))
    assert loudness.integrated == pytest.approx(-3.01, abs=tolerance)


def test_loudness_adds_up_over_channels() -> None:
    """EBU Tech 3341, case 1: a stereo sine of 1000 Hz at -23 dBFS is -23 LUFS; in one channel 3.01 LU less."""
    sine = tone(1000, 20.0, 48_000, amplitude=10 ** (-23 / 20))
    assert measure_loudness(Waveform(np.stack([sine, sine]), 48_000)).integrated == pytest.approx(-23.0, abs=0.05)
    assert measure_loudness(mono(sine, 48_000)).integrated == pytest.approx(-26.01, abs=0.05)
    assert describe_music(Waveform(np.stack([sine, sine]), 48_000)).loudness == pytest.approx(-23.0, abs=0.05)


def test_gates_leave_out_what_is_quiet() -> None:
    """EBU Tech 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS are -23 LUFS."""
    parts = [(10.0, -36), (60.0, -23), (10.0, -36)]
    sine = np.concatenate([tone(1000, s, 48_000, amplitude=10 ** (level / 20)) for s, level in parts])
    assert measure_loudness(Waveform(np.stack([sine, sine]), 48_000)).integrated == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(("first", "second", "expected"), [(-20, -30, 10), (-20, -15, 5), (-40, -20, 20)])
def test_loudness_range_of_two_levels(first: int, second: int, expected: int) -> None:
    """EBU Tech 3342, cases 1 to 3: 20 s of one level, then 20 s of another; within 1 LU."""
    levels = [tone(1000, 20.0, amplitude=10 ** (level / 20)) for level in (first, second)]
    assert describe_music(mono(np.concatenate(levels))).dynamic_range == pytest.approx(expected, abs=0.5)


def test_silence_is_described_without_inventing_anything() -> None:
    nothing = Descriptors(
        tempo=None, key=None, mode=None, key_strength=None, loudness=None, energy=0.0, brightness=None,
        dynamic_range=None, onset_rate=0.0,
    )  # fmt: skip
    assert describe_music(mono(np.zeros(5 * RATE, dtype=np.float32))) == nothing


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.4, 0.5, 1.0, 7.0, 13.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_length_gives_finite_values(rate: int, seconds: float, channels: int) -> None:
    samples = np.stack([music(seconds, rate, seed=c) for c in range(channels)])
    values = describe_music(Waveform(samples, rate)).to_dict()
    assert all(math.isfinite(v) for v in values.values() if isinstance(v, float))
    assert (values["dynamic_range"] is None) == (seconds < 6)
    assert values["loudness"] is not None and values["brightness"] is not None
    json.dumps(values, allow_nan=False)


def test_tempo_and_brightness_do_not_depend_on_the_rate() -> None:
    for rate in (8_000, 16_000, 44_100, 48_000):
        assert describe_music(mono(clicks(2.0, rate=rate), rate)).tempo == pytest.approx(120, rel=2e-3)
        assert describe_music(mono(tone(880, 2.0, rate), rate)).brightness == pytest.approx(880, rel=0.01)


def test_analysis_in_pieces_is_the_analysis_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = mono(music(9.0))
    in_pieces = describe_music(waveform)
    monkeypatch.setattr("tonearm.features.descriptors.FRAMES_AT_ONCE", 10**6)
    monkeypatch.setattr("tonearm.features.loudness.STEPS_AT_ONCE", 10**6)
    whole = describe_music(waveform)
    assert (in_pieces.key, in_pieces.mode, in_pieces.onset_rate) == (whole.key, whole.mode, whole.onset_rate)
    for name in ("tempo", "key_strength", "loudness", "energy", "brightness", "dynamic_range"):
        assert getattr(in_pieces, name) == pytest.approx(getattr(whole, name), rel=1e-4), name


def test_same_samples_same_values() -> None:
    waveform = Waveform(np.stack([music(8.0, 44_100, seed=1), music(8.0, 44_100, seed=2)]), 44_100)
    before = waveform.samples.copy()
    assert describe_music(waveform) == describe_music(waveform)
    np.testing.assert_array_equal(waveform.samples, before)


def test_the_table_names_every_numeric_field() -> None:
    numeric = {f.name for f in dataclasses.fields(Descriptors)} - {"key", "mode", "no_tempo"}
    assert set(DESCRIPTORS) == numeric
    assert all(scale.unit and scale.low < scale.high for scale in DESCRIPTORS.values())


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros((1, RATE)), RATE, "wrong_type"),
        (np.zeros(RATE, dtype=np.float32), RATE, "wrong_type"),
        (np.zeros((3, RATE), dtype=np.float32), RATE, "too_many_channels"),
        (np.zeros((1, RATE), dtype=np.float32), 7_999, "low_sample_rate"),
        (np.zeros((1, 100), dtype=np.float32), RATE, "too_short"),
        (np.zeros((1, 0), dtype=np.float32), RATE, "too_short"),
        (np.full((1, RATE), np.nan, dtype=np.float32), RATE, "not_finite"),
        (np.full((1, RATE), -np.inf, dtype=np.float32), RATE, "not_finite"),
        (np.full((1, RATE), 1e20, dtype=np.float32), RATE, "too_loud"),
    ],
)
def test_unusable_samples_are_refused_by_reason(samples: FloatArray, rate: int, reason: str) -> None:
    with pytest.raises(AudioError) as refused:
        describe_music(Waveform(samples, rate))
    assert refused.value.reason == reason


def test_a_tempo_that_is_missing_has_a_reason() -> None:
    silence, steady = mono(np.zeros(4 * RATE, np.float32)), mono(tone(440, 4.0))
    assert describe_music(silence).no_tempo == "silence"
    assert describe_music(steady).no_tempo == "no onsets: a steady sound"
    noise = mono(np.random.default_rng(0).normal(0, 0.1, 6 * RATE).astype(np.float32))
    assert describe_music(noise).no_tempo in ("no regular pulse", "no onsets: a steady sound")
    short = describe_music(mono(clicks(120.0, seconds=1.2)))
    assert short.tempo is not None or re.match(r"[\d.]+ beats in 1\.2 s|no regular pulse", short.no_tempo)
    found = describe_music(mono(clicks(120.0, seconds=8.0)))
    assert found.tempo is not None and found.no_tempo == ""
    assert "no_tempo" not in found.to_dict() and "no_tempo='silence'" in repr(describe_music(silence))
