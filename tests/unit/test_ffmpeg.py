"""What FFmpeg decodes is float32 whatever its samples are, and what cannot be converted is no usable audio."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from tests.builders import music
from tests.odd_audio import RATE, write
from tonearm.audio import decode, ffmpeg
from tonearm.audio.decode import describe
from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray

SECONDS = 1.0


def wide_wav(samples: FloatArray) -> bytes:
    """PCM of 64 bits, samples of shape (samples, channels)."""
    data = np.round(samples.astype(np.float64) * 2**62).astype("<i8").tobytes()
    channels = samples.shape[1]
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * 8 * channels, 8 * channels, 64)
    parts = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_of_64_bits_are_read(channels: int) -> None:
    samples = np.stack([music(SECONDS, seed=i) for i in range(channels)], axis=1)
    data = wide_wav(samples)
    assert describe(data).channels == channels
    assert np.abs(decode(data).samples[0] - samples.mean(axis=1) / 2).max() < 1e-4
    part = decode(data, offset=0.5, duration=0.25).samples[0]
    assert np.abs(part - samples.mean(axis=1)[RATE // 2 :][: len(part)] / 2).max() < 1e-4


@pytest.mark.parametrize("codec", ["pcm_s64le", "pcm_f64le", "pcm_s32le", "pcm_s24le", "pcm_s16le", "pcm_u8"])
def test_other_samples_in_matroska_and_wav_are_read(codec: str) -> None:
    for container in ("wav", "matroska"):
        if (codec, container) == ("pcm_s64le", "matroska"):
            continue  # which has no such samples
        found = decode(write(music(SECONDS), RATE, container, codec)).samples[0]
        assert len(found) == pytest.approx(SECONDS * RATE, rel=0.015)  # Matroska's packets last whole milliseconds
        assert np.abs(found - music(SECONDS)[: len(found)]).max() < 0.01


def test_what_cannot_be_converted_is_no_usable_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(frame: Any, channels: int) -> FloatArray:
        raise ValueError("Conversion from 's128' format to numpy array is not supported.")

    monkeypatch.setattr(ffmpeg, "_samples", refuse)
    for data in (wide_wav(music(SECONDS)[:, None]), write(music(SECONDS), RATE, "adts", "aac")):
        with pytest.raises(AudioError, match="s128") as caught:
            decode(data)
        assert caught.value.reason == "undecodable"
