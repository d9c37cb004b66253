"""What libsndfile does not read, or reads wrongly, by FFmpeg."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tonearm.audio.blocks import BlockFile
from tonearm.audio.mpeg import adts_seconds
from tonearm.audio.ogg import SHORTEST_PACKET
from tonearm.audio.sources import FileView
from tonearm.core.types import FloatArray

LONGEST_COUNTED_SECONDS = 12 * 3600.0  # counting reads packets and decodes none: a second of CPU time at most
PROBED = {"aac": "262144"}  # bytes, of frames that may be tiny; FFmpeg would parse 5 MB of them
LONGEST_PACKET = 0.25  # seconds of Vorbis or Opus in an Ogg: the last one is as long as the last page claims
CODECS = frozenset(
    ("aac", "alac", "flac", "opus", "libopus", "vorbis", "libvorbis", "mp1", "mp1float", "mp2", "mp2float")
)
PREFIXES = ("mp3", "pcm_", "adpcm_")
PICTURES = frozenset(("mjpeg", "png", "bmp", "gif", "webp", "tiff"))  # covers, and those of chapters
UNPACKED = ("wav", "w64", "aiff")  # large packets of plain samples
SEEKABLE = ("mp4",)  # by an index of its own; in the others a sample is found by decoding up to it


class FFmpegFile(BlockFile):
    """A file that FFmpeg decodes.

    Parameters
    ----------
    handle
        An open file; it is closed with this one, or if it cannot be decoded.
    demuxer
        FFmpeg's name of the format: no other is ever tried, since an uploaded file may be hostile.
    name
        What the format is called here.
    at_most
        Seconds after which its packets are not counted any more.

    Raises
    ------
    RuntimeError
        If FFmpeg cannot decode it.
    """

    def __init__(self, handle: FileView, demuxer: str, name: str, at_most: float = math.inf) -> None:
        import av

        self._errors: tuple[type[Exception], ...] = (av.FFmpegError, EOFError, ValueError)
        self._handle, self._demuxer, self.format = handle, demuxer, name
        self._most = min(at_most, LONGEST_COUNTED_SECONDS)
        self.source = handle.source
        self._container: Any = None
        try:
            self._open()
            self.samplerate = int(self._stream.codec_context.sample_rate or 0)
            self.channels = int(self._stream.codec_context.channels or 0)
            #: Those that its packets hold, counted without decoding them.
            self.frames = round(self._seconds() * self.samplerate)
            self.seek(0)
            self.remembers = demuxer not in SEEKABLE
        except (*self._errors, RuntimeError) as error:
            self.__exit__()
            raise RuntimeError(_reason(error)) from None

    def __exit__(self, *error: object) -> None:
        """Close both."""
        if self._container is not None:
            self._container.close()
        self._handle.close()

    def close(self) -> None:
        """As soundfile's files are closed."""
        self.__exit__()

    def seek(self, sample: int) -> int:
        """Go to a sample, exactly: a little before it by FFmpeg, the rest is decoded and dropped."""
        if self.remembers and self.go_near(sample):
            return sample
        try:
            at = max(0, sample - self.samplerate // 5) / max(1, self.samplerate)
            if self._demuxer in SEEKABLE:
                self._container.seek(int(at / self._stream.time_base), stream=self._stream)
            else:
                self._open()
        except self._errors as error:
            raise RuntimeError(_reason(error)) from None
        return self.go_on(sample, self._decoded(first=sample))

    def _open(self) -> None:
        import av

        if self._container is not None:
            self._container.close()
        self._handle.seek(0)
        self._container = av.open(
            self._handle, format=self._demuxer, metadata_errors="ignore",
            options={"probesize": PROBED[self._demuxer]} if self._demuxer in PROBED else {},
        )  # fmt: skip
        self._stream = self._only_audio()
        self._stream.codec_context.thread_count = 1

    def _only_audio(self) -> Any:
        """The first audio stream of a file that is no film."""
        for stream in self._container.streams.video:
            if _codec(stream) not in PICTURES:
                raise RuntimeError(f"it is a film ({_codec(stream)}): take its sound out of it first")
        streams = self._container.streams.audio
        if not streams:
            raise RuntimeError("it holds no audio stream")
        codec = _codec(streams[0])
        if codec not in CODECS and not codec.startswith(PREFIXES):
            raise RuntimeError(f"its codec {codec} is not read here")
        return streams[0]

    def _seconds(self) -> float:
        """How much its packets hold: by the index of an M4A where the file has all of it, else packet by packet."""
        claimed = float(self._stream.duration * self._stream.time_base) if self._stream.duration else 0.0
        if self._demuxer in SEEKABLE and claimed:
            self.claimed = claimed
            entries = self._stream.index_entries
            if len(entries):
                last = entries[len(entries) - 1]
                end = float(last.timestamp * self._stream.time_base)
                if last.pos + last.size <= self._handle.size and 0 <= claimed - end < 0.5:
                    return claimed
        return self._count()

    def _count(self) -> float:
        """Seconds of all packets, up to the first beyond the limit."""
        seconds, base, first, last = 0.0, float(self._stream.time_base), None, None
        may_lie = self._demuxer == "ogg" and _codec(self._stream) != "flac"
        longest = LONGEST_PACKET if may_lie else LONGEST_COUNTED_SECONDS
        try:
            for number, packet in enumerate(self._container.demux(self._stream)):
                if number * SHORTEST_PACKET > self._most and self._demuxer not in UNPACKED:
                    raise RuntimeError(f"it holds more than {number} packets, too many for music of {self._most:g} s")
                if not packet.size:
                    continue
                stated = adts_seconds(bytes(packet)[:7]) if self._demuxer == "aac" else 0.0  # its rate may change
                seconds += stated or min(longest, (packet.duration or 0) * base)
                if packet.pts is not None:
                    first, last = packet.pts if first is None else first, packet.pts
                if seconds > self._most:
                    break
        except self._errors:
            pass  # it ends here
        if not seconds and first is not None and last is not None:  # packets that do not say how long they are
            seconds = min((last - first) * base, LONGEST_COUNTED_SECONDS)
        return seconds

    def _decoded(self, first: int = 0) -> Iterator[FloatArray]:
        """Blocks from a sample on. What cannot be decoded is left out; music goes on behind it, as players have it."""
        place, failed = 0, None
        convert = _Uniform(self.samplerate, self.channels)
        for packet in self._packets():
            try:
                frames = [(self._place(frame), list(convert(frame))) for frame in packet.decode()]
            except self._errors as error:
                failed = failed or error
                continue
            for stated, blocks in frames:
                place = place if stated is None else stated
                for samples in blocks:
                    block = samples[max(0, first - place) :]
                    place += len(samples)
                    if len(block):
                        yield block
        try:
            rest = list(convert.finish())
        except self._errors as error:
            failed, rest = failed or error, []
        for samples in rest:
            yield samples[max(0, first - place) :]
            place += len(samples)
        if failed and not place:
            raise RuntimeError(_reason(failed))

    def _place(self, frame: Any) -> int | None:
        """Which sample a frame begins with, by its time; None where it goes on behind the one before."""
        if frame.pts is None or self._demuxer not in SEEKABLE:
            return None
        return round(float(frame.pts * frame.time_base) * self.samplerate)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except self._errors:
            return  # it ends here: cut short, or tags behind the music


class _Uniform:
    """Makes frames into blocks of one rate and one number of channels, though a stream may change both on the way."""

    def __init__(self, rate: int, channels: int) -> None:
        self._form = self._current = (rate, channels)
        self._resampler: Any = None

    def __call__(self, frame: Any) -> Iterator[FloatArray]:
        form = (frame.sample_rate, len(frame.layout.channels))
        if form != self._current:
            yield from self.finish()
            self._current, self._resampler = form, None if form == self._form else self._new()
        frame.pts = None
        for part in self._resampler.resample(frame) if self._resampler else [frame]:
            yield _samples(part, self._form[1])

    def finish(self) -> Iterator[FloatArray]:
        """What the resampler still holds."""
        for part in self._resampler.resample(None) if self._resampler else ():
            yield _samples(part, self._form[1])

    def _new(self) -> Any:
        import av

        rate, channels = self._form
        if channels > 2:
            raise RuntimeError("its channels change on the way")
        return av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=rate)


def _codec(stream: Any) -> str:
    context = stream.codec_context  # None where FFmpeg has no decoder
    return context.name if context else "unknown"


def _samples(frame: Any, channels: int) -> FloatArray:
    """float32 of shape (samples, channels)."""
    samples: Any
    if frame.format.name in ("s64", "s64p"):  # PyAV has no array of them
        count = frame.samples * (1 if frame.format.is_planar else channels)
        samples = np.stack([np.frombuffer(plane, np.int64, count) for plane in frame.planes])
    else:
        samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples / np.float32(-float(np.iinfo(samples.dtype).min))
    return np.ascontiguousarray(samples.T, dtype=np.float32)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
