"""Decoding, block by block, channels and tags."""

from __future__ import annotations

import importlib
import io
import uuid
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import RATE, encode, music, tone
from tonearm.audio import decode
from tonearm.audio.channels import convert_channels
from tonearm.audio.decode import Layout, decode_layouts, describe, open_audio
from tonearm.core import storage
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray

# Container, subtype, and the largest error of a decoded sample: half a step where a format is lossless.
EXACT = [
    ("WAV", "PCM_U8", 1 / 128), ("WAV", "PCM_16", 1 / 2**15), ("WAV", "PCM_24", 1 / 2**22),
    ("WAV", "PCM_32", 1 / 2**22), ("WAV", "FLOAT", 0.0), ("WAV", "DOUBLE", 0.0),
    ("FLAC", "PCM_16", 1 / 2**15), ("FLAC", "PCM_24", 1 / 2**22), ("AIFF", "PCM_16", 1 / 2**15),
]  # fmt: skip
LOSSY = [("OGG", "VORBIS", RATE), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", RATE)]


def level(samples: FloatArray, frequency: float, rate: int) -> float:
    """Amplitude of a sine of that frequency in the middle half of the samples."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    time = np.arange(len(middle)) / rate
    window = np.hanning(len(middle))
    return float(2 * abs((middle * window * np.exp(-2j * np.pi * frequency * time)).sum()) / window.sum())


def frequency_of(samples: FloatArray, rate: int) -> float:
    """The strongest frequency, to about a hundredth of a bin."""
    spectrum = np.log(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) + 1e-12)
    peak = int(spectrum.argmax())
    a, b, c = spectrum[peak - 1 : peak + 2]
    return float((peak + 0.5 * (a - c) / (a - 2 * b + c)) * rate / len(samples))


# --- decoding


@pytest.mark.parametrize(("container", "subtype", "error"), EXACT)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_formats_come_back_as_written(container: str, subtype: str, error: float, channels: int) -> None:
    written = np.stack([tone(200 * (c + 1), 0.1, amplitude=0.3) for c in range(channels)], axis=1)
    read = decode(encode(written, RATE, container, subtype), RATE)
    assert read.samples.dtype == np.float32 and read.samples.flags.c_contiguous
    assert read.samples.shape == (1, len(written)) and read.sample_rate == RATE
    np.testing.assert_allclose(read.samples[0], written.mean(axis=1), atol=error + 1e-7)


@pytest.mark.parametrize(("container", "subtype", "rate"), LOSSY)
def test_lossy_formats_keep_length_frequency_and_amplitude(container: str, subtype: str, rate: int) -> None:
    read = decode(encode(tone(440, 2.0, rate), rate, container, subtype), rate)
    assert read.duration == pytest.approx(2.0, abs=0.1)  # MP3 and Opus may add a few frames of their codec
    assert frequency_of(read.samples[0], rate) == pytest.approx(440, abs=0.5)
    assert level(read.samples[0], 440, rate) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("place", ["bytes", "path", "text", "file", "memory"])
def test_every_kind_of_source_decodes_alike(place: str, tmp_path: Path) -> None:
    data = encode(tone(440, 0.2))
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    memory = f"memory://{uuid.uuid4().hex}/a.wav"
    storage.write_bytes(memory, data)
    source = {"bytes": data, "path": path, "text": str(path), "file": f"file://{path}", "memory": memory}[place]
    assert np.array_equal(decode(source).samples, decode(data).samples)  # type: ignore[arg-type]


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really_flac.mp3"
    path.write_bytes(encode(tone(440, 0.2), RATE, "FLAC"))
    assert describe(path).format == "FLAC"
    assert decode(path).duration == pytest.approx(0.2)


def test_header_is_described() -> None:
    about = describe(encode(np.zeros((4800, 2)), 48_000))
    assert (about.duration, about.sample_rate, about.channels, about.format) == (0.1, 48_000, 2, "WAV")


@pytest.mark.parametrize("source_rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_frequency_amplitude_and_length(source_rate: int) -> None:
    read = decode(encode(tone(997, 2.0, source_rate, 0.4), source_rate, subtype="FLOAT"), RATE)
    assert abs(read.samples.shape[1] - 2 * RATE) <= 1
    assert frequency_of(read.samples[0], RATE) == pytest.approx(997, abs=0.05)
    assert level(read.samples[0], 997, RATE) == pytest.approx(0.4, rel=2e-3)


def test_resampling_does_not_fold_what_is_too_high() -> None:
    read = decode(encode(tone(15_000, 1.0, 44_100, 0.5), 44_100, subtype="FLOAT"), RATE)
    assert np.abs(read.samples[0][1000:-1000]).max() < 1e-3


def test_offset_and_duration_take_the_part_they_name() -> None:
    ramp = np.linspace(-0.5, 0.5, 4 * RATE, dtype=np.float32)
    data = encode(ramp, subtype="FLOAT")
    part = decode(data, offset=1.0, duration=0.5).samples[0]
    assert np.array_equal(part, ramp[RATE : RATE + RATE // 2])
    assert np.array_equal(decode(data, offset=3.5, duration=9.0).samples[0], ramp[round(3.5 * RATE) :])
    assert np.array_equal(decode(data, offset=3.5).samples[0], ramp[round(3.5 * RATE) :])


def test_nothing_after_the_offset_is_an_error() -> None:
    with pytest.raises(AudioError, match="holds no samples after 9 s") as caught:
        decode(encode(tone(440, 0.5)), offset=9.0)
    assert caught.value.reason == "empty"


# --- blocks: what is read block by block is what one read gives, bit for bit

DECODER = importlib.import_module("tonearm.audio.recording")
FILES = [("WAV", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)]
PARTS = [(0.0, None), (0.3, 0.7), (0.77, 0.01), (1.2, 9.0)]


def noise(count: int, rate: int, seconds: float = 1.5) -> FloatArray:
    """Different noise in each channel, float32 (samples, channels)."""
    return np.random.default_rng(count).normal(0, 0.1, (round(seconds * rate), count)).astype(np.float32)


def in_one(data: bytes, layout: Layout, offset: float = 0.0, duration: float | None = None) -> FloatArray:
    """Decoded, mixed and resampled in one piece each, by the libraries alone."""
    rate = soundfile.info(io.BytesIO(data)).samplerate
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    start = round(offset * rate)
    mixed = convert_channels(samples[start:][: None if duration is None else round(duration * rate)], layout[1]).T
    return mixed.T if rate == layout[0] else soxr.resample(mixed, rate, layout[0], "HQ").T


@pytest.mark.parametrize(("container", "subtype"), FILES)
@pytest.mark.parametrize(("offset", "duration"), PARTS)
def test_blocks_give_what_one_read_gives(
    container: str, subtype: str | None, offset: float, duration: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(noise(2, 44_100), 44_100, container, subtype)
    layouts: list[Layout] = [(r, c) for r in (44_100, RATE, 16_000, 96_000) for c in (1, 2, "mid_side")]
    for block in (997, 4096, 2**22):
        monkeypatch.setattr(DECODER, "BLOCK_SAMPLES", block)
        several = decode_layouts(data, [*layouts, layouts[0]], offset, duration)
        assert list(several) == layouts
        for layout, waveform in several.items():
            assert waveform.samples.dtype == np.float32 and waveform.sample_rate == layout[0]
            assert np.array_equal(waveform.samples, in_one(data, layout, offset, duration)), (block, layout)
            assert np.array_equal(waveform.samples, decode(data, *layout, offset, duration).samples)


@given(data=st.data(), count=st.integers(1, 8), rate=st.sampled_from([1000, 8000, 44_100, 192_000]))
@settings(max_examples=40, deadline=None)
def test_any_channels_rates_and_blocks_give_what_one_read_gives(data: st.DataObject, count: int, rate: int) -> None:
    encoded = encode(noise(count, rate, 0.1), rate, "FLAC" if data.draw(st.booleans()) else "WAV")
    wanted = data.draw(st.sampled_from([1000, 8000, RATE, 48_000, 96_000]))
    layout: Layout = (wanted, data.draw(st.sampled_from([1, 2, "mid_side"] if count <= 2 else [1])))
    offset, duration = data.draw(st.floats(0, 0.09)), data.draw(st.none() | st.floats(0.005, 0.2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            DECODER, "BLOCK_SAMPLES", data.draw(st.integers(1, rate // 5).map(lambda b: max(b, rate // 1000)))
        )
        read = decode(encoded, *layout, offset, duration).samples
    assert np.array_equal(read, in_one(encoded, layout, offset, duration))


@pytest.mark.parametrize("rest", [0, 1, 100, 300, 700])
def test_the_last_block_of_opus_is_right_however_short(rest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DECODER, "BLOCK_SAMPLES", 2**15)
    data = encode(music(2.0, 48_000)[: 2**16 + rest], 48_000, "OGG", "OPUS")
    assert np.array_equal(decode(data, 48_000).samples, in_one(data, (48_000, 1)))


@pytest.mark.parametrize(("container", "subtype"), FILES)
def test_parts_of_an_open_file_are_the_same_in_any_order(container: str, subtype: str | None) -> None:
    data = encode(noise(2, RATE), RATE, container, subtype)
    atol = 1e-7 if container == "MP3" else 0  # MP3's decoder rounds otherwise after a jump, in the last bit
    with open_audio(data) as file:
        for part in [(0.0, 0.2), (0.2, 0.2), (1.4, 0.5), (0.1, 0.3), (0.1, 0.3), (0.0, None)]:
            read = file.read([(RATE, 2)], *part)[RATE, 2].samples
            np.testing.assert_allclose(read, in_one(data, (RATE, 2), *part), rtol=0, atol=atol, err_msg=str(part))


# --- channels


@pytest.mark.parametrize("count", range(1, 7))
def test_mono_is_the_mean_of_all_channels(count: int) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, (500, count)).astype(np.float32)
    read = decode(encode(samples, subtype="FLOAT"), channels=1)
    np.testing.assert_allclose(read.samples, samples.mean(axis=1)[None], atol=1e-6)


def test_two_channels_are_left_and_right_and_mono_is_doubled() -> None:
    stereo = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    assert np.array_equal(decode(encode(stereo, subtype="FLOAT"), channels=2).samples, stereo.T)
    mono = decode(encode(stereo[:, 0], subtype="FLOAT"), channels=2).samples
    assert np.array_equal(mono[0], mono[1]) and np.array_equal(mono[0], stereo[:, 0])


def test_mid_and_side_give_back_left_and_right() -> None:
    stereo = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    mid, side = decode(encode(stereo, subtype="FLOAT"), channels="mid_side").samples
    np.testing.assert_allclose(mid + side, stereo[:, 0], atol=1e-6)
    np.testing.assert_allclose(mid - side, stereo[:, 1], atol=1e-6)
    mono = decode(encode(stereo[:, 0], subtype="FLOAT"), channels="mid_side").samples
    assert np.array_equal(mono[0], stereo[:, 0]) and not mono[1].any()


@pytest.mark.parametrize("layout", [2, "mid_side"])
def test_more_than_two_channels_have_no_sides(layout: object) -> None:
    with pytest.raises(AudioError) as caught:
        decode(encode(np.zeros((500, 3))), channels=layout)  # type: ignore[arg-type]
    assert caught.value.reason == "too_many_channels"


def test_other_layouts_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose 1, 2 or 'mid_side'"):
        convert_channels(np.zeros((5, 2), dtype=np.float32), 3)  # type: ignore[arg-type]
