"""Representations: shapes known without audio, transforms shared without a trace, normalised as said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import RATE, music
from tonearm.audio.channels import Channels
from tonearm.audio.decode import Layout
from tonearm.core.errors import AudioError, ConfigError, UnknownNameError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features import Contrast, Cqt, Mel, Mfcc, RawWaveform, Representation, Stft, StftHalved, extract
from tonearm.features.base import Normalisation
from tonearm.features.computed import ComputedClip, total_and_kept_frames
from tonearm.features.derived import Derived
from tonearm.features.engine import compute, compute_layouts
from tonearm.features.normalisation import SMALLEST_DEVIATION, normalise, statistics

# What is computed of another representation has tests of its own.
KINDS = sorted(
    kind
    for kind in Representation.registry
    if issubclass(Representation.registry[kind], Representation)
    and not issubclass(Representation.registry[kind], Derived)
)
SPECTRAL = tuple(Representation.registry[kind]() for kind in KINDS if kind != "waveform")


def waveform(samples: npt.ArrayLike, rate: int = RATE) -> Waveform:
    """Read-only, so that whatever writes to it fails."""
    planes = np.array(samples, dtype=np.float32, ndmin=2)
    planes.flags.writeable = False
    return Waveform(planes, rate)


def of_kind(kind: str, **fields: Any) -> Representation:
    return Representation.registry[kind](**fields)


# --- shapes


def test_the_kinds_are_those_of_the_systems() -> None:
    known = ["chroma", "contrast", "cqt", "mel", "mfcc", "stft", "stft_halved", "waveform"]
    assert known == KINDS, "a new representation goes into this list, and into PRESETS of tonearm/features/presets.py"


@pytest.mark.parametrize("channels", [1, 2, "mid_side"])
@pytest.mark.parametrize("seconds", [1 / RATE, 1.0, 2.71, 31.0])
def test_shape_is_known_without_audio(seconds: float, channels: Channels) -> None:
    planes = 1 if channels == 1 else 2
    audio = waveform(np.stack([music(seconds, seed=i) for i in range(planes)]))
    configs = [of_kind(kind, channels=channels) for kind in KINDS]
    for config, values in zip(configs, extract(audio, configs).values(), strict=True):
        spec = config.input_spec(audio.duration)
        assert values.shape == (spec.shape if planes == 2 else spec.shape[1:]), config
        assert values.dtype == np.float32 and np.isfinite(values).all(), config
        assert config.planes == spec.channels == planes and config.layout == (RATE, channels)


@given(st.sampled_from(KINDS), st.integers(1, 4096), st.sampled_from([16_000, 22_050, 44_100, 48_000]), st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_frames_are_counted_as_they_are_made(kind: str, hop: int, rate: int, data: st.DataObject) -> None:
    config = of_kind(kind, sample_rate=rate, hop=1 if kind == "waveform" else hop, frames=None)
    samples = data.draw(st.integers(1, 3600 * rate))
    assert config.frames_in(samples / rate) == total_and_kept_frames(samples, config)[0]


@given(st.sampled_from(KINDS), st.integers(16, 4096), st.sampled_from([16_000, 22_050, 44_100]), st.integers(2, 20_000))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_least_audio_of_so_many_frames_has_them(kind: str, hop: int, rate: int, frames: int) -> None:
    config = of_kind(kind, sample_rate=rate, hop=1 if kind == "waveform" else hop, frames=None)
    seconds = config.seconds_of(frames)
    assert config.frames_in(seconds) == config.input_spec(seconds).frames == frames
    assert config.frames_in(seconds - 0.5 / rate) == frames - 1


def test_rows_are_where_they_say() -> None:
    np.testing.assert_allclose(np.array(Stft().frequencies()), librosa.fft_frequencies(sr=RATE, n_fft=4096))
    np.testing.assert_allclose(
        np.array(StftHalved().frequencies()), librosa.fft_frequencies(sr=RATE, n_fft=4096)[:1024]
    )
    np.testing.assert_allclose(np.array(Mel().frequencies()), librosa.mel_frequencies(258, fmin=0, fmax=RATE / 2)[1:-1])
    np.testing.assert_allclose(Contrast().frequencies()[:3], [100, 200 * 2**0.5, 400 * 2**0.5])
    octaves = np.arange(168) / 24
    np.testing.assert_allclose(np.array(Cqt().frequencies()), 440 * 2 ** (octaves - 3.75), rtol=1e-12)
    assert not any(of_kind(kind).frequencies() for kind in ("chroma", "mfcc", "waveform"))


@pytest.mark.parametrize("kind", KINDS)
def test_store_name_sees_every_field_but_normalisation(kind: str) -> None:
    config = of_kind(kind)
    others: dict[str, Any] = {
        "sample_rate": 44_100, "channels": 2, "hop": 500, "frames": 7, "n_fft": 8192, "win_length": 3000, "n_mels": 99,
        "fmin": 40.0, "fmax": 9000.0, "n_mfcc": 9, "n_bins": 150, "bins_per_octave": 36, "n_chroma": 6,
        "n_bands": 5, "quantile": 0.1,
    }  # fmt: skip
    fields = {f.name for f in dataclasses.fields(config)} - {"normalisation"}
    assert fields <= others.keys(), f"say in others of this test what else {sorted(fields - others.keys())} may be"
    changed = [config.replace({name: others[name]}) for name in fields if (kind, name) != ("waveform", "hop")]
    names = {c.store_name() for c in changed} | {config.store_name()}
    assert len(names) == len(changed) + 1 and all(name.startswith(f"{kind}-") for name in names)
    assert config.replace({"normalisation": "none"}).store_name() == config.store_name()


# --- sharing


def assert_same(found: Sequence[ComputedClip], wanted: Sequence[ComputedClip]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.values, other.values) and np.array_equal(one.whole, other.whole)


@pytest.mark.parametrize("seconds", [0.7, 31.0])
def test_all_at_once_is_each_alone(seconds: float) -> None:
    audio = waveform(music(seconds, seed=4))
    alone = [compute(audio, [config])[0] for config in SPECTRAL]
    assert_same(compute(audio, SPECTRAL), alone)
    assert_same(compute(audio, SPECTRAL[::-1]), alone[::-1])
    assert_same(compute(audio, SPECTRAL + SPECTRAL), alone + alone)


@pytest.mark.parametrize("kind", KINDS)
def test_differently_cut_neighbours_change_nothing(kind: str) -> None:
    # Quiet, then loud: the decibels of a short cut count from another maximum.
    audio = waveform(np.concatenate([1e-2 * music(5.0, seed=1), music(26.0, seed=2)]))
    configs = [of_kind(kind, frames=frames) for frames in (643, 100, None, 37, 643)]
    alone = [compute(audio, [config])[0] for config in configs]
    assert_same(compute(audio, configs), alone)
    assert_same(compute(audio, configs[::-1]), alone[::-1])
    assert_same(compute(audio, [*configs, *SPECTRAL])[:5], alone)


@pytest.mark.parametrize("config", [Stft(), Mel(), Cqt()], ids=lambda c: c.kind)
def test_each_cut_has_its_own_floor(config: Representation) -> None:
    audio = waveform(np.concatenate([1e-3 * music(6.0, seed=1), music(4.0, seed=2)]))
    early, late = compute(audio, [config.replace({"frames": 100}), config])
    assert early.values.max() < late.values.max() - 40
    assert late.values.min() == pytest.approx(late.values.max() - 80, abs=1e-3)
    assert early.values.min() < late.values.min() - 10
    assert (late.values[:, :100] >= early.values - 1e-3).all()


def test_layouts_are_computed_of_their_own_waveforms() -> None:
    configs = [Mel(), Mel(sample_rate=44_100, channels="mid_side"), Cqt(), RawWaveform()]
    audio: dict[Layout, Waveform] = {
        (RATE, 1): waveform(music(1.0)),
        (44_100, "mid_side"): waveform(np.stack([music(1.0, 44_100)] * 2), 44_100),
    }
    found = compute_layouts(audio, configs)
    assert_same(found, [compute(audio[c.layout], [c])[0] for c in configs])
    assert [c.values.shape for c in found] == [(256, 22), (2, 256, 44), (168, 22), (1, RATE)]


def test_a_waveform_is_its_samples() -> None:
    audio = waveform(np.stack([music(0.5, seed=1), music(0.5, seed=2)]))
    (computed,) = compute(audio, [RawWaveform(channels=2, frames=1000)])
    assert np.array_equal(computed.values, audio.samples[:, None, :1000])
    assert not np.shares_memory(computed.values, audio.samples)


# --- the engine


def test_engine_takes_names_and_configs() -> None:
    config = Mel(n_mels=32, n_fft=512, hop=256)
    out = extract(waveform(music(1.0)), ["mel", config])
    assert list(out) == ["mel", "mel(hop=256, n_fft=512, n_mels=32)"]
    assert out["mel"].shape == (256, 22) and out[config].shape == (32, 87)
    assert extract(waveform(music(1.0)), []) == {}


def test_engine_refuses_what_does_not_fit() -> None:
    cases = [
        (np.zeros((2, 100)), RATE, "mel", "wrong_channels: 2 channels, mel takes 1"),
        (np.zeros((1, 100)), RATE, "mel_mid_side", "wrong_channels: 1 channels, mel takes 2"),
        (np.zeros((1, 100)), 44_100, "cqt", "wrong_rate: 44100 Hz, cqt takes 22050 Hz"),
        (np.zeros((1, 0)), RATE, "chroma", "too_short: no samples"),
    ]
    for samples, rate, name, message in cases:
        with pytest.raises(AudioError, match=message) as caught:
            extract(waveform(samples, rate), [name])
        assert caught.value.reason == message.split(":")[0]
    with pytest.raises(UnknownNameError, match=r"unknown representation 'mell'. Did you mean 'mel'"):
        extract(waveform(music(0.2)), ["mell"])


def test_statistics_of_the_lower_half_are_of_the_whole() -> None:
    half, whole = compute(waveform(music(2.0)), [StftHalved(), Stft()])
    assert half.values.shape[0] == 1024 and np.array_equal(half.values, whole.values[:1024])
    stats, wanted = half.statistics(), whole.statistics()
    assert (stats.mean, stats.deviation) == (wanted.mean, wanted.deviation)
    assert np.array_equal(stats.frame_mean, wanted.frame_mean)
    assert abs(stats.mean - statistics(half.values).mean) > 1


# --- normalisation


def values_of(seed: int = 0, shape: tuple[int, ...] = (24, 50)) -> FloatArray:
    return np.random.default_rng(seed).normal(-35, 12, shape).astype(np.float32)


@given(
    st.sampled_from([(1, 7), (2, 1), (24, 50), (65, 3), (130, 9), (2, 1, 40), (2, 100, 6)]),
    st.floats(-100, 100), st.floats(0.01, 40), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None, derandomize=True)
def test_statistics_are_those_of_float64(shape: tuple[int, ...], mean: float, deviation: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(mean, deviation, shape).astype(np.float32)
    values[..., 0, :] += 30  # the row that the sums of squares are taken about may be an odd one
    stats, wide = statistics(values), values.astype(np.float64)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=SMALLEST_DEVIATION / 100)
    close([stats.mean, stats.deviation], [wide.mean(), wide.std()])
    if shape[-2] == 1:
        assert stats.frame_mean.size == stats.frame_deviation.size == 0
        return
    close(stats.frame_mean, wide.mean(axis=-2))
    close(stats.frame_deviation, wide.std(axis=-2))
    assert stats.frame_mean.dtype == stats.frame_deviation.dtype == np.float32


@pytest.mark.parametrize("shape", [(24, 50), (2, 24, 50)])
def test_normalisation_gives_zero_mean_and_unit_deviation(shape: tuple[int, ...]) -> None:
    values = values_of(shape=shape)
    by_frame, by_track = (normalise(values, statistics(values), how) for how in ("frame", "track"))
    np.testing.assert_allclose(by_frame.mean(axis=-2), 0, atol=1e-5)
    np.testing.assert_allclose(by_frame.std(axis=-2), 1, atol=1e-5)
    assert by_track.mean() == pytest.approx(0, abs=1e-5) and by_track.std() == pytest.approx(1, abs=1e-5)
    assert np.ptp(by_track.mean(axis=-2)) > 0.1
    assert by_frame.dtype == by_track.dtype == np.float32
    assert np.array_equal(normalise(values, statistics(values), "none"), values)


@pytest.mark.parametrize("shape", [(24, 50), (2, 24, 50)])
@pytest.mark.parametrize("how", ["frame", "track", "none"])
def test_a_window_is_normalised_by_its_clip(how: Normalisation, shape: tuple[int, ...]) -> None:
    values = values_of(shape=shape)
    whole = normalise(values, statistics(values), how)
    assert np.array_equal(normalise(values[..., 20:35], statistics(values), how, 20), whole[..., 20:35])


@pytest.mark.parametrize("how", ["frame", "track"])
def test_silence_is_centred_and_not_blown_up(how: Normalisation) -> None:
    values = np.full((24, 50), -100.0, dtype=np.float32)
    assert not normalise(values, statistics(values), how).any()
    hiss = values + np.random.default_rng(0).normal(0, SMALLEST_DEVIATION / 100, values.shape).astype(np.float32)
    assert np.abs(normalise(hiss, statistics(hiss), how)).max() < 1


ONE_ROW: list[Representation] = [
    Mel(n_mels=1, normalisation="track"),
    Mfcc(n_mfcc=2, normalisation="track"),
    Cqt(n_bins=1, normalisation="track"),
    StftHalved(n_fft=4, hop=2, normalisation="track"),
]


@pytest.mark.parametrize("config", ONE_ROW, ids=lambda c: c.kind)
def test_one_row_is_normalised(config: Representation) -> None:
    (computed,) = compute(waveform(music(1.0)), [config])
    out = normalise(computed.values, computed.statistics(), config.normalisation)
    assert out.shape == computed.values.shape == (1, config.input_spec(1.0).frames) and np.isfinite(out).all()


@pytest.mark.parametrize(
    "changes", [{"n_mels": 1}, {"kind": "mfcc", "n_mfcc": 2}, {"kind": "cqt", "n_bins": 1}], ids=str
)
def test_one_row_is_never_normalised_by_frame(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="normalisation 'frame'"):  # which would make every value zero
        Representation.from_dict({"kind": "mel"} | changes)
