"""A format is what is in the file behind tags and junk; what is no music is never taken for it."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable

import av
import numpy as np
import pytest

from tests.builders import encode, music
from tests.odd_audio import RATE, id3, mp3, write
from tonearm.audio import decode
from tonearm.audio.decode import describe
from tonearm.audio.formats import find_format
from tonearm.core.errors import AudioError

SECONDS = 4.0


def adts() -> bytes:
    return write(music(SECONDS), RATE, "adts", "aac")


def flac() -> bytes:
    return encode(music(SECONDS), container="FLAC")


def ape(value: bytes) -> bytes:
    """An APEv2 tag with one item, as it stands in front of music."""
    item = struct.pack("<2I", len(value), 2) + b"Cover Art (Front)\0" + value
    heads = [b"APETAGEX" + struct.pack("<4I", 2000, len(item) + 32, 1, f) + bytes(8) for f in (5 << 29, 1 << 31)]
    return heads[0] + item + heads[1]


HTTP = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: audio/flac\r\n\r\n"
MUSIC: dict[str, tuple[str, Callable[[], bytes]]] = {
    "AAC": ("AAC", adts),
    "AAC behind a tag": ("AAC", lambda: id3(2000) + adts()),
    "AAC behind two tags": ("AAC", lambda: id3(200) + id3(70_000) + adts()),
    "AAC behind a tag and padding": ("AAC", lambda: id3(200) + bytes(500) + adts()),
    "FLAC behind a tag": ("FLAC", lambda: id3(2000) + flac()),
    "FLAC behind two tags": ("FLAC", lambda: id3(200) + id3(70_000) + flac()),
    "WAV behind a tag": ("WAV", lambda: id3(200) + encode(music(SECONDS))),
    "Ogg behind a tag": ("OGG", lambda: id3(200) + encode(music(SECONDS), container="OGG", subtype="VORBIS")),
    "MP3 behind two tags": ("MP3", lambda: id3(200) + id3(70_000) + mp3(SECONDS)),
    "MP3 behind CRLF": ("MP3", lambda: b"\r\n" + mp3(SECONDS)),
    "MP3 behind CRLF, several times": ("MP3", lambda: b"\r\n" * 3 + mp3(SECONDS)),
    "MP3 behind empty lines of two kinds": ("MP3", lambda: b"\n\n\r\n" + mp3(SECONDS)),
    "MP3 behind hundreds of empty lines": ("MP3", lambda: b"\r\n" * 200 + mp3(SECONDS)),
    "MP3 behind blanks and CRLF": ("MP3", lambda: b" \t\r\n\0\0\r\n" + mp3(SECONDS)),
    "MP3 behind a tag, zeros and CRLF": ("MP3", lambda: id3(200) + b"\0\0\r\n" * 9 + mp3(SECONDS)),
    "AAC behind empty lines": ("AAC", lambda: b"\r\n" * 2 + adts()),
    "FLAC behind empty lines": ("FLAC", lambda: b"\r\n" * 3 + flac()),
    "Ogg behind a zero, a blank and CRLF": (
        "OGG", lambda: b"\0 \r\n" * 2 + encode(music(SECONDS), container="OGG", subtype="VORBIS"),
    ),
    "WAV behind hundreds of empty lines": ("WAV", lambda: b"\r\n" * 200 + encode(music(SECONDS))),
    "MP3 behind 16 zeros": ("MP3", lambda: bytes(16) + mp3(SECONDS)),
    "MP3 behind 4096 zeros": ("MP3", lambda: bytes(4096) + mp3(SECONDS)),
    "MP3 behind a stream's head": ("MP3", lambda: b"ICY 200 OK\r\nicy-br:128\r\n\r\n" + mp3(SECONDS)),
    "MP3 behind HTTP's head": ("MP3", lambda: b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" + mp3(SECONDS)),
    "MP3 behind a cut frame": ("MP3", lambda: mp3(SECONDS)[700:]),
    "MP3 behind an APEv2 tag": ("MP3", lambda: b"APETAGEX" + bytes(300) + mp3(SECONDS)),
    "MP3 behind an ID3v1 tag": ("MP3", lambda: b"TAG" + b"x" * 125 + mp3(SECONDS)),
    "MP3 behind a tag and junk": ("MP3", lambda: id3(100) + b"\x01\x02junk" * 30 + mp3(SECONDS)),
    "MP3 behind a large APEv2 tag": ("MP3", lambda: ape(bytes(200_000)) + mp3(SECONDS)),
    "AAC behind a stream's head": ("AAC", lambda: b"ICY 200 OK\r\nicy-br:64\r\n\r\n" + adts()),
    "AAC behind zeros": ("AAC", lambda: bytes(100) + adts()),
    "AAC behind a cut frame": ("AAC", lambda: adts()[300:]),
    "AAC behind noise": ("AAC", lambda: np.random.default_rng(1).bytes(8000) + adts()),
    "FLAC behind HTTP's head": ("FLAC", lambda: HTTP + flac()),
    "FLAC behind a large APEv2 tag": ("FLAC", lambda: ape(bytes(200_000)) + flac()),
    "Ogg behind HTTP's head": ("OGG", lambda: HTTP + encode(music(SECONDS), container="OGG", subtype="VORBIS")),
    "WAV behind CRLF": ("WAV", lambda: b"\r\n" + encode(music(SECONDS))),
    "AIFF behind zeros": ("AIFF", lambda: bytes(60) + encode(music(SECONDS), container="AIFF")),
    "M4A behind two tags": ("M4A", lambda: id3(100) + id3(90_000) + write(music(SECONDS), RATE, "ipod", "aac")),
    "M4A behind zeros": ("M4A", lambda: bytes(100) + write(music(SECONDS), RATE, "ipod", "aac")),
    "WebM behind HTTP's head": ("WEBM", lambda: HTTP + write(music(SECONDS, 48_000), 48_000, "webm", "libopus")),
    "Ogg FLAC": ("OGG", lambda: write(music(SECONDS), RATE, "ogg", "flac")),
    "WebM": ("WEBM", lambda: write(music(SECONDS, 48_000), 48_000, "webm", "libopus")),
    "WebM of a browser": (
        "WEBM", lambda: write(music(SECONDS, 48_000), 48_000, "webm", "libopus", options={"live": "1"}),
    ),
    "Matroska, FLAC": ("WEBM", lambda: write(music(SECONDS), RATE, "matroska", "flac")),
    "M4A": ("M4A", lambda: write(music(SECONDS), RATE, "ipod", "aac")),
    "M4A in fragments": ("M4A", lambda: write(
        music(SECONDS), RATE, "mp4", "aac", 
        options={"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"})),
}  # fmt: skip


@pytest.mark.parametrize("name", MUSIC)
def test_music_is_found_behind_what_is_in_front(name: str) -> None:
    form, make = MUSIC[name]
    data = make()
    assert describe(data).format == form
    found = decode(data)
    assert found.duration == pytest.approx(SECONDS, abs=0.2)
    level = np.sqrt((music(SECONDS) ** 2).mean())
    assert np.sqrt((found.samples**2).mean()) == pytest.approx(level, rel=0.25)
    part = decode(data, offset=2.0, duration=1.0)
    assert part.duration == pytest.approx(1.0, abs=1e-3)
    assert np.abs(part.samples - found.samples[:, 2 * RATE : 3 * RATE]).max() < 0.1


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        song = mp3(SECONDS)
        entry = tarfile.TarInfo("song.mp3")
        entry.size = len(song)
        file.addfile(entry, io.BytesIO(song))
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        file.writestr("song.mp3", mp3(SECONDS))
    return buffer.getvalue()


def film(container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        video = out.add_stream(codec, rate=10, width=64, height=64, pix_fmt="yuv420p")
        sound = out.add_stream("libopus" if container == "webm" else "aac", rate=48_000, layout="mono")
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), format="rgb24")
            frame.pts = i
            out.mux(video.encode(frame))
        samples = music(1.0, 48_000)[None]
        noise = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
        noise.sample_rate, noise.pts = 48_000, 0
        form = next(f.name for f in sound.codec.audio_formats)
        for part in av.AudioResampler(form, "mono", 48_000, frame_size=0).resample(noise):
            out.mux(sound.encode(part))
        for stream in (video, sound):
            out.mux(stream.encode(None))
    return buffer.getvalue()


NO_MUSIC: dict[str, Callable[[], bytes]] = {
    "an archive with an MP3": archive,
    "a tar with an MP3": tar,
    "a tar behind a tag": lambda: id3(100) + tar(),
    "MPEG's program stream behind a tag": lambda: id3(100) + b"\x00\x00\x01\xba" + bytes(40) + mp3(SECONDS),
    "hundreds of thousands of empty tags": lambda: id3(0) * 300_000,
    "an archive behind a tag": lambda: id3(100) + archive(),
    "a script with an MP3": lambda: b"#!/bin/sh\ntail -n +3 $0 | player\nexit 0\n" + mp3(SECONDS),
    "a script behind an empty line": lambda: b"\n\n#!/bin/sh\necho of what is behind me\nexit\n" + mp3(SECONDS),
    "a page with an MP3": lambda: b"<html><body>not found, sorry</body></html>" + mp3(SECONDS),
    "a table": lambda: b"path,genre\n" + b"a/b.mp3,rock\n" * 500,
    "a program": lambda: b"MZ" + bytes(200) + mp3(SECONDS),
    "a document": lambda: b"%PDF-1.7\n" + mp3(SECONDS),
    "a picture": lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF" + mp3(SECONDS),
    "MPEG's program stream": lambda: b"\x00\x00\x01\xba" + bytes(40) + mp3(SECONDS),
    "an archive behind an empty line": lambda: b"\r\n" + archive(),
    "an image of a disk": lambda: bytes(32_768) + b"\1CD001" + bytes(2000) + mp3(SECONDS),
    "an archive behind HTTP's head": lambda: HTTP + archive(),
    "a page with AAC": lambda: b"<html><body>404: it is not here</body></html>" + adts(),
    "a program with AAC": lambda: b"MZ" + bytes(200) + adts(),
    "an answer in JSON": lambda: b'{"error": {"code": 403, "message": "no"}}' + mp3(SECONDS),
    "bytecode": lambda: b"\xa7\r\r\n" + bytes(12) + b"\xe3" * 200 + mp3(SECONDS),
    "bytecode of Python 2": lambda: b"\x03\xf3\r\n" + bytes(4) + b"\xe3" * 200 + mp3(SECONDS),
    "bytecode behind empty lines": lambda: b"\r\n" * 2 + b"\xcb\r\r\n" + bytes(12) + b"\xe3" * 200 + mp3(SECONDS),
    "WebAssembly": lambda: b"\0asm\1\0\0\0" + bytes(50) + mp3(SECONDS),
    "a font": lambda: b"\0\1\0\0\0\x0b" + b"\x80" * 300 + mp3(SECONDS),
    "an icon": lambda: b"\0\0\1\0\1\0\x10\x10" + b"\x80" * 300 + mp3(SECONDS),
    "a pickle": lambda: b"\x80\x04\x95" + b"\x80" * 300 + mp3(SECONDS),
    "Photoshop": lambda: b"8BPS\0\1" + bytes(60) + mp3(SECONDS),
    "rich text": lambda: b"{\\rtf1\\ansi" + mp3(SECONDS),
    "what macOS leaves beside": lambda: b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(60) + mp3(SECONDS),
    "another kind of FORM": lambda: b"FORM\0\0\x10\0ILBM" + mp3(SECONDS),
    "AVI": lambda: b"RIFF\x00\x10\x00\x00AVI LIST" + mp3(SECONDS),
    "a film in WebM": lambda: film("webm", "libvpx"),
    "a film in MP4": lambda: film("mp4", "mpeg4"),
    "text in UTF-16": lambda: "The words of a song".encode("utf-16") * 40,
    "nothing but tags": lambda: id3(100) + id3(2000),
    "a long noise": lambda: np.random.default_rng(0).bytes(400_000),
    "sync bits without frames": lambda: b"\xff\xfb" * 50_000,
    "an MP3 deep in noise": lambda: b"\x01" * 100_000 + mp3(SECONDS),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_MUSIC)
def test_what_is_no_music_is_refused(name: str) -> None:
    with pytest.raises(AudioError) as caught:
        decode(NO_MUSIC[name]())
    assert caught.value.reason == "undecodable" and len(caught.value.detail) < 400


def test_the_message_lists_what_is_read() -> None:
    with pytest.raises(AudioError, match=r"none of the known formats, MP3, Ogg .* FLAC, WAV, AIFF, M4A, AAC and WebM"):
        decode(b"These are words, and no music at all")


def test_a_film_is_called_one() -> None:
    with pytest.raises(AudioError, match=r"it is a film \(vp8\): take its sound out of it first"):
        decode(film("webm", "libvpx"))


def test_only_what_a_file_begins_as_is_tried() -> None:
    tried = {"wav": encode(music(0.5)), "flac": flac(), "aiff": encode(music(0.5), container="AIFF"), "mp3": mp3(0.5)}
    for demuxer, data in tried.items():
        found = find_format(lambda place, count, data=data: data[place : place + count])
        assert (found.demuxer, found.start, found.by_libsndfile) == (demuxer, 0, True)


def test_junk_of_headers_is_searched_in_bounded_time() -> None:
    hostile = mp3(0.5) + (b"\xff\xfb\x90\x64" + bytes(300)) * 60_000  # headers whose frames never follow each other
    assert describe(hostile).duration < 3600
