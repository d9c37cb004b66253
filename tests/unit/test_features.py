"""Representations: equal to librosa's, cut before decibels, shapes known without audio, normalised as said."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from tests.builders import RATE, music, tone
from tonearm.core.errors import AudioError, ConfigError, UnknownNameError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features import Mel, Representation, extract, resolve
from tonearm.features.base import Normalisation
from tonearm.features.scaling import SMALLEST_DEVIATION, normalise, statistics
from tonearm.features.spectral import hann, power_to_db

TOLERANCE = 0.02  # dB


def waveform(samples: FloatArray, rate: int = RATE) -> Waveform:
    return Waveform(np.atleast_2d(samples).astype(np.float32), rate)


def of_librosa(samples: FloatArray, config: Mel) -> FloatArray:
    """The same by librosa: power, cut, bands, decibels."""
    power = librosa.feature.melspectrogram(
        y=samples, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop, n_mels=config.n_mels,
        fmin=config.fmin, fmax=config.fmax, power=2.0, pad_mode="constant",
    )  # fmt: skip
    db: FloatArray = librosa.power_to_db(power[:, : config.frames], ref=1.0, amin=1e-10, top_db=80.0)
    return db


# --- mel

SETTINGS = [
    Mel(),
    Mel(n_fft=1024, hop=512, n_mels=64),
    Mel(n_fft=2048, hop=512, n_mels=128, fmin=30.0),
    Mel(n_fft=2048, hop=2048, n_mels=96, fmax=8000),
    Mel(n_fft=512, hop=160, n_mels=40, fmin=100, fmax=5000, frames=None),
    Mel(n_fft=1000, hop=441, n_mels=32, frames=50),
    Mel(sample_rate=16_000, n_fft=1024, hop=320, n_mels=80, frames=None),
]


@pytest.mark.filterwarnings("ignore:n_fft=")
@pytest.mark.parametrize("config", SETTINGS, ids=lambda c: f"{c.n_fft}-{c.hop}-{c.n_mels}")
@pytest.mark.parametrize("seconds", [0.06, 1.0, 3.37])
def test_mel_equals_librosa(config: Mel, seconds: float) -> None:
    samples = music(seconds, config.sample_rate, seed=3)
    ours, theirs = config.compute(waveform(samples, config.sample_rate)), of_librosa(samples, config)
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.ones(RATE) * 1e-9, tone(5000, 0.5)], ids=["0", "1e-9", "tone"])
def test_mel_of_extreme_signals_equals_librosa(samples: FloatArray) -> None:
    config = Mel(n_mels=64, n_fft=2048, hop=512)
    ours = config.compute(waveform(samples))
    assert np.isfinite(ours).all()
    assert np.abs(ours - of_librosa(samples.astype(np.float32), config)).max() <= TOLERANCE


def test_cut_comes_before_decibels() -> None:
    # Quiet for a second, then loud: were the floor 80 dB below the loud part, the quiet part would be lost.
    samples = np.concatenate([1e-4 * music(1.0), music(1.0)])
    cut = Mel(n_mels=64, n_fft=1024, hop=512, frames=30).compute(waveform(samples))
    whole = Mel(n_mels=64, n_fft=1024, hop=512, frames=None).compute(waveform(samples))
    assert cut.shape == (64, 30)
    assert cut.max() < whole.max() - 60
    assert np.ptp(cut) > 10 > np.ptp(whole[:, :30])
    assert whole.min() >= whole.max() - 80.001


def test_decibels_have_a_floor() -> None:
    db = power_to_db(np.array([[1.0, 1e-3, 1e-20, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(db, [[0, -30, -80, -80]], atol=1e-4)
    np.testing.assert_allclose(power_to_db(np.zeros((2, 2), dtype=np.float32)), -100, atol=1e-4)


def test_window_is_the_periodic_hann() -> None:
    np.testing.assert_allclose(hann(16), librosa.filters.get_window("hann", 16, fftbins=True), atol=1e-6)


# --- every representation


def small(kind: str) -> Representation:
    return Representation.registry[kind]()


@pytest.mark.parametrize("kind", sorted(Representation.registry))
@pytest.mark.parametrize("seconds", [1.0, 2.71, 31.0])
def test_shape_is_known_without_audio(kind: str, seconds: float) -> None:
    config = small(kind)
    samples = music(seconds, config.sample_rate)
    spec = config.input_spec(len(samples) / config.sample_rate)
    values = config.compute(waveform(samples, config.sample_rate))
    assert values.shape == (spec.freq_bins, spec.frames) and spec.channels == 1
    assert values.dtype == np.float32 and np.isfinite(values).all()
    assert spec.frames <= 643


@pytest.mark.parametrize("kind", sorted(Representation.registry))
def test_least_audio_of_so_many_frames_has_them(kind: str) -> None:
    config = small(kind)
    for frames in (1, 2, 40, 215, 643):
        seconds = config.seconds_of(frames)
        assert config.frames_in(seconds) == frames
        assert frames == 1 or config.frames_in(seconds - 2 / config.sample_rate) == frames - 1


@pytest.mark.parametrize("kind", sorted(Representation.registry))
def test_store_name_sees_all_but_normalisation(kind: str) -> None:
    config = small(kind)
    assert config.store_name().startswith(f"{kind}-")
    others: list[Normalisation] = ["frame", "track", "none"]
    assert len({config.replace({"normalisation": n}).store_name() for n in others}) == 1
    changes = [{"n_fft": 8192}, {"hop": 500}, {"frames": 7}, {"frames": None}, {"sample_rate": 44_100}]
    assert len({config.replace(c).store_name() for c in changes} | {config.store_name()}) == len(changes) + 1


@pytest.mark.parametrize("kind", sorted(Representation.registry))
def test_computing_is_deterministic_and_leaves_the_audio(kind: str) -> None:
    config, audio = small(kind), waveform(music(1.0))
    before = audio.samples.copy()
    assert np.array_equal(config.compute(audio), config.compute(audio))
    assert np.array_equal(audio.samples, before)


# --- the engine


def test_engine_takes_names_and_configs() -> None:
    config = Mel(n_mels=32, n_fft=512, hop=256)
    out = extract(waveform(music(1.0)), ["mel", config])
    assert set(out) == {"mel", config.store_name()}
    assert out["mel"].shape == (256, 22) and out[config.store_name()].shape == (32, 87)
    assert resolve("mel") == Mel()


def test_engine_refuses_what_does_not_fit() -> None:
    mono = waveform(music(0.2))
    with pytest.raises(AudioError) as caught:
        extract(waveform(np.zeros((2, 100))), ["mel"])
    assert caught.value.reason == "not_mono"
    with pytest.raises(AudioError) as caught:
        extract(waveform(music(0.2, 44_100), 44_100), ["mel"])
    assert caught.value.reason == "wrong_rate"
    with pytest.raises(UnknownNameError, match=r"unknown representation 'mell'. Did you mean 'mel'"):
        extract(mono, ["mell"])
    with pytest.raises(ConfigError, match="abacus"):
        extract(mono, ["mel"], device="abacus")


# --- normalisation


def values_of(seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(-35, 12, (24, 50)).astype(np.float32)


def test_frame_normalisation_gives_each_frame_zero_mean_and_unit_deviation() -> None:
    values = values_of()
    out = normalise(values, statistics(values), "frame")
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-5)
    assert out.dtype == np.float32


def test_track_normalisation_gives_the_whole_zero_mean_and_unit_deviation() -> None:
    values = values_of()
    out = normalise(values, statistics(values), "track")
    assert out.mean() == pytest.approx(0, abs=1e-5) and out.std() == pytest.approx(1, abs=1e-5)
    assert np.ptp(out.mean(axis=0)) > 0.1
    assert out.dtype == np.float32


def test_no_normalisation_changes_nothing() -> None:
    values = values_of()
    assert np.array_equal(normalise(values, statistics(values), "none"), values)


@pytest.mark.parametrize("how", ["frame", "track", "none"])
def test_a_window_is_normalised_by_its_clip(how: Normalisation) -> None:
    values = values_of()
    whole = normalise(values, statistics(values), how)
    assert np.array_equal(normalise(values[:, 20:35], statistics(values), how, 20), whole[:, 20:35])


@pytest.mark.parametrize("how", ["frame", "track"])
def test_silence_is_centred_and_not_blown_up(how: Normalisation) -> None:
    values = np.full((24, 50), -100.0, dtype=np.float32)
    assert not normalise(values, statistics(values), how).any()
    hiss = values + np.random.default_rng(0).normal(0, SMALLEST_DEVIATION / 100, values.shape).astype(np.float32)
    assert np.abs(normalise(hiss, statistics(hiss), how)).max() < 1


def test_statistics_are_those_of_float64() -> None:
    values = values_of()
    stats, wide = statistics(values), values.astype(np.float64)
    assert (stats.mean, stats.deviation) == (pytest.approx(wide.mean(), abs=1e-9), pytest.approx(wide.std(), abs=1e-9))
    assert np.array_equal(stats.frame_mean, wide.mean(axis=0).astype(np.float32))
    assert np.array_equal(stats.frame_deviation, wide.std(axis=0).astype(np.float32))
