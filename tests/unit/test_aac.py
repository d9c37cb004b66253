"""M4A and AAC, which FFmpeg decodes, beside the same music as WAV."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from tests.builders import music
from tonearm.audio import ffmpeg
from tonearm.audio.decode import decode, describe
from tonearm.audio.windows import ClipConfig, load_clips
from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray

RATE, SECONDS = 44_100, 3.0
KINDS = {"m4a": ("ipod", "aac"), "alac": ("mp4", "alac"), "adts": ("adts", "aac")}


def stereo() -> FloatArray:
    return np.stack([music(SECONDS, RATE, seed=1), music(SECONDS, RATE, seed=2)])


def write(kind: str, samples: FloatArray) -> bytes:
    """Samples (2, n) in one of the containers."""
    container, codec = KINDS[kind]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE, layout="stereo")
        integers = codec == "alac"
        values = (samples * 32767).astype(np.int16) if integers else samples
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(values[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="s16p" if integers else "fltp", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {kind: write(kind, stereo()) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_music_comes_back(kind: str, files: dict[str, bytes], tmp_path: Path) -> None:
    info = describe(files[kind])
    assert (info.sample_rate, info.channels) == (RATE, 2)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)
    found, wanted = decode(files[kind], RATE, 2).samples, stereo()
    lag = 1024 if kind == "adts" else 0  # a raw stream does not say what its encoder put in front
    length = min(found.shape[1] - lag, wanted.shape[1])
    error = found[:, lag : lag + length] - wanted[:, :length]
    assert np.sqrt((error**2).mean()) < (1e-4 if kind == "alac" else 0.1 * np.sqrt((wanted**2).mean()))
    path = tmp_path / "song.mp3"  # the content decides, not the name
    path.write_bytes(files[kind])
    assert np.array_equal(decode(path, RATE, 2).samples, found)
    assert decode(path).samples.shape[0] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_that_part(kind: str, files: dict[str, bytes]) -> None:
    whole = decode(files[kind], RATE, 2).samples
    for offset, seconds in [(0.0, 0.5), (1.25, 1.0), (2.5, 9.0)]:
        part = decode(files[kind], RATE, 2, offset, seconds).samples
        start = round(offset * RATE)
        wanted = whole[:, start : start + round(seconds * RATE)]
        assert part.shape == wanted.shape
        # AAC synthesises noise of its own where the encoder asks for it, and not the same each time.
        assert np.abs(part - wanted).max() < (1e-6 if kind == "alac" else 0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.7, 0.95, 0.999])
def test_truncated_files_are_refused_or_decoded_as_far_as_they_go(
    kind: str, share: float, files: dict[str, bytes]
) -> None:
    data = files[kind]
    try:
        seconds = decode(data[: max(1, round(share * len(data)))]).duration
    except AudioError as error:
        assert error.reason in ("undecodable", "empty") and error.detail
        assert kind != "adts" or share < 0.3
    else:
        assert seconds <= SECONDS + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_raise_nothing_else(kind: str, files: dict[str, bytes]) -> None:
    rng = np.random.default_rng(3)
    for i in range(25):
        damaged = bytearray(files[kind])
        for place in rng.integers(0, 300 if i % 2 else len(damaged), 1 + i):
            damaged[place] = int(rng.integers(0, 256))
        try:
            assert decode(bytes(damaged)).samples.dtype == np.float32
        except AudioError as error:
            assert error.reason in ("undecodable", "empty", "bad_header", "too_many_channels")


@pytest.mark.parametrize("hop", [0.25, 0.5, 0.75])
def test_overlapping_clips_are_decoded_once(
    hop: float, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    samples_of = ffmpeg._samples
    monkeypatch.setattr(ffmpeg, "_samples", lambda *a: decoded.append(1) or samples_of(*a))  # type: ignore[func-returns-value]
    data, whole = files["adts"], decode(files["adts"], RATE, 2).samples
    once, clip = len(decoded), ClipConfig(seconds=0.5, position="all", hop=hop)
    found = list(load_clips(data, clip, [(RATE, 2)], 0.1))
    assert len(decoded) <= 2 * once + 1 and len(found) >= 4
    for one in found:
        first = round(one.start * RATE)
        assert np.abs(one.waveforms[RATE, 2].samples - whole[:, first : first + RATE // 2]).max() < 0.02
