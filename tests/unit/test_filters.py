"""Our own filters are librosa's, soxr's and torchaudio's: they only spare a bare machine these libraries."""

from __future__ import annotations

import re
import sys
import warnings

import librosa
import numpy as np
import pytest
import soxr
import torch
import torchaudio

from tests.builders import music
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.features import Cqt, Mel
from tonearm.features.augment import AugmentConfig, mask
from tonearm.features.constant_q import constant_q_power, lower_rate
from tonearm.features.cqt import C1
from tonearm.features.filters import (
    empty_bands,
    equal_temperament,
    halving_filter,
    mel_edges,
    mel_filters,
    pitch_class_filters,
    sparse_wavelets,
)


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"),
    [
        (22050, 4096, 256, 0.0, 11025.0), (22050, 2048, 24, 0.0, 11025.0), (44100, 1024, 64, 0.0, 22050.0),
        (16000, 512, 40, 300.0, 7000.0), (22050, 2048, 1, 30.0, 900.0),
    ],
)  # fmt: skip
def test_mel_bands_are_librosas_to_the_last_digit(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> None:
    wanted = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float32)
    assert np.array_equal(mel_filters(rate, n_fft, n_mels, fmin, fmax), wanted)
    edges = librosa.mel_frequencies(n_mels + 2, fmin=fmin, fmax=fmax)
    assert np.array_equal(mel_edges(n_mels, fmin, fmax), edges)


def test_bands_between_two_bins_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="Empty filters: 38 of 200 mel bands lie between two bins of n_fft 512"):
        found = mel_filters(44100, 512, 200, 0.0, 22050.0)
    with pytest.warns(UserWarning, match="Empty filters"):
        assert np.array_equal(found, librosa.filters.mel(sr=44100, n_fft=512, n_mels=200, dtype=np.float32))


@pytest.mark.parametrize(
    ("n_bins", "per_octave", "classes", "fmin"),
    [
        (168, 24, 12, C1),
        (84, 12, 12, C1),
        (100, 36, 12, C1),
        (60, 36, 36, 65.4),
        (79, 24, 12, 440.0),
        (30, 24, 6, 50.0),
    ],
)
def test_pitch_classes_are_librosas(n_bins: int, per_octave: int, classes: int, fmin: float) -> None:
    wanted = librosa.filters.cq_to_chroma(n_bins, bins_per_octave=per_octave, n_chroma=classes, fmin=fmin)
    assert np.array_equal(pitch_class_filters(n_bins, per_octave, classes, fmin), wanted)
    frequencies = librosa.interval_frequencies(n_bins, fmin=fmin, intervals="equal", bins_per_octave=per_octave)
    assert np.array_equal(equal_temperament(n_bins, per_octave, fmin), frequencies)


@pytest.mark.parametrize(("bins", "per_octave", "rate"), [(24, 24, 22050.0), (7, 12, 11025.0)])
def test_wavelets_are_librosas(bins: int, per_octave: int, rate: float) -> None:
    frequencies = equal_temperament(bins, per_octave, 500.0)
    alpha = librosa.filters._relative_bandwidth(freqs=frequencies)
    basis, lengths = librosa.filters.wavelet(freqs=frequencies, sr=rate, alpha=alpha, norm=1, pad_fft=True)
    basis = basis * lengths[:, None] / basis.shape[1]
    spectra = np.fft.fft(basis, axis=1)[:, : basis.shape[1] // 2 + 1]
    wanted = librosa.util.sparsify_rows(spectra, quantile=0.01).toarray()
    found = sparse_wavelets(frequencies, alpha, rate, 0.01)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


def test_the_halving_filter_is_soxrs() -> None:
    taps, reach = halving_filter(), len(halving_filter()) // 2
    assert np.array_equal(taps, taps[::-1]) and taps.sum() == pytest.approx(1, abs=1e-6)
    for late in (0, 1):  # soxr gives every other sample of its response, an impulse one sample later the others
        impulse = np.zeros(4000, np.float32)
        impulse[2000 + late] = 1
        found = soxr.resample(impulse, 2, 1, quality="HQ")
        lag = 2 * np.arange(len(found)) - (2000 + late)
        near = np.abs(lag) <= reach
        assert np.abs(found[near] - taps[lag[near] + reach]).max() < 1e-7
        assert np.abs(found[~near]).max() < 1e-7


@pytest.mark.parametrize("length", [1, 2, 7, 5000, 5001])
def test_a_machine_without_soxr_halves_alike(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = music(1.0)[:length]
    wanted = lower_rate(samples, 2)
    monkeypatch.setitem(sys.modules, "soxr", None)
    found = lower_rate(samples, 2)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # the ends of a signal included


def test_without_soxr_the_constant_q_is_the_same_and_lower_ones_say_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples, config = music(2.0), Cqt()
    wanted = constant_q_power(samples, config.analysis, 43)
    monkeypatch.setitem(sys.modules, "soxr", None)
    heard = wanted > 1e-8 * wanted.max()
    off = 10 * np.abs(np.log10(constant_q_power(samples, config.analysis, 43)[heard] / wanted[heard]))
    assert off.max() < 0.05  # dB
    with pytest.raises(ConfigError, match="lowered to 1/4 by soxr, which is not installed"):
        lower_rate(samples, 4)


@pytest.mark.parametrize("size", [(20, 30), (7, 215)])
def test_masks_are_those_that_torchaudio_draws(size: tuple[int, int]) -> None:
    config = AugmentConfig(time_masks=2, time_mask_share=0.3, freq_masks=3, freq_mask_share=0.2)
    inputs = torch.randn(5, 2, *size)
    hidden = torch.zeros(5, *size, dtype=torch.bool)
    draws = torchaudio.functional.mask_along_axis_iid
    for axis, masks, share in ((2, 2, 0.3), (1, 3, 0.2)):
        torch.manual_seed(derive_seed("mask", axis, 11))
        length = size[axis - 1]
        shape = (5, 1, length + 1) if axis == 2 else (5, length + 1, 1)
        for _ in range(masks):
            hidden |= draws(torch.ones(shape), int(share * length) + 1, 0.0, axis).narrow(axis, 0, length) == 0
    before = torch.get_rng_state()
    found = mask(inputs, config, 11)
    assert torch.equal(before, torch.get_rng_state())  # so that it may run in a thread beside the loop
    assert torch.equal(found, torch.where(hidden[:, None], inputs.mean((-2, -1), keepdim=True), inputs))
    assert hidden.any()


@pytest.mark.parametrize(
    ("n_fft", "n_mels", "empty"), [(512, 256, 39), (1024, 513, 77), (4096, 256, 0), (2048, 128, 0)]
)
def test_empty_bands_are_told_with_the_most_that_has_none(n_fft: int, n_mels: int, empty: int) -> None:
    assert empty_bands(22050, n_fft, n_mels, 0.0, 11025.0) == empty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (~mel_filters(22050, n_fft, n_mels, 0.0, 11025.0).any(axis=1)).sum() == empty
    notes = Mel(n_fft=n_fft, n_mels=n_mels, hop=256).notes()
    if not empty:
        assert notes == () and Cqt().notes() == ()
        return
    (most,) = map(int, re.findall(r"at most (\d+) bands have none", notes[0]))
    assert f"{empty} of {n_mels} mel bands lie between two bins of n_fft {n_fft} and stay empty" in notes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mel_filters(22050, n_fft, most, 0.0, 11025.0).any(axis=1).all()
    with pytest.warns(UserWarning, match="Empty filters"):
        mel_filters(22050, n_fft, most + 1, 0.0, 11025.0)
