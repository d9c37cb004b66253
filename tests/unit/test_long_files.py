"""A file that is refused for its length, or for what it states, costs little: in CPU time and in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.bombs import silent_flac, stated_m4a, tiny_aac, tiny_mp3, tiny_ogg, tiny_webm
from tests.builders import RATE, encode, music
from tests.odd_audio import write
from tonearm.audio.decode import decode, describe
from tonearm.audio.mp4 import require_few_packets
from tonearm.audio.mpeg import ReadAt
from tonearm.audio.ogg import survey_pages
from tonearm.core.errors import AudioError

AT_MOST = 900.0
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "24 hours of silence": (lambda: silent_flac(24 * 3600), "too_long"),
    "24 hours that state no length": (lambda: silent_flac(24 * 3600, claimed=0), "too_long"),
    "8 channels at 655 kHz": (lambda: silent_flac(1000, 655_350, 8, claimed=0), "too_long"),
    "the same, stated": (lambda: silent_flac(600, 655_350, 8), "too_long"),
    "MP3 of tiny frames": (lambda: tiny_mp3(2_000_000), "too_long"),
    "AAC of tiny frames": (lambda: tiny_aac(600_000), "undecodable"),
    "WebM of tiny packets": (lambda: tiny_webm(600_000), "too_long"),
    "joined files": (lambda: silent_flac(10) * 400, "too_long"),
    "M4A of stated packets": (lambda: stated_m4a(40_000_000), "bad_header"),
}


def reader(data: bytes) -> ReadAt:
    return lambda place, count: data[place : place + count]


@pytest.fixture(scope="module")
def longest_accepted() -> float:
    """CPU time to decode a recording of the longest length that is accepted, on this machine, in seconds."""
    minute = encode(music(60.0), container="MP3")
    started = time.process_time()
    for _ in range(int(AT_MOST / 60)):
        decode(minute)
    return time.process_time() - started


@pytest.mark.parametrize("name", BOMBS)
def test_a_refused_file_costs_a_few_accepted_ones_at_most(name: str, longest_accepted: float) -> None:
    """What is claimed would cost up to a hundred of them."""
    make, reason = BOMBS[name]
    data = make()
    started = time.process_time()
    with pytest.raises(AudioError) as refused:
        describe(data, at_most=AT_MOST)
    assert refused.value.reason == reason, refused.value
    assert time.process_time() - started < 4 * longest_accepted


def test_the_limit_is_that_of_the_music_and_not_of_what_is_claimed() -> None:
    short = silent_flac(60, claimed=0)  # 53.5 s, a stream, of which libsndfile says that it never ends
    assert describe(short, at_most=54).duration == describe(short).duration == pytest.approx(53.5, abs=0.1)
    with pytest.raises(AudioError, match="at most 50 s are accepted"):
        describe(short, at_most=50)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "mp4", "matroska"])
def test_every_format_is_refused_by_its_length_alone(kind: str) -> None:
    samples = music(3.0)
    data = encode(samples, container=kind) if kind.isupper() else write(samples, RATE, kind, "aac")
    if kind == "matroska":
        data = write(samples, 48000, "webm", "libopus")
    length = describe(data).duration
    assert describe(data, at_most=length + 0.01) == describe(data)
    with pytest.raises(AudioError, match="send a part of it") as refused:
        describe(data, at_most=length / 2)
    assert refused.value.reason == "too_long"


def test_dense_samples_count_as_longer() -> None:
    data = silent_flac(60, 192_000, 4)
    assert describe(data, at_most=121).channels == 4
    with pytest.raises(AudioError, match="384,000 samples a second"):
        describe(data, at_most=100)


def test_an_m4a_of_plain_samples_may_state_millions() -> None:
    plain = write(music(4.0), RATE, "mov", "pcm_s16le")
    assert plain[4:8] == b"ftyp" and decode(plain).samples.shape[1] == 4 * RATE
    sizes = plain.index(b"stsz") + 12
    many = plain[:sizes] + (10**7).to_bytes(4, "big") + plain[sizes + 4 :]
    require_few_packets(reader(many), 0, 2 * 10**7)
    with pytest.raises(AudioError, match="10000000 packets"):  # more than a file of this size can have
        describe(many)


@pytest.mark.parametrize("kind", [b"stsz", b"trun", b"stz2"])
@pytest.mark.parametrize("wide", [False, True])
def test_tables_are_found_wherever_they_are(kind: bytes, wide: bool) -> None:
    numbers = [10**7, 0] if kind == b"trun" else [1, 10**7]
    body = bytes(4) + b"".join(n.to_bytes(4, "big") for n in numbers)
    table = (
        b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") if wide else (8 + len(body)).to_bytes(4, "big") + kind
    )
    table += body
    for front in (0, 2**20 - 40 - 10, 2**20 - 40):
        inside = bytes(front) + b"free" * 6 + table
        data = b"\0\0\0\x10ftypM4A \0\0\0\0" + (len(inside) + 8).to_bytes(4, "big") + b"udta" + inside
        with pytest.raises(AudioError, match="10000000 packets"):
            require_few_packets(reader(data), 0, len(data))


def test_a_compressed_header_is_not_read() -> None:
    data = b"\0\0\0\x10ftypqt  \0\0\0\0\0\0\0\x28moov\0\0\0\x20cmov" + bytes(24)
    with pytest.raises(AudioError, match="compressed"):
        describe(data)


def test_no_more_pages_are_looked_at_than_the_accepted_seconds_can_have() -> None:
    joined = tiny_ogg(50) * 2
    assert len(survey_pages(reader(joined), 0, len(joined)).places) == 2
    assert len(survey_pages(reader(joined), 0, len(joined), most=10).places) == 1
