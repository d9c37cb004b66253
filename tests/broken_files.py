"""A folder of files that break decoders, and what should become of each."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import soundfile

from tests.builders import RATE, encode, music, tone

USABLE = ""
SECONDS = 12.0
LONG_SECONDS = 3 * 3600
BOMB_SECONDS = 600


def _patched(data: bytes, place: int, form: str, value: int) -> bytes:
    packed = struct.pack(form, value)
    return data[:place] + packed + data[place + len(packed) :]


def _archive(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("song.wav", data)
    return buffer.getvalue()


def _with(samples: np.ndarray, place: int, value: float) -> np.ndarray:
    samples = samples.copy()
    samples[place] = value
    return samples


def _id3(size: int) -> bytes:
    """An ID3v2.4 tag of so many bytes: one private frame."""
    frame = b"PRIV" + _synchsafe(size - 20) + b"\0\0" + bytes(size - 20)
    return b"ID3\x04\0\0" + _synchsafe(size - 10) + frame


def _synchsafe(n: int) -> bytes:
    return bytes((n >> shift) & 0x7F for shift in (21, 14, 7, 0))


def small_files() -> dict[str, tuple[bytes, str]]:
    """Bytes and the reason they should be set aside for (empty: they are usable), by file name."""
    song = music(SECONDS, seed=77)
    wav, flac = encode(song), encode(song, container="FLAC")
    mp3, ogg = encode(song, container="MP3"), encode(song, container="OGG", subtype="VORBIS")
    six = np.stack([music(SECONDS, seed=i) for i in range(6)], axis=1)
    return {
        "empty.wav": (b"", "empty"),
        "header-only.wav": (wav[:44], "empty"),
        "no-samples.flac": (encode(np.zeros(0), container="FLAC"), "empty"),
        "one-sample.wav": (encode(np.array([0.5])), "too_short"),
        "tenth-of-a-second.wav": (encode(tone(440, 0.1)), "too_short"),
        "truncated-in-header.mp3": (mp3[:20], "undecodable"),
        "truncated-in-header.flac": (flac[:30], "undecodable"),
        "truncated-in-header.ogg": (ogg[:40], "undecodable"),
        "truncated-early.wav": (wav[: len(wav) // 50], "too_short"),
        "truncated-late.wav": (wav[: len(wav) * 95 // 100], USABLE),
        "truncated-late.mp3": (mp3[: len(mp3) * 95 // 100], USABLE),
        "flac-called.mp3": (encode(music(SECONDS, seed=78), container="FLAC"), USABLE),
        "mp3-called.wav": (encode(music(SECONDS, seed=79), container="MP3"), USABLE),
        "tag-of-megabytes.mp3": (_id3(5_000_000) + encode(music(SECONDS, seed=80), container="MP3"), USABLE),
        "nothing-but-a-tag.mp3": (_id3(100_000), "undecodable"),
        "nan.wav": (encode(_with(song, 5000, np.nan), subtype="FLOAT"), "not_finite"),
        "infinite.wav": (encode(_with(song, 5000, np.inf), subtype="FLOAT"), "not_finite"),
        "too-loud.wav": (encode(_with(song, 5000, 1e30), subtype="FLOAT"), "too_loud"),
        "no-rate.wav": (_patched(wav, 24, "<I", 0), "bad_header"),
        "absurd-rate.wav": (_patched(wav, 24, "<I", 2**31 - 1), "bad_header"),
        "slow-rate.wav": (_patched(wav, 24, "<I", 3), "bad_header"),
        "no-channels.wav": (_patched(wav, 22, "<H", 0), "undecodable"),
        "nine-channels.wav": (encode(np.full((RATE, 9), 0.1)), "bad_header"),
        "six-channels.wav": (encode(six), USABLE),
        "direct-current.wav": (encode(np.full(round(SECONDS * RATE), 0.7)), "silent"),
        "silence.wav": (encode(np.zeros(round(SECONDS * RATE))), "silent"),
        "clipped.wav": (encode(np.sign(music(SECONDS, seed=81))), "clipped"),
        "text.mp3": (b"These are the words of a song and not its sound.\n" * 40, "undecodable"),
        "picture.ogg": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(900), "undecodable"),
        "archive.flac": (_archive(wav), "undecodable"),
        "not-really.m4a": (b"\x00\x00\x00\x20ftypM4A " + bytes(600), "undecodable"),
        "日本語 ünïcode.wav": (encode(music(SECONDS, seed=82)), USABLE),
        "new\nline.wav": (encode(music(SECONDS, seed=83)), USABLE),
        "header-claims-more.wav": (
            _patched(_patched(encode(music(SECONDS, seed=84)), 4, "<I", 2**31), 40, "<I", 2**31), USABLE,
        ),
    }  # fmt: skip


def write_long_file(path: Path) -> None:
    """Three hours of a tone, 8 kHz, 8 bit, written in blocks: 86 MB on disk, 950 MB as float32 at 22 050 Hz."""
    second = tone(300, 60.0, 8000, amplitude=0.3)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8", format="WAV") as file:
        for _ in range(LONG_SECONDS // 60):
            file.write(second)


def write_bomb(path: Path) -> None:
    """Ten minutes of digital silence in eight channels at 96 kHz: half a megabyte as FLAC, 1.8 GB as float32."""
    block = np.zeros((96_000 * 60, 8), dtype=np.int16)
    with soundfile.SoundFile(path, "w", 96_000, 8, "PCM_16", format="FLAC") as file:
        for _ in range(BOMB_SECONDS // 60):
            file.write(block)


def write_broken_files(folder: Path) -> dict[str, str]:
    """Write all of them; returns the reason of each, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (data, reason) in small_files().items():
        (folder / name).write_bytes(data)
        expected[name] = reason
    write_long_file(folder / "three-hours.wav")
    write_bomb(folder / "bomb.flac")
    (folder / "dangling.wav").symlink_to(folder / "absent.wav")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    (folder / "a-folder.wav").mkdir()  # no file: a scan descends into it
    return expected | {
        "three-hours.wav": USABLE,
        "bomb.flac": "silent",
        "dangling.wav": "missing",
        "loop.wav": "missing",
    }
