"""What a notebook may hand to decode and extract, and what it is told."""

from __future__ import annotations

import importlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import RATE, encode, music
from tonearm.audio import decode
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import Waveform
from tonearm.features import Mel, extract
from tonearm.features.presets import display_name

SONG = Waveform(music(3.0)[None], RATE)


def test_each_representation_has_its_own_memory() -> None:
    found = extract(SONG, ["stft", "stft_halved", "mel", "waveform", "waveform(normalisation='none')"])
    names = list(found)
    for i, name in enumerate(names):
        for other in names[i + 1 :]:
            assert not np.shares_memory(found[name], found[other])
        assert not np.shares_memory(found[name], SONG.samples)
    halved = found["stft_halved"].copy()
    found["stft"] -= found["stft"].mean()
    assert np.array_equal(found["stft_halved"], halved)


@pytest.mark.parametrize(("samples", "reason"), [
    (np.where(np.arange(RATE) == 7, np.nan, music(1.0)).astype(np.float32)[None], "not_finite"),
    (np.where(np.arange(RATE) == 7, np.inf, music(1.0)).astype(np.float32)[None], "not_finite"),
    ((32768 * music(1.0)).astype(np.int16)[None], "wrong_type"),
    (music(1.0).astype(np.float64)[None], "wrong_type"),
    (music(1.0), "wrong_type"),
    ([[0.0] * RATE], "wrong_type"),
])  # fmt: skip
def test_samples_that_are_none_are_refused(samples: Any, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        extract(Waveform(samples, RATE), ["mel"])
    assert caught.value.reason == reason


def test_one_name_is_one_representation_and_an_array_is_no_waveform() -> None:
    assert list(extract(SONG, "mel")) == ["mel"]
    with pytest.raises(ConfigError, match=r"ndarray is no waveform: pass decode\(path\)"):
        extract(SONG.samples, ["mel"])  # type: ignore[arg-type]
    with pytest.raises(AudioError, match=r"shape \(66150,\), not float32 .*samples\[None\] adds the channel"):
        extract(Waveform(SONG.samples[0], RATE), "mel")
    with pytest.raises(AudioError, match=r"0 Hz: a sample rate is above 0"):
        extract(Waveform(SONG.samples, 0), "mel")
    for nothing in (None, 3, Mel, ["mel", None]):
        with pytest.raises(ConfigError, match="is no representation: give a name such as 'mel', or a config"):
            extract(SONG, nothing)  # type: ignore[arg-type]


def test_configs_are_told_apart_by_what_a_person_would_type() -> None:
    configs = [Mel(), Mel(frames=643), Mel(normalisation="none"), Mel(normalisation="track"), Mel(n_mels=64)]
    found = extract(SONG, configs)
    assert list(found) == ["mel(frames=None)", "mel", "mel(normalisation='none')", "mel(normalisation='track')",
                           "mel(n_mels=64)"]  # fmt: skip
    for config, values in zip(configs, found.values(), strict=True):
        assert found[config] is values and np.array_equal(found[config.store_name()], values)
        for key in (config, config.store_name(), display_name(config)):
            assert key in found and np.array_equal(found.get(key), values)
    assert "cqt" not in found and Mel(n_mels=32) not in found and 7 not in found
    assert found.get("cqt") is None and found.get(Mel(n_mels=32), 3) == 3
    typed, config = extract(SONG, "mel(n_mels=64, frames=None)"), Mel(n_mels=64)
    assert config in typed and typed[config] is typed.get(config) is typed["mel(n_mels=64, frames=None)"]
    with pytest.raises(KeyError, match=r"'cqt' was not extracted; extracted were mel\(frames=None\), mel"):
        found["cqt"]


def test_samples_with_the_scale_of_integers_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        extract(Waveform(32768 * SONG.samples, RATE), "mel")
    assert "times full scale: if they were integers, divide them by their maximum, 32768" in caplog.text


def test_frames_that_are_dropped_are_told(caplog: pytest.LogCaptureFixture) -> None:
    long = Waveform(np.tile(music(10.0), 7)[None], RATE)
    with caplog.at_level(logging.WARNING):
        assert extract(long, ["mel"])["mel"].shape == (256, 643)
    assert "mel keeps 643 frames, 29.8 s, of the 1508 of a clip of 70 s" in caplog.text
    caplog.clear()
    assert extract(long, ["mel(frames=None)"])["mel(frames=None)"].shape == (256, 1508) and not caplog.records


def test_waveforms_compare_hash_and_show_themselves() -> None:
    other = Waveform(SONG.samples.copy(), RATE)
    assert other == SONG and hash(SONG) == hash(other) and Waveform(SONG.samples, 8000) != SONG and SONG != 3
    assert repr(SONG) == "Waveform(1 channel(s), 3.000 s at 22050 Hz)"


def test_every_kind_of_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(music(1.0, 44_100), 44_100)
    (tmp_path / "a #1 100%25?.wav").write_bytes(data)
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = decode(data)
    sources = [bytearray(data), memoryview(data), io.BytesIO(data), tmp_path / "a #1 100%25?.wav", "~/a #1 100%25?.wav"]
    assert all(decode(source) == wanted for source in sources)
    with (tmp_path / "a #1 100%25?.wav").open("rb") as file:
        assert decode(file) == wanted
    assert decode(data, sample_rate=None).sample_rate == 44_100
    for nothing in (None, 5, io.StringIO("text"), [data]):
        with pytest.raises(ConfigError, match="is no recording: pass a path"):
            decode(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1, 22050.5, 10**9, "22050"])
def test_rates_that_cannot_be_are_named(rate: Any) -> None:
    with pytest.raises(ConfigError, match=r"sample_rate is .*: give whole Hz within 1000 and 768000, or None"):
        decode(encode(music(0.2)), sample_rate=rate)


def test_an_hour_is_the_most_at_once_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("recording", "decode"):
        monkeypatch.setattr(importlib.import_module(f"tonearm.audio.{module}"), "LONGEST_DECODE_SECONDS", 2.0)
    with caplog.at_level(logging.WARNING):
        assert decode(encode(music(5.0))).duration == 2.0
    assert "5 s were asked for, the first 2 s are decoded" in caplog.text
    caplog.clear()
    assert decode(encode(music(5.0)), duration=1.5).duration == 1.5 and not caplog.records
