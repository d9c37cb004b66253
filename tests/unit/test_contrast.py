"""Spectral contrast: librosa's definition, its bands counted by hand, the same from both executions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import RATE, music, tone
from tests.unit.test_representations import SOUNDS, fourier, sound
from tonearm.core.types import FloatArray, Waveform
from tonearm.features import Contrast, Mel, as_representation, extract
from tonearm.features.batched import extract_batch
from tonearm.features.definition import ContrastBands
from tonearm.features.presets import THESIS_PRESETS
from tonearm.features.spectral import contrast_db

pytestmark = pytest.mark.filterwarnings("ignore:n_fft=")  # librosa's, of audio that is shorter than a window


def contrast_of(samples: FloatArray, config: Contrast | None = None) -> FloatArray:
    config = config or Contrast()
    return extract(Waveform(np.atleast_2d(samples), config.sample_rate), [config])[config.store_name()]


def magnitude(samples: FloatArray, config: Contrast) -> FloatArray:
    """The STFT that the other representations are made of, cut as they are."""
    spectrum = librosa.stft(
        samples, n_fft=config.n_fft, hop_length=config.hop, win_length=config.win_length, pad_mode="constant"
    )
    found: FloatArray = np.abs(spectrum)[..., : config.frames]
    return found


def librosas(samples: FloatArray, config: Contrast | None = None) -> FloatArray:
    """librosa's; without a config at its own defaults."""
    fields: dict[str, Any] = {}
    if config:
        fields = {"sr": config.sample_rate, "fmin": config.fmin, "n_bands": config.n_bands, "quantile": config.quantile}
    amplitude = magnitude(samples, config or Contrast())
    found: FloatArray = librosa.feature.spectral_contrast(S=amplitude, **fields)
    return found


def test_the_name_stands_for_librosas_defaults_and_the_thesis_had_none() -> None:
    assert as_representation("contrast") == Contrast(
        n_fft=4096, hop=1024, fmin=200.0, n_bands=6, quantile=0.02, frames=None
    )
    assert "contrast" not in THESIS_PRESETS
    assert Contrast.unit == "dB" and Contrast().analysis == dataclasses.replace(Mel().analysis, precise=True)


@pytest.mark.parametrize("seconds", [0.05, 2.0, 31.0])
def test_contrast_of_music_is_librosas(seconds: float) -> None:
    samples = music(seconds, seed=8)
    ours = contrast_of(samples)
    assert ours.shape == (7, 1 + len(samples) // 1024) and ours.dtype == np.float32
    assert np.abs(ours - librosas(samples)).max() <= 0.01


@given(fourier(), st.floats(0.1, 4.0), st.sampled_from(SOUNDS), st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_contrast_is_librosas(fields: dict[str, Any], seconds: float, kind: str, data: st.DataObject) -> None:
    rate, spacing = fields["sample_rate"], fields["sample_rate"] / fields["n_fft"]
    fmin = data.draw(st.sampled_from([1.5 * spacing, 2 * spacing, 200.0, 333.3]).filter(lambda f: f > spacing))
    n_bands = data.draw(st.integers(1, math.ceil(math.log2(rate / 2 / fmin))))
    config = Contrast(**fields, fmin=fmin, n_bands=n_bands, quantile=data.draw(st.sampled_from([0.02, 0.3, 0.999])))
    samples = sound(kind, seconds, rate)
    ours, theirs = contrast_of(samples, config), librosas(samples, config)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max(initial=0) <= 0.01


def test_both_channels_count_from_one_floor_as_in_librosa() -> None:
    samples = np.stack([music(1.0, seed=1), np.float32(1e-3) * music(1.0, seed=2)])
    ours = contrast_of(samples, Contrast(channels=2))
    assert ours.shape == (2, 7, 22)
    assert np.abs(ours - librosas(samples)).max() <= 0.01


def test_the_floor_counts_from_the_kept_frames_only() -> None:
    # 10 log10 of amplitudes: what comes after the cut is 100 dB louder there, the floor 80 dB below it.
    samples = np.concatenate([np.float32(1e-6) * music(1.0), np.float32(1e4) * music(1.0)])
    cut = contrast_of(samples, Contrast(frames=15))
    assert np.abs(cut - librosas(samples, Contrast(frames=15))).max() <= 0.01
    assert np.abs(cut - contrast_of(samples)[:, :15]).max() > 1


def test_a_band_has_the_bin_below_it_and_lends_its_last_one_to_the_next() -> None:
    # Bins at 0..8 Hz, edges 0, 2, 4, 8: [0, 1, 2], [1, 2, 3, 4] and [3 .. 8] count for the quantile.
    bands = ContrastBands(sample_rate=16, n_fft=16, fmin=2.0, n_bands=2, quantile=0.25)
    assert bands.slices() == [(slice(0, 2), 1), (slice(1, 4), 1), (slice(3, 9), 2)]
    amplitude = np.array([4, 1, 3, 2, 8, 5, 7, 6, 9], dtype=np.float32)[None, :, None]
    wanted = 10 * np.log10([4 / 1, 3 / 1, 8.5 / 3.5])
    np.testing.assert_allclose(contrast_db(amplitude, bands)[0, :, 0], wanted, atol=1e-5)


def test_the_quantile_rounds_half_to_even_and_takes_no_more_bins_than_there_are() -> None:
    half, all_but = (ContrastBands(16, 16, 2.0, 2, quantile).slices() for quantile in (0.5, 0.99))
    assert [count for _, count in half] == [2, 2, 3]
    assert [count for _, count in all_but] == [2, 3, 6]


def test_tones_have_contrast_and_noise_has_little() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    with_tone = noise + 10 * tone(1000.0)  # in the octave from 800 Hz on
    of_noise, of_tone = (contrast_of(samples)[:, 3:-3].mean(axis=1) for samples in (noise, with_tone))
    assert of_noise.max() < 20
    assert of_tone[3] > of_noise[3] + 10


def test_how_loud_a_recording_is_makes_no_difference() -> None:
    samples = music(1.0, seed=2)
    np.testing.assert_allclose(contrast_of(np.float32(0.05) * samples), contrast_of(samples), atol=0.02)


def test_silence_has_no_contrast() -> None:
    assert not contrast_of(np.zeros(RATE, dtype=np.float32)).any()


@pytest.mark.parametrize("config", [Contrast(), Contrast(frames=9, quantile=0.3), Contrast(n_fft=1024, n_bands=4)])
def test_batches_give_what_the_engine_gives(config: Contrast) -> None:
    samples = [music(seconds, seed=i) * np.float32(level) for i, (seconds, level) in enumerate([(0.3, 1), (1.5, 1e-4)])]
    clips = [{config.layout: Waveform(s[None], RATE)} for s in samples]
    for (found,), own in zip(extract_batch(clips, [config], "cpu"), samples, strict=True):
        wanted = contrast_of(own, config)
        assert found.values.shape == wanted.shape
        assert np.abs(found.values - wanted).max() <= 1e-3
