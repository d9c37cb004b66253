"""M4A and AAC (and ALAC) by FFmpeg, for what libsndfile does not read; the interface is that of soundfile's files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tonearm.core.types import FloatArray

LONGEST_COUNTED_SECONDS = 2 * 3600  # some seconds of CPU time; the rest of a longer raw stream is not decoded


def demuxer_for(head: bytes) -> str | None:
    """FFmpeg's name for the container that a file begins as, or None if it is none of those read here.

    Only these two demuxers are ever used: an uploaded file may be hostile.
    """
    if head[4:8] == b"ftyp":
        return "mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # the sync word of ADTS; MP3's has a layer
        return "aac"
    return None


class AacFile:
    """A decoder that is read like ``soundfile.SoundFile``, as far as :mod:`tonearm.audio.decode` does.

    Parameters
    ----------
    handle
        An open binary file.
    demuxer
        From :func:`demuxer_for`.

    Raises
    ------
    RuntimeError
        If FFmpeg cannot decode it.
    """

    def __init__(self, handle: Any, demuxer: str) -> None:
        import av

        self._errors: tuple[type[Exception], ...] = (av.FFmpegError, EOFError)
        self._handle = handle
        try:
            self._container = av.open(handle, format=demuxer, metadata_errors="ignore")
            streams = self._container.streams.audio
            if not streams:
                raise RuntimeError("it holds no audio stream")
            self._stream = streams[0]
            self._stream.codec_context.thread_count = 1
            self.samplerate = int(self._stream.codec_context.sample_rate or 0)
            self.channels = int(self._stream.codec_context.channels or 0)
        except self._errors as error:
            raise RuntimeError(_reason(error)) from None
        self.format = "AAC" if demuxer == "aac" else "M4A"
        seconds = 0.0
        if self._stream.duration and demuxer == "mp4":
            seconds = float(self._stream.duration * self._stream.time_base)
        self.frames = round(seconds * self.samplerate) if seconds else self._count()
        self.seek(0)

    def __exit__(self, *error: object) -> None:
        """Close both."""
        self._container.close()
        self._handle.close()

    def tell(self) -> int:
        """The next sample."""
        return self._next

    def seek(self, sample: int) -> int:
        """Go to a sample, exactly: a little before it by FFmpeg, the rest is decoded and dropped."""
        try:
            at = max(0, sample - self.samplerate // 5) / max(1, self.samplerate)
            if self.format == "M4A":
                self._container.seek(int(at / self._stream.time_base), stream=self._stream)
            else:
                self._container.seek(0)
        except self._errors as error:
            raise RuntimeError(_reason(error)) from None
        self._rest = np.empty((0, self.channels), dtype=np.float32)
        self._blocks = self._decoded(first=sample)
        self._next = sample
        return sample

    def read(self, frames: int, dtype: str, always_2d: bool, out: FloatArray) -> FloatArray:
        """The next samples, float32 of shape (samples, channels); fewer at the end."""
        while len(self._rest) < frames:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = np.concatenate([self._rest, block]) if len(self._rest) else block
        count = min(frames, len(self._rest))
        out[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._next += count
        return out[:count]

    def _count(self) -> int:
        """Samples of a raw stream, which states no length: decoded once, up to :data:`LONGEST_COUNTED_SECONDS`."""
        count = 0
        for block in self._decoded():
            count += len(block)
            if count > LONGEST_COUNTED_SECONDS * self.samplerate:
                break
        return count

    def _decoded(self, first: int = 0) -> Iterator[FloatArray]:
        place = 0
        try:
            for frame in self._container.decode(self._stream):
                if (frame.sample_rate, len(frame.layout.channels)) != (self.samplerate, self.channels):
                    raise RuntimeError("its rate or its channels change on the way")
                samples = frame.to_ndarray()
                if not frame.format.is_planar:
                    samples = samples.reshape(-1, self.channels).T
                if samples.dtype.kind == "i":
                    samples = samples / np.float32(-float(np.iinfo(samples.dtype).min))
                if frame.pts is not None and self.format == "M4A":
                    place = round(float(frame.pts * frame.time_base) * self.samplerate)
                block = np.ascontiguousarray(samples.T, dtype=np.float32)[max(0, first - place) :]
                place += samples.shape[1]
                if len(block):
                    yield block
        except self._errors as error:
            if not place:  # else it ends here, as libsndfile has it: cut short, or tags behind the music
                raise RuntimeError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
