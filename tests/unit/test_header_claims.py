"""A header's claim is no truth, in either direction: what can be decoded counts, for clips and the server, too."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pytest

from serve.deployments import ModelReplica
from tests.builders import encode, music
from tests.odd_audio import RATE, crashed_aiff, crashed_wav, id3, mp3, with_xing_count, write
from tests.serve.conftest import write_model
from tonearm.audio import ClipConfig, decode, load_clip
from tonearm.audio.decode import describe
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
    "AIFF of a crashed recorder": (lambda: crashed_aiff(SECONDS), SECONDS),
}  # fmt: skip


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> ModelReplica:
    return ModelReplica(write_model(tmp_path_factory.mktemp("model")), max_seconds=20.0)


@pytest.mark.parametrize("name", LYING)
def test_what_is_there_is_heard_everywhere_alike(name: str, replica: ModelReplica) -> None:
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
    answer = replica.predict(data)
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


HONEST: dict[str, Callable[[], bytes]] = {
    "MP3": lambda: mp3(8.0), "VBR MP3": lambda: mp3(8.0, vbr=True), "MP3 without Xing": lambda: mp3(8.0, xing=False),
    "libsndfile's MP3": lambda: encode(music(8.0), container="MP3"), "FLAC": lambda: flac(8.0),
    "Ogg": lambda: ogg(8.0), "Opus": lambda: opus(8.0), "WAV": lambda: encode(music(8.0)),
    "AIFF": lambda: encode(music(8.0), container="AIFF"), "M4A": lambda: m4a(8.0),
    "WAV with more behind": lambda: encode(music(8.0)) + b"LIST" + (9000).to_bytes(4, "little") + bytes(9000),
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
