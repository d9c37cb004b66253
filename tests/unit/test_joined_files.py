"""Several files in one are heard one behind the other, each whole; pages that are missing or lie are noticed."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import soxr

from tests.builders import encode, music
from tests.odd_audio import RATE, id3, write
from tonearm.audio import ClipConfig, decode
from tonearm.audio.claims import find_false_claim
from tonearm.audio.decode import describe
from tonearm.audio.formats import find_format
from tonearm.audio.ogg import survey_pages
from tonearm.audio.windows import load_clips
from tonearm.core.types import FloatArray

SECONDS = 3.0


def song(seed: int, rate: int = RATE, channels: int = 1) -> FloatArray:
    mono = music(SECONDS, seed=seed)
    samples = mono if rate == RATE else soxr.resample(mono, RATE, rate)
    return np.stack([samples] * channels, axis=1) if channels > 1 else samples


def flac(seed: int, rate: int = RATE, channels: int = 1) -> bytes:
    return encode(song(seed, rate, channels), rate, "FLAC")


def vorbis(seed: int, rate: int = 44_100, channels: int = 1) -> bytes:
    return encode(song(seed, rate, channels), rate, "OGG", "VORBIS")


def opus(seed: int, channels: int = 1) -> bytes:
    return encode(song(seed, 48_000, channels), 48_000, "OGG", "OPUS")


def m4a(seed: int, rate: int = RATE, faststart: bool = False) -> bytes:
    return write(song(seed, rate), rate, "ipod", "aac", options={"movflags": "faststart"} if faststart else {})


def ogg_flac(seed: int) -> bytes:
    return write(song(seed), RATE, "ogg", "flac")


JOINED: dict[str, tuple[bytes, ...]] = {
    "FLAC": (flac(0), flac(1)),
    "three FLACs": (flac(0), flac(1), flac(2)),
    "FLACs with tags between": (flac(0), id3(900) + flac(1)),
    "FLACs of two rates": (flac(0), flac(1, 44_100)),
    "FLACs, mono and stereo": (flac(0), flac(1, channels=2)),
    "FLACs, stereo and mono": (flac(0, channels=2), flac(1)),
    "Vorbis": (vorbis(0), vorbis(1)),
    "Vorbis of three rates": (vorbis(0), vorbis(1, RATE), vorbis(2, 48_000)),
    "Vorbis, mono and stereo": (vorbis(0), vorbis(1, channels=2)),
    "Vorbis, stereo and mono": (vorbis(0, channels=2), vorbis(1)),
    "Opus": (opus(0), opus(1), opus(2)),
    "Opus, mono and stereo": (opus(0), opus(1, channels=2)),
    "Vorbis and Opus": (vorbis(0), opus(1)),
    "Ogg FLAC": (ogg_flac(0), ogg_flac(1)),
    "M4A": (m4a(0), m4a(1)),
    "M4As that can be streamed, of two rates": (m4a(0, faststart=True), m4a(1, 44_100, faststart=True), m4a(2)),
}


@pytest.mark.parametrize("name", JOINED)
def test_each_file_is_heard_whole_and_in_its_place(name: str) -> None:
    parts = JOINED[name]
    data, notes = b"".join(parts), list[str]()
    whole = decode(data)
    assert whole.duration == pytest.approx(SECONDS * len(parts), abs=0.1)
    assert describe(data).duration == pytest.approx(whole.duration, abs=0.05)
    for i in range(len(parts)):
        there = whole.samples[0, round(i * SECONDS * RATE) :][: round(SECONDS * RATE)]
        assert _alike(there, song(i)) > 0.9
    clips = list(load_clips(data, ClipConfig(seconds=1.5, position="all"), [(RATE, 1)], note=notes.append))
    assert [c.start for c in clips] == [1.5 * i for i in range(2 * len(parts))]
    for clip in clips:
        first = round(clip.start * RATE)
        assert _alike(clip.waveforms[RATE, 1].samples[0], whole.samples[0, first : first + round(1.5 * RATE)]) > 0.9
    assert notes == [f"claims {SECONDS:.0f} s, holds {SECONDS * len(parts):.0f} s"]


def flac_of(seconds: float, seed: int) -> bytes:
    return encode(music(seconds, seed=seed), RATE, "FLAC")


#: More than the last 64 KiB, in which a head would be seen.
NOISE = encode(0.1 * np.random.default_rng(0).standard_normal((RATE * 8, 2)).astype(np.float32), RATE, "FLAC")
SHORT: dict[str, tuple[tuple[bytes, ...], float]] = {
    "one frame each": (tuple(flac_of(0.09, i) for i in range(40)), 3.6),
    "two of one frame": ((flac_of(0.09, 0), flac_of(0.09, 1)), 0.18),
    "the same, 39 times": ((flac_of(2.0, 0),) * 39, 78.0),
    "the same, 40 times": ((flac_of(2.0, 0),) * 40, 80.0),
    "a short one behind": ((flac_of(6.0, 0), flac_of(0.09, 1)), 6.09),
    "a short one in front": ((flac_of(0.09, 0), flac_of(6.0, 1)), 6.09),
    "silence in front": ((encode(np.zeros(RATE * 6), RATE, "FLAC"), flac_of(6.0, 1)), 12.0),
    "silence behind": ((flac_of(6.0, 1), encode(np.zeros(RATE * 6), RATE, "FLAC")), 12.0),
    "large ones of one size": ((NOISE,) * 3, 24.0),
    "large ones behind silence": ((encode(np.zeros((RATE * 8, 2)), RATE, "FLAC"), NOISE), 16.0),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_and_equal_files_are_all_heard(name: str) -> None:
    parts, seconds = SHORT[name]
    data = b"".join(parts)
    whole = decode(data)
    assert whole.duration == pytest.approx(seconds, abs=0.01)
    assert describe(data).duration == pytest.approx(seconds, abs=0.01)
    last = decode(parts[-1]).samples[0]
    assert np.array_equal(whole.samples[0, -len(last) :], last)


@pytest.mark.parametrize("make", [lambda: flac(0), lambda: NOISE, lambda: flac_of(0.09, 0), lambda: flac_of(40.0, 0)])
def test_a_single_file_is_none_of_several(make: Callable[[], bytes]) -> None:
    data = make()

    def read_at(place: int, size: int) -> bytes:
        return data[place : place + size]

    assert find_false_claim(find_format(read_at), read_at, len(data)) is None


def _alike(part: FloatArray, wanted: FloatArray, slack: int = 1200) -> float:
    """The best correlation, some 50 ms shifted at most, of what both have but for their edges."""
    length = min(len(part), len(wanted)) - 2 * slack
    piece = wanted[slack : slack + length]
    shifted = (part[slack + lag :][: len(piece)] for lag in range(-slack, slack, 8))
    return max(
        float(s @ piece[: len(s)] / np.sqrt((s @ s) * (piece[: len(s)] @ piece[: len(s)]) + 1e-12)) for s in shifted
    )


def test_a_file_in_front_that_was_cut_ends_where_it_was_cut() -> None:
    first = flac(0)
    data = first[: len(first) // 2] + flac(1)
    assert decode(data).duration == pytest.approx(1.5 * SECONDS, abs=0.5)


def pages(data: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(data):
        count = data[place + 26]
        length = 27 + count + sum(data[place + 27 : place + 27 + count])
        found.append(data[place : place + length])
        place += length
    return found


def checked(page: bytes) -> bytes:
    """A page with the checksum that fits it."""
    value, page = 0, page[:22] + bytes(4) + page[26:]
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", value) + page[26:]


def ending(data: bytes, end: int) -> bytes:
    """An Ogg whose last page states another end, in samples."""
    *others, last = pages(data)
    return b"".join([*others, checked(last[:6] + struct.pack("<q", end) + last[14:])])


@pytest.mark.parametrize("make", [vorbis, opus])
def test_pages_that_are_missing_cost_what_they_held(make: Callable[[int], bytes]) -> None:
    parts, notes = pages(make(0)), list[str]()
    data = b"".join(parts[:3] + parts[4:])  # behind the headers and the first music
    whole = decode(data)
    assert SECONDS - 1.2 < whole.duration < SECONDS
    clips = list(load_clips(data, ClipConfig(seconds=0.5, position="all"), [(RATE, 1)], 0.1, note=notes.append))
    assert abs(len(clips) - whole.duration / 0.5) <= 1
    assert _alike(whole.samples[0, -RATE:], song(0)[-RATE:], 4000) > 0.9  # the end is there


@pytest.mark.parametrize("end", [0, 10, 48_000, 10 * 48_000, 3600 * 48_000, 2**62])
@pytest.mark.parametrize("make", [lambda: vorbis(0, 48_000), lambda: opus(0)], ids=["vorbis", "opus"])
def test_an_end_that_is_stated_wrongly_is_not_believed(make: Callable[[], bytes], end: int) -> None:
    data = ending(make(), end)
    assert decode(data).duration == pytest.approx(SECONDS, abs=1.0)  # the last page may be left out
    assert describe(data).duration == pytest.approx(decode(data).duration, abs=0.3)


def test_a_stream_that_was_tuned_into_begins_at_its_beginning() -> None:
    moved = []
    for page in pages(opus(0)):
        end = struct.unpack("<q", page[6:14])[0]
        moved.append(checked(page[:6] + struct.pack("<q", end + 48_000 * 1000) + page[14:]) if end > 0 else page)
    data = b"".join(moved)
    whole = decode(data)
    assert whole.duration == pytest.approx(SECONDS, abs=0.1)
    part = decode(data, offset=1.0, duration=1.0).samples[0]
    assert np.abs(part - whole.samples[0, RATE : 2 * RATE]).max() < 0.1


def test_good_pages_are_good() -> None:
    for data in (vorbis(0), opus(0), ogg_flac(0), encode(np.zeros(30 * RATE), container="OGG", subtype="VORBIS")):
        file = io.BytesIO(data)

        def read_at(place: int, size: int, file: io.BytesIO = file) -> bytes:
            file.seek(place)
            return file.read(size)

        survey = survey_pages(read_at, 0, len(data))
        assert survey.places == (0,) and not survey.damaged


def test_thousands_of_heads_are_no_recordings() -> None:
    odd_pages = b"OggS\0\2" + bytes(40) + (b"OggS\0\0" + bytes(40)) * 9
    for data in (flac(0) + b"fLaC\0\0\0\x22" * 200_000, vorbis(0) + odd_pages):
        assert decode(data).duration == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_a_duration_that_a_webm_states_wrongly_is_told(factor: float) -> None:
    data, notes = bytearray(write(song(0, 48_000), 48_000, "webm", "libopus")), list[str]()
    place = data.index(b"\x44\x89\x88") + 3
    (stated,) = struct.unpack(">d", data[place : place + 8])
    data[place : place + 8] = struct.pack(">d", stated * factor)
    clips = list(load_clips(bytes(data), ClipConfig(seconds=1.5, position="all"), [(RATE, 1)], note=notes.append))
    assert len(clips) == 2
    assert notes == ([] if factor == 1 else [f"claims {3 * factor:.0f} s, holds 3 s"])
