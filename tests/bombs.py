"""Files that are small and cost much: hours in kilobytes, millions of tiny packets, headers that state too much."""

from __future__ import annotations

import struct

from tests.builders import music
from tests.odd_audio import write
from tonearm.audio.flac import _crc

BLOCK = 65535  # samples of a FLAC's frame, the most


def silent_flac(seconds: float, rate: int = 22050, channels: int = 1, claimed: int | None = None) -> bytes:
    """Silence in frames of some 15 bytes; its header claims so many samples, by default as many as there are."""
    frames = round(seconds * rate) // BLOCK
    total = frames * BLOCK if claimed is None else claimed
    form = (rate << 44 | (channels - 1) << 41 | 15 << 36 | total).to_bytes(8, "big")
    parts = [b"fLaC\x80\0\0\x22" + struct.pack(">HH", BLOCK, BLOCK) + bytes(6) + form + bytes(16)]
    for number in range(frames):
        head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 8]) + _as_utf8(number) + struct.pack(">H", BLOCK - 1)
        frame = head + bytes([_crc(head)]) + bytes(3 * channels)
        parts.append(frame + struct.pack(">H", _crc16(frame)))
    return b"".join(parts)


def tiny_mp3(frames: int) -> bytes:
    """Frames of 24 bytes, 24 ms each."""
    return (b"\xff\xf3\x14\xc4" + bytes(20)) * frames


def tiny_aac(frames: int) -> bytes:
    """Frames of 8 bytes, which hold nothing."""
    return b"\xff\xf1\x40\x40\x01\x1f\xfc\0" * frames


def tiny_webm(packets: int) -> bytes:
    """Packets of Opus of 1 byte each."""

    def element(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return name + (1 << 56 | len(body)).to_bytes(8, "big") + body

    opus = b"OpusHead\1\1" + struct.pack("<HIhB", 0, 48000, 0, 0)
    sound = element(b"\xe1", element(b"\xb5", struct.pack(">d", 48000)), element(b"\x9f", b"\1"))
    track = element(b"\xae", element(b"\xd7", b"\1"), element(b"\x73\xc5", b"\1"), element(b"\x83", b"\2"),
                    element(b"\x86", b"A_OPUS"), element(b"\x63\xa2", opus), sound)  # fmt: skip
    cluster = element(b"\x1fC\xb6u", element(b"\xe7", b"\0"), b"\xa3\x85\x81\0\0\x80\0" * packets)
    head = element(b"\x1aE\xdf\xa3", element(b"\x42\x82", b"webm"))
    return head + element(b"\x18S\x80g", element(b"\x16T\xaek", track), cluster)


def tiny_ogg(pages: int) -> bytes:
    """Pages of Opus of 1 byte each."""

    def page(flags: int, place: int, number: int, body: bytes) -> bytes:
        head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", place, 7, number, 0)
        return head + bytes([1, len(body)]) + body

    heads = page(2, 0, 0, b"OpusHead\1\1" + struct.pack("<HIhB", 0, 48000, 0, 0)), page(0, 0, 1, b"OpusTags" + bytes(8))
    return b"".join([*heads, *(page(0, 120 * (i + 1), i + 2, b"\0") for i in range(pages))])


def stated_m4a(packets: int) -> bytes:
    """19 kB whose header states so many packets of 1 byte."""
    data = bytearray(write(music(2.0), 22050, "mp4", "aac"))
    sizes, chunks, times = (data.index(name) for name in (b"stsz", b"stsc", b"stts"))
    data[sizes + 4 : sizes + 16] = struct.pack(">III", 0, 1, packets)
    data[chunks + 16 : chunks + 20] = data[times + 12 : times + 16] = struct.pack(">I", packets)
    return bytes(data)


def _as_utf8(number: int) -> bytes:
    """A number as UTF-8 has it, up to 2^36."""
    if number < 0x80:
        return bytes([number])
    more = next(n for n in range(1, 7) if number < 1 << (6 * n + 6 - n))
    first = 0xFF << (7 - more) & 0xFF | number >> 6 * more
    return bytes([first, *(0x80 | number >> 6 * i & 0x3F for i in reversed(range(more)))])


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005 if value & 0x8000 else value << 1) & 0xFFFF
    return value
