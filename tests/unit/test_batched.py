"""Batches with torch: what the CPU's execution gives, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import RATE, music, tone
from tests.gpu.parity import tolerance
from tests.unit.test_features import SPECTRAL
from tonearm.audio.decode import Layout
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features import Chroma, Contrast, Cqt, Mel, Mfcc, RawWaveform, Representation, Stft, extract
from tonearm.features.batched import extract_batch
from tonearm.features.computed import ComputedClip
from tonearm.features.constant_q import constant_q_power
from tonearm.features.engine import compute_layouts
from tonearm.features.spectral import fourier_power

Clip = Mapping[Layout, Waveform]
MONO: Layout = (RATE, 1)
HEARD = 1e-4  # 80 dB below the loudest: chroma of fainter frames divides float32's rounding by itself
DEEPEST = 3e-5  # 90 dB below the loudest bin of its frame: a valley below that is float32's rounding

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch.cuda.is_available() finds no GPU: cuda is not compared with cpu"
)
needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so cuda is no unknown device")

pytestmark = pytest.mark.filterwarnings("ignore:Empty filters")


def waveform(samples: npt.ArrayLike, rate: int = RATE) -> Waveform:
    """Read-only, so that whatever writes to it fails."""
    planes = np.array(samples, dtype=np.float32, ndmin=2)
    planes.flags.writeable = False
    return Waveform(planes, rate)


def impulse_at_the_end(samples: int) -> FloatArray:
    out = np.zeros(samples, dtype=np.float32)
    out[-1] = 1
    return out


SOUNDS: dict[str, FloatArray] = {
    "one sample": np.ones(1, dtype=np.float32),
    "100 samples": music(1.0)[2000:2100],
    "less than a hop": impulse_at_the_end(1023),
    "silence": np.zeros(9001, dtype=np.float32),
    "faint": 1e-6 * music(0.7, seed=1),
    "tone": tone(440.0, 1.0),
    "noise": np.random.default_rng(0).normal(0, 0.1, 33_333).astype(np.float32),
    "loud": 30 * music(1.9, seed=2)[:41_231],
    "music": music(3.01, seed=3),
}
CLIPS: list[Clip] = [{MONO: waveform(samples)} for samples in SOUNDS.values()]


def heard(clip: Clip, config: Representation) -> Any:
    """For chroma the frames that are not next to nothing, for contrast the valleys that are not; else all."""
    if isinstance(config, Contrast):
        frames = config.frames_kept(clip[config.layout].duration)
        planes = clip[config.layout].samples
        amplitude = np.sqrt([fourier_power(p, config.analysis, frames, [None])[None] for p in planes])
        valleys = [np.sort(amplitude[:, bins], axis=1)[:, :n].mean(axis=1) for bins, n in config.bands.slices()]
        deep = np.stack(valleys, axis=1) >= DEEPEST * amplitude.max(axis=1, keepdims=True)
        return deep if config.planes == 2 else deep[0]
    if not isinstance(config, Chroma):
        return slice(None)
    frames = 1 + clip[config.layout].samples.shape[1] // config.hop
    power = [constant_q_power(plane, config.analysis, frames) for plane in clip[config.layout].samples]
    loudest = np.sqrt(np.max(power, axis=(0, 1)))
    return (loudest >= HEARD * loudest.max())[: config.frames]


def assert_close(
    found: Sequence[Sequence[ComputedClip]],
    clips: Sequence[Clip],
    configs: Sequence[Representation],
    share: float = 1.0,
) -> None:
    """Every value within ``share`` of the tolerance of what the CPU gives."""
    for row, clip in zip(found, clips, strict=True):
        for config, ours, wanted in zip(configs, row, compute_layouts(clip, configs), strict=True):
            assert ours.values.dtype == ours.whole.dtype == np.float32
            assert ours.values.shape == wanted.values.shape and ours.whole.shape == wanted.whole.shape, config
            difference = np.abs(ours.whole - wanted.whole)[..., heard(clip, config)]
            assert difference.max(initial=0) <= share * tolerance(config), config
            assert np.array_equal(ours.values, ours.whole[..., : config.freq_bins, :])


def test_a_batch_of_different_lengths_is_what_the_cpu_gives() -> None:
    configs = [*SPECTRAL, RawWaveform()]
    assert_close(extract_batch(CLIPS, configs, "cpu"), CLIPS, configs)


@pytest.mark.parametrize("name", SOUNDS)
def test_one_clip_alone_is_the_same_as_in_a_batch(name: str) -> None:
    index = list(SOUNDS).index(name)
    in_batch, (alone,) = extract_batch(CLIPS, SPECTRAL, "cpu")[index], extract_batch([CLIPS[index]], SPECTRAL, "cpu")
    for config, one, other in zip(SPECTRAL, in_batch, alone, strict=True):
        difference = np.abs(one.whole - other.whole)[..., heard(CLIPS[index], config)]
        assert difference.max(initial=0) <= 0.25 * tolerance(config), config


def test_cuts_layouts_and_planes_share_a_batch() -> None:
    side: Layout = (44_100, "mid_side")
    configs: list[Representation] = [
        Mel(), Mel(frames=20), Mfcc(frames=20), Cqt(frames=20), Chroma(frames=None),
        Mel(sample_rate=44_100, channels="mid_side", n_fft=2048, hop=512, n_mels=64, win_length=1801),
        Stft(sample_rate=44_100, channels="mid_side", frames=30), Contrast(sample_rate=44_100, channels="mid_side"),
        Cqt(sample_rate=44_100, channels="mid_side", hop=512), Chroma(sample_rate=44_100, channels="mid_side"),
        RawWaveform(sample_rate=44_100, channels="mid_side", frames=999),
    ]  # fmt: skip
    clips: list[Clip] = [
        {
            MONO: waveform(music(seconds, seed=i)),
            side: waveform(
                np.stack([music(seconds, 44_100, seed=i), 1e-3 * music(seconds, 44_100, seed=i + 9)]), 44_100
            ),
        }
        for i, seconds in enumerate([0.31, 2.2, 1.17])
    ]
    found = extract_batch(clips, configs, "cpu")
    assert_close(found, clips, configs)
    assert found[1][5].values.shape == (2, 64, 190)


@given(
    st.sampled_from([Stft, Mel, Mfcc, Contrast]), st.integers(64, 2048), st.floats(0.1, 1.0), st.floats(0.1, 1.0),
    st.none() | st.integers(1, 40), st.lists(st.integers(1, 40_000), min_size=1, max_size=3),
)  # fmt: skip
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_fourier_settings(
    kind: type[Stft | Mel | Mfcc | Contrast],
    half: int,
    part: float,
    step: float,
    frames: int | None,
    lengths: list[int],
) -> None:
    win_length = max(16, round(2 * half * part))
    fields: dict[str, Any] = {"n_fft": 2 * half, "win_length": win_length, "frames": frames}
    fields |= {"hop": max(16, round(win_length * step))} | ({"n_mels": min(64, half)} if kind in (Mel, Mfcc) else {})
    config = kind(**fields)
    clips: list[Clip] = [{MONO: waveform(music(2.0, seed=n)[:n])} for n in lengths]
    assert_close(extract_batch(clips, [config], "cpu"), clips, [config])


@given(
    st.sampled_from([Cqt, Chroma]), st.sampled_from([16_000, 22_050, 44_100]), st.sampled_from([12, 24, 36]),
    st.integers(2, 160), st.sampled_from([441, 448, 512, 1000, 1024, 4096]), st.none() | st.integers(1, 40),
    st.lists(st.integers(1, 60_000), min_size=1, max_size=3),
)  # fmt: skip
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_constant_q_settings(
    kind: type[Cqt | Chroma], rate: int, per_octave: int, n_bins: int, hop: int, frames: int | None, lengths: list[int]
) -> None:
    n_bins = min(n_bins, 7 * per_octave)
    config = kind(sample_rate=rate, bins_per_octave=per_octave, n_bins=n_bins, hop=hop, frames=frames)
    clips: list[Clip] = [{config.layout: waveform(music(4.0, rate, seed=n)[:n], rate)} for n in lengths]
    assert_close(extract_batch(clips, [config], "cpu"), clips, [config])


def test_ends_are_heard_alike_where_the_rate_is_lowered_early() -> None:
    config = Cqt(hop=512, n_bins=79, fmin=65.4, frames=None)  # an eighth of the rate: soxr rounds the last sample off
    clips: list[Clip] = [{MONO: waveform(music(1.0, seed=n)[:n])} for n in (1, 3, 4, 5, 100, *range(8000, 8008))]
    assert_close(extract_batch(clips, [config], "cpu"), clips, [config])


def test_nothing_gives_nothing() -> None:
    assert extract_batch([], SPECTRAL, "cpu") == []
    assert extract_batch(CLIPS[:2], [], "cpu") == [[], []]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AudioError, match="too_short: no samples"):
        extract_batch([CLIPS[-1], {MONO: waveform(np.zeros((1, 0)))}], [Mel()], "cpu")
    with pytest.raises(AudioError, match="wrong_channels: 2 channels, mel takes 1"):
        extract_batch([{MONO: waveform(np.zeros((2, 99)))}], [Mel()], "cpu")
    with pytest.raises(AudioError, match="wrong_rate"):
        extract(waveform(np.zeros(99), 44_100), ["mel"], device="cpu:0")


def test_extract_computes_on_a_named_device() -> None:
    audio = waveform(music(1.0))
    out, wanted = extract(audio, ["mel", Cqt()], device="cpu:0"), extract(audio, ["mel", Cqt()])
    assert list(out) == list(wanted)
    for name, values in out.items():
        assert np.abs(values - wanted[name]).max() <= 0.05


@pytest.mark.parametrize("device", ["abacus", "", "cuda:99", "meta"])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{device}' computes no representations here.*use 'cpu' or a GPU"):
        extract(waveform(music(0.2)), ["mel"], device=device)


@needs_no_cuda
def test_without_a_gpu_cuda_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"device 'cuda' .*use 'cpu' or a GPU that torch.cuda.is_available\(\) finds"):
        extract(waveform(music(0.2)), ["mel"], device="cuda")


def test_the_precision_of_others_is_left_alone() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        extract_batch(CLIPS[-1:], [Mel()], "cpu")
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(AudioError):
            extract_batch([{MONO: waveform(np.zeros((1, 0)))}], [Mel()], "cpu")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@needs_cuda
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    configs = [*SPECTRAL, RawWaveform(), Cqt(hop=512, n_bins=79, fmin=65.4)]
    assert_close(extract_batch(CLIPS, configs, "cuda"), CLIPS, configs)
    audio = CLIPS[-1][MONO]
    out, wanted = extract(audio, ["mel", "cqt"], device="cuda"), extract(audio, ["mel", "cqt"])
    assert all(np.abs(out[name] - wanted[name]).max() <= 0.05 for name in wanted)
