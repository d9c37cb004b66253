"""Recordings as people have them: headers that lie, files that were joined or cut, formats behind other things."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.builders import encode, music
from tonearm.core.types import FloatArray

RATE = 22050


def mp3(
    seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1, xing: bool = True, vbr: bool = False
) -> bytes:
    """An MP3 by FFmpeg, with or without the header that counts its frames."""
    options = {"write_xing": "1" if xing else "0", "id3v2_version": "0"}
    return write(music(seconds, rate, seed), rate, "mp3", "libmp3lame", channels, options, {"q": "4"} if vbr else {})


def write(
    samples: FloatArray, rate: int, container: str, codec: str, channels: int = 1,
    options: dict[str, str] | None = None, codec_options: dict[str, str] | None = None,
) -> bytes:  # fmt: skip
    """Mono samples, on so many channels, in any container and codec of FFmpeg."""
    layout = "mono" if channels == 1 else "stereo"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song"  # a real file: FFmpeg opens it again to put an index in front
        with av.open(str(path), "w", format=container, options=options or {}) as out:
            stream = out.add_stream(codec, rate=rate, layout=layout, options=codec_options or {})
            if codec == "libmp3lame" and not codec_options:
                stream.bit_rate = 64_000
            form = next(f.name for f in stream.codec.audio_formats)
            for start in range(0, len(samples), 1024):
                block = np.tile(samples[None, start : start + 1024], (channels, 1)).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                for converted in av.AudioResampler(form, frame.layout, rate, frame_size=0).resample(frame):
                    out.mux(stream.encode(converted))
            out.mux(stream.encode(None))
        return path.read_bytes()


def with_xing_count(data: bytes, change: Callable[[int], int]) -> bytes:
    """An MP3 whose Xing header counts other frames."""
    place = max(data.find(b"Xing"), data.find(b"Info")) + 8
    (count,) = struct.unpack(">I", data[place : place + 4])
    return data[:place] + struct.pack(">I", change(count)) + data[place + 4 :]


def crashed_wav(seconds: float, claimed_bytes: int = 0) -> bytes:
    """A WAV whose recorder did not come to write the sizes."""
    data = bytearray(encode(music(seconds)))
    data[40:44], data[4:8] = struct.pack("<I", claimed_bytes), struct.pack("<I", 36 + claimed_bytes)
    return bytes(data)


def crashed_aiff(seconds: float) -> bytes:
    """An AIFF whose recorder did not come to write the sizes."""
    data = bytearray(encode(music(seconds), container="AIFF"))
    common, sound = data.find(b"COMM"), data.find(b"SSND")
    data[common + 10 : common + 14] = bytes(4)
    data[sound + 4 : sound + 8] = bytes(4)
    return bytes(data)


def id3(size: int, body: bytes = b"") -> bytes:
    """An ID3v2.4 tag of so many bytes behind its header."""
    return b"ID3\x04\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + body.ljust(size, b"\0")
