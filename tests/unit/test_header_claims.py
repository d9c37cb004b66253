"""A header's claim is no truth, in either direction: what can be decoded counts, for clips and the server, too."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from serve.listener import Listener
from serve.versions import resolve
from tests.builders import encode, music
from tests.odd_audio import RATE, crashed_aiff, crashed_wav, id3, mp3, with_xing_count, write
from tests.serve.conftest import write_model
from tonearm.audio import ClipConfig, decode, load_clip
from tonearm.audio.claims import find_false_claim
from tonearm.audio.decode import describe
from tonearm.audio.formats import Format
from tonearm.audio.mpeg import behind_tags
from tonearm.audio.windows import load_clips
from tonearm.core.errors import AudioError

SECONDS = 16.0


def flac(seconds: float, seed: int = 0) -> bytes:
    return encode(music(seconds, seed=seed), container="FLAC")


def flac_claiming(seconds: float, claimed: float) -> bytes:
    data = bytearray(flac(seconds))
    total = round(claimed * RATE)  # 36 bits behind rate, channels and depth
    data[21] = data[21] & 0xF0 | total >> 32 & 15
    data[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def ogg(seconds: float, seed: int = 0, rate: int = RATE) -> bytes:
    return encode(music(seconds, rate, seed), rate, "OGG", "VORBIS")


def opus(seconds: float, seed: int = 0) -> bytes:
    return encode(music(seconds, 48_000, seed), 48_000, "OGG", "OPUS")


def m4a(seconds: float) -> bytes:
    return write(music(seconds), RATE, "ipod", "aac", options={"movflags": "faststart"})


def adts(seconds: float, rate: int) -> bytes:
    return write(music(seconds, rate), rate, "adts", "aac")


def crashed_rf64(seconds: float) -> bytes:
    data = bytearray(write(music(seconds), RATE, "wav", "pcm_s16le", options={"rf64": "always"}))
    place = data.index(b"ds64") + 8
    data[place : place + 24] = bytes(24)
    return bytes(data)


def crashed_aifc(seconds: float) -> bytes:
    data = bytearray(write(music(seconds), RATE, "aiff", "pcm_s16le"))
    common, sound = data.index(b"COMM") + 10, data.index(b"SSND") + 4
    data[common : common + 4], data[sound : sound + 4] = bytes(4), struct.pack(">I", 8)
    return bytes(data)


def cut(data: bytes, share: float) -> bytes:
    return data[: round(share * len(data))]


LYING: dict[str, tuple[Callable[[], bytes], float]] = {
    "Xing x 10": (lambda: with_xing_count(mp3(SECONDS), lambda n: 10 * n), SECONDS),
    "Xing x 2": (lambda: with_xing_count(mp3(SECONDS), lambda n: 2 * n), SECONDS),
    "Xing / 10": (lambda: with_xing_count(mp3(SECONDS), lambda n: n // 10), SECONDS),
    "Xing / 2": (lambda: with_xing_count(mp3(SECONDS), lambda n: n // 2), SECONDS),
    "Xing 0": (lambda: with_xing_count(mp3(SECONDS), lambda n: 0), SECONDS),
    "Xing x 10 behind a tag": (lambda: id3(3000) + with_xing_count(mp3(SECONDS), lambda n: 10 * n), SECONDS),
    "Xing / 10, stereo, 44.1 kHz": (
        lambda: with_xing_count(mp3(SECONDS, rate=44_100, channels=2), lambda n: n // 10), SECONDS,
    ),
    "VBR without Xing": (lambda: mp3(SECONDS, xing=False, vbr=True), SECONDS),
    "MP3s joined": (lambda: mp3(4.0, 1) + mp3(12.0, 2), 16.0),
    "MP3s joined, tags between": (lambda: mp3(4.0, 1) + b"TAG".ljust(128, b"\0") + id3(90_000) + mp3(12.0, 2), 16.0),
    "MP3s of two rates joined": (lambda: mp3(4.0, 1) + mp3(12.0, 2, rate=44_100), 16.0),
    "MP3s, mono and stereo": (lambda: mp3(4.0, 1, channels=2) + mp3(12.0, 2), 16.0),
    "three MP3s": (lambda: mp3(4.0, 1) + mp3(4.0, 2) + mp3(8.0, 3), 16.0),
    "Oggs chained": (lambda: ogg(4.0, 1) + ogg(12.0, 2), 16.0),
    "an Ogg twice": (lambda: 2 * ogg(8.0, 1), 16.0),
    "Opus chained": (lambda: opus(6.0, 1) + opus(10.0, 2), 16.0),
    "FLACs of one length joined": (lambda: flac(8.0, 1) + flac(8.0, 2), 16.0),
    "FLACs joined": (lambda: flac(4.0, 1) + flac(12.0, 2), 16.0),
    "FLAC that claims more": (lambda: flac_claiming(SECONDS, 160.0), SECONDS),
    "FLAC that claims less": (lambda: flac_claiming(SECONDS, 1.6), SECONDS),
    "FLAC cut at 30 %": (lambda: cut(flac(SECONDS), 0.3), 0.3 * SECONDS),
    "FLAC cut at 90 %": (lambda: cut(flac(SECONDS), 0.9), 0.9 * SECONDS),
    "MP3 cut at 40 %": (lambda: cut(mp3(SECONDS), 0.4), 0.4 * SECONDS),
    "M4A cut at 35 %": (lambda: cut(m4a(SECONDS), 0.35), 0.33 * SECONDS),
    "M4A cut at 80 %": (lambda: cut(m4a(SECONDS), 0.80), 0.79 * SECONDS),
    "Ogg cut at 40 %": (lambda: cut(ogg(SECONDS), 0.4), 0.4 * SECONDS),
    "WAV of a crashed recorder": (lambda: crashed_wav(SECONDS), SECONDS),
    "WAV with the size of long ago": (lambda: crashed_wav(SECONDS, 2 * RATE), SECONDS),
    "WAV cut": (lambda: cut(encode(music(SECONDS)), 0.4), 0.4 * SECONDS),
    "WAV of 64 bits of a crashed recorder": (lambda: crashed_rf64(SECONDS), SECONDS),
    "AIFC of a crashed recorder": (lambda: crashed_aifc(SECONDS), SECONDS),
    "AAC of two rates joined": (lambda: adts(8.0, RATE) + adts(8.0, 44_100), 16.0),
    "AIFF of a crashed recorder": (lambda: crashed_aiff(SECONDS), SECONDS),
}  # fmt: skip


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Listener:
    return Listener(resolve(write_model(tmp_path_factory.mktemp("model"))), max_seconds=20.0)


@pytest.mark.parametrize("name", LYING)
def test_what_is_there_is_heard_everywhere_alike(name: str, listener: Listener) -> None:
    make, seconds = LYING[name]
    data, near = make(), 0.06 * seconds + 0.25
    whole = decode(data)
    assert whole.duration == pytest.approx(seconds, abs=near)
    assert describe(data).duration == pytest.approx(whole.duration, abs=0.7)
    wanted = min(8.0, whole.duration)
    middle = load_clip(data, ClipConfig(seconds=8.0))
    assert middle.duration == pytest.approx(wanted, abs=0.5)
    first = round((whole.duration - wanted) / 2 * RATE)  # it is the middle of what is there
    assert _correlation(middle.samples[0], whole.samples[0], first) > 0.9
    clips = list(load_clips(data, ClipConfig(seconds=2.0, position="all"), [(RATE, 1)], 0.5))
    assert [c.start for c in clips] == [2.0 * i for i in range(len(clips))]
    assert abs(len(clips) - whole.duration / 2) <= 1
    answer = listener.classify(data)
    assert "problem" not in answer, answer


def _correlation(part: np.ndarray, whole: np.ndarray, about: int) -> float:
    """The best correlation of a part with the whole at most half a second from a place."""
    slack = RATE // 2
    piece = part[slack : slack + 4 * RATE // 2]
    region = whole[max(0, about) : about + 2 * slack + len(piece)]
    size = 2 ** int(np.ceil(np.log2(len(region) + len(piece))))
    found = np.fft.irfft(np.fft.rfft(region, size) * np.conj(np.fft.rfft(piece, size)))[: len(region) - len(piece) + 1]
    lag = int(found.argmax())
    there = region[lag : lag + len(piece)]
    return float(there @ piece / np.sqrt((there @ there) * (piece @ piece) + 1e-12))


def chunk(name: bytes, size: int, order: Literal["little", "big"] = "little") -> bytes:
    return name + size.to_bytes(4, order) + b"x" * size


def odd_wav() -> bytes:
    """Of 8 bits, with an odd number of samples and no byte behind them."""
    data = bytearray(encode(music(8.0), subtype="PCM_U8"))
    place = data.index(b"data")
    count = (len(data) - place - 8) // 2 * 2 - 1
    data[place + 4 : place + 8] = count.to_bytes(4, "little")
    return bytes(data[: place + 8 + count])


HONEST: dict[str, Callable[[], bytes]] = {
    "MP3": lambda: mp3(8.0), "VBR MP3": lambda: mp3(8.0, vbr=True), "MP3 without Xing": lambda: mp3(8.0, xing=False),
    "libsndfile's MP3": lambda: encode(music(8.0), container="MP3"), "FLAC": lambda: flac(8.0),
    "Ogg": lambda: ogg(8.0), "Opus": lambda: opus(8.0), "WAV": lambda: encode(music(8.0)),
    "AIFF": lambda: encode(music(8.0), container="AIFF"), "M4A": lambda: m4a(8.0),
    "WAV with more behind": lambda: encode(music(8.0)) + b"LIST" + (9000).to_bytes(4, "little") + bytes(9000),
    "WAV of odd size with a chunk behind": lambda: odd_wav() + chunk(b"LIST", 9000),
    "WAV with a cut chunk behind": lambda: encode(music(8.0)) + chunk(b"bext", 90_000)[:9000],
    "WAV with chunks behind": lambda: encode(music(8.0)) + chunk(b"Xyz ", 5000) + chunk(b"iXML", 9000),
    "WAV with zeros behind": lambda: encode(music(8.0)) + bytes(50_000),
    "WAV with zeros and a chunk behind": lambda: encode(music(8.0)) + bytes(20_000) + chunk(b"id3 ", 9000),
    "WAV with many chunks behind": lambda: encode(music(8.0)) + chunk(b"none", 0) * 400_000,
    "AIFF with a chunk behind": lambda: encode(music(8.0), container="AIFF") + chunk(b"ANNO", 90_000, "big")[:9000],
    "WAV with a tag behind": lambda: encode(music(8.0)) + id3(9000),
    "FLAC with a tag behind": lambda: flac(8.0) + id3(300_000),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_said_of_headers_that_are_right(name: str, caplog: pytest.LogCaptureFixture) -> None:
    data = HONEST[name]()
    assert decode(data).duration == pytest.approx(8.0, abs=0.15)
    assert load_clip(data, ClipConfig(seconds=2.0)).duration == pytest.approx(2.0, abs=0.01)
    assert not caplog.records


def test_what_a_header_claims_wrongly_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    data = with_xing_count(mp3(SECONDS), lambda n: 10 * n)
    clips, notes = ClipConfig(seconds=2.0, position="all"), []
    with caplog.at_level(logging.WARNING):
        list(load_clips(data, clips, [(RATE, 1)], note=notes.append))
    assert notes == ["claims 161 s, holds 16 s"] and not caplog.records
    with caplog.at_level(logging.WARNING):
        decode(data)
    assert [r.getMessage() for r in caplog.records] == [f"{len(data)} bytes claims 161 s, holds 16 s"]


def test_damage_in_the_middle_costs_what_is_damaged() -> None:
    for data, least in ((flac(SECONDS), 4.0), (mp3(SECONDS), 12.0), (m4a(SECONDS), 4.0)):
        damaged = bytearray(data)
        half = len(data) // 2
        damaged[half : half + 600] = np.random.default_rng(0).bytes(600)
        assert decode(bytes(damaged)).duration > least


@pytest.mark.parametrize("seconds", [3 * 3600.0, 50 * 3600.0])
def test_hours_that_are_only_claimed_cost_nothing(seconds: float) -> None:
    for data in (with_xing_count(mp3(4.0), lambda n: min(2**32 - 1, round(seconds * 38))), flac_claiming(4.0, seconds)):
        assert describe(data).duration == pytest.approx(4.0, abs=0.3)
        assert load_clip(data, ClipConfig(seconds=2.0)).duration == pytest.approx(2.0, abs=0.01)


def test_a_recorder_that_wrote_no_sample_left_nothing() -> None:
    for data in (crashed_wav(0.0), encode(np.zeros(0), container="AIFF")):
        with pytest.raises(AudioError) as caught:
            decode(data)
        assert caught.value.reason == "empty"


def test_a_wav_behind_a_wav_is_said() -> None:
    notes: list[str] = []
    for data in (encode(music(4.0)) + encode(music(8.0)), encode(music(4.0)) + encode(music(8.0))[:9000]):
        notes.clear()
        clips = list(load_clips(data, ClipConfig(seconds=2.0, position="all"), [(RATE, 1)], note=notes.append))
        assert len(clips) == 2 and notes == ["is followed by another recording in the same file, which is not read"]


def test_a_stream_that_states_no_length_claims_none() -> None:
    notes: list[str] = []
    data = flac_claiming(SECONDS, 0.0)
    clips = list(load_clips(data, ClipConfig(seconds=2.0, position="all"), [(RATE, 1)], note=notes.append))
    assert len(clips) == 8 and notes == []


@pytest.mark.parametrize(("channels", "bits"), [(-1, 16), (0, 16), (1, -16), (1, 0), (1, 16)])
def test_impossible_forms_of_crashed_aiffs_are_no_error_of_ours(channels: int, bits: int) -> None:
    data = bytearray(crashed_aiff(2.0))
    place = data.index(b"COMM") + 8
    data[place : place + 2] = struct.pack(">h", channels)
    data[place + 6 : place + 8] = struct.pack(">h", bits)
    with contextlib.suppress(AudioError):
        decode(bytes(data))
    size = 5 * 2**30  # as of a file of 5 GiB
    head = bytes(data).ljust(2**17, b"\1")
    found = find_false_claim(Format("AIFF", 0, "aiff", True), lambda at, n: head[at : at + n] or b"\1" * n, size)
    assert (found is not None) == (channels > 0 and bits > 0)


def test_chunks_without_end_are_not_walked() -> None:
    data = b"RIFF" + (3_000_000).to_bytes(4, "little") + b"WAVE" + chunk(b"none", 0) * 375_000
    asked = []

    def read_at(place: int, size: int) -> bytes:
        asked.append(place)
        return data[place : place + size]

    assert find_false_claim(Format("WAV", 0, "wav", True), read_at, len(data)) is None and len(asked) < 2000
    asked.clear()
    behind_tags(lambda place, size: asked.append(place) or (id3(0) * 2)[:size])  # type: ignore[func-returns-value]
    assert len(asked) < 2000


def test_clips_that_a_corrected_length_cuts_short_are_left_out() -> None:
    data = cut(flac(SECONDS), 0.9)
    clips = list(load_clips(data, ClipConfig(seconds=4.0, position="all"), [(RATE, 1)]))
    assert [c.start for c in clips] == [0.0, 4.0, 8.0] and {c.waveforms[RATE, 1].duration for c in clips} == {4.0}


def test_several_flacs_of_one_length_are_more_than_the_first() -> None:
    for data in (flac(5.5, 1) + flac(5.5, 2) + flac(5.5, 3), 4 * flac(4.0)):
        assert describe(data).duration == pytest.approx(16.25, abs=0.3)


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32", "NMS_ADPCM_32", "IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW"])
def test_wavs_that_cannot_be_sought_are_read_on(subtype: str) -> None:
    data = encode(music(8.0), subtype=subtype)
    whole = decode(data)
    part = decode(data, offset=3.0, duration=2.0)
    assert whole.duration == pytest.approx(8.0, abs=0.1)
    assert np.abs(part.samples - whole.samples[:, 3 * RATE : 5 * RATE]).max() < 0.01


def test_an_mp3_of_one_frame_is_told_as_what_it_is() -> None:
    with pytest.raises(AudioError, match="holds no music that can be decoded: it ends within its first frames"):
        decode(mp3(1.0, xing=False)[:209])


def test_a_constant_is_told_as_one() -> None:
    with pytest.raises(AudioError, match=r"the samples are a constant of 0\.5 of full scale"):
        load_clip(encode(np.full(4 * RATE, 0.5)), ClipConfig(seconds=2.0))
