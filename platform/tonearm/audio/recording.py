"""An open recording: which decoder reads it, how long it really is, and its samples part by part.

libsndfile reads what it can; FFmpeg reads the rest: other formats, and files whose header is wrong, which libsndfile
believes. How long a recording is, is what its frames show, not what its header claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tonearm.audio.claims import find_false_claim, length_note
from tonearm.audio.converting import Converter, Layout
from tonearm.audio.decoders import (
    BLOCK_SAMPLES,
    MOST_RATE,
    count_samples,
    has_its_end,
    open_by_ffmpeg,
    open_by_libsndfile,
    reason_of,
    refusal,
    require_at_most,
)
from tonearm.audio.ffmpeg import FFmpegFile
from tonearm.audio.formats import AudioInfo, Format, find_format
from tonearm.audio.joined import JoinedFile, open_joined
from tonearm.audio.sources import (
    HeadReader,
    Source,
    as_source,
    close_handle,
    open_handle,
    raise_read_error,
    source_name,
)
from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray, Waveform

MAX_CHANNELS = 8
LONGEST_TRUSTED_SECONDS = 12 * 3600.0  # the length of a longer file is counted by decoding it
MOST_COUNTED = 2**33  # samples of all channels: some ten seconds of CPU time
SAMPLE_RATES = (1_000, 768_000)  # Hz; a header with another rate is invalid
LONGEST_DECODE_SECONDS = 3600.0  # the most that is held in memory at once
CODEC_SAMPLES = 8 * 1152 + 4 * 1105  # that an encoder may say it put around the music, and its header's frame
CODEC_SECONDS = CODEC_SAMPLES / 8_000
LEAST_SHORT = 0.1  # seconds; codecs round their ends by less


class AudioFile:
    """An open recording, of which several parts can be read. Made by :func:`open_audio`.

    Parameters
    ----------
    source, at_most
        As :func:`tonearm.audio.describe` has them.

    Attributes
    ----------
    name
        Of the source, for messages.
    """

    def __init__(self, source: Source, at_most: float = math.inf) -> None:
        import soundfile

        self._source, self._at_most = as_source(source), at_most
        self.name = source_name(self._source)
        self._errors = (soundfile.SoundFileError, RuntimeError)
        self._file: Any = None
        self._handle: Any = None
        self._claimed: float | None = None
        self._frames = self._next = 0
        self._by_ffmpeg, self._ffmpeg_error = False, ""
        self._open()
        try:
            decoder: Any = self._file
            rate, channels = decoder.samplerate, decoder.channels
            if not (SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1] and 1 <= channels <= MAX_CHANNELS):
                raise AudioError(
                    "bad_header",
                    f"{self.name} states {rate} Hz and {channels} channels: expected "
                    f"{SAMPLE_RATES[0]}-{SAMPLE_RATES[1]} Hz and at most {MAX_CHANNELS} channels",
                )
            self._frames = int(decoder.frames)
            self._compare()
            if self._frames > LONGEST_TRUSTED_SECONDS * rate:  # a stream of unknown length, or a wrong header
                self._frames = self._count()
            require_at_most(at_most, self._frames / rate, self.name, rate * channels)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> AudioInfo:
        """What the recording is, as far as it is known by now: reading may show that it is shorter."""
        rate = self._file.samplerate
        return AudioInfo(self._frames / rate, rate, self._file.channels, self._found.name)

    @property
    def note(self) -> str:
        """What a person should know about the file; empty if its header is right."""
        return length_note(self._claimed, self.info.duration) or self._unread

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.__exit__()
            self._file = None

    def read(
        self, layouts: Sequence[Layout], offset: float = 0.0, duration: float | None = None
    ) -> dict[Layout, Waveform]:
        """A part of the recording, as :func:`tonearm.audio.decode` gives it, in each layout.

        It is read block by block, and each block is converted before the next one is read.
        """
        seconds = min(LONGEST_DECODE_SECONDS, LONGEST_DECODE_SECONDS if duration is None else duration)
        while True:
            rate, by_ffmpeg = self._file.samplerate, self._by_ffmpeg
            converters = {layout: Converter(rate, *layout, self._file.channels) for layout in dict.fromkeys(layouts)}
            read = 0
            for block in self._blocks(round(offset * rate), round(seconds * rate)):
                read += len(block)
                for converter in converters.values():
                    converter.add(block)
            if self._by_ffmpeg == by_ffmpeg:
                break  # else FFmpeg hears more of it
        if not read:
            raise AudioError("empty", f"{self.name} holds no samples after {offset:g} s")
        return {layout: Waveform(c.finish(), layout[0]) for layout, c in converters.items()}

    def _blocks(self, start: int, count: int) -> Iterator[FloatArray]:
        """Blocks of the source's samples; where fewer come than there should be, the length is corrected."""
        left = wanted = min(count, max(0, self._frames - start))
        failure: Exception | None = None
        try:
            if left:
                self._go_to(start)
            buffer = np.empty((min(BLOCK_SAMPLES, left), self._file.channels), dtype=np.float32)
            while left > 0:
                block = self._file.read(min(BLOCK_SAMPLES, left), dtype="float32", always_2d=True, out=buffer[:left])
                raise_read_error(self._handle, self.name)
                if len(block) == 0:
                    break
                left -= len(block)
                self._next += len(block)
                yield block
        except self._errors as error:
            raise_read_error(self._handle, self.name)
            failure = error
        if failure or left:
            self._correct(start, wanted - left, failure)

    def _go_to(self, start: int) -> None:
        """Let the next sample that is read be that one."""
        if self._next == start:
            return
        if self._next and self._found.name == "OGG" and not self._by_ffmpeg:
            self._reopen()  # libsndfile 1.2 seeks to a wrong sample in Vorbis that was read before
        try:
            self._file.seek(start)
        except self._errors:
            if self._found.name not in ("WAV", "AIFF"):
                raise
            self._reopen()  # GSM and its like can only be read on
            count_samples(self._file, start)
        self._next = start

    def _correct(self, start: int, read: int, failure: Exception | None) -> None:
        """Correct the length after a part from ``start`` on had only so many samples."""
        rate, end = self._file.samplerate, start + read
        missing = self._frames - end
        self._note_claim()
        if not self._by_ffmpeg and (failure or missing > LEAST_SHORT * rate):
            other = self._try_ffmpeg()
            if other is not None and (failure or not read or other.frames > end + LEAST_SHORT * rate):
                self._replace(other)
                return
            if other is not None:
                other.__exit__()
        if failure and not read and not start:
            raise AudioError("undecodable", f"{self.name}: decoding failed after the header: {reason_of(failure)}")
        self._frames = end if read else self._count()

    def _count(self) -> int:
        """Samples that there really are, by decoding them."""
        self._reopen()
        rate, channels = self._file.samplerate, self._file.channels
        beyond = self._at_most * min(rate, MOST_RATE / channels) + 1
        most = min(LONGEST_TRUSTED_SECONDS * rate, MOST_COUNTED / channels, beyond)
        try:
            count = count_samples(self._file, round(most))
        except self._errors as error:
            raise AudioError("undecodable", f"{self.name}: decoding failed at once: {reason_of(error)}") from None
        self._reopen()
        return count

    def _open(self) -> None:
        """Find the format and what is wrong with its header, and open the decoder that reads it."""
        handle: Any = None
        try:
            handle = open_handle(self._source)
            read_at = HeadReader(handle)
            self._found: Format = find_format(read_at, self._at_most + CODEC_SECONDS)
            if self._found.mp3 is not None:
                require_at_most(self._at_most, self._found.mp3.seconds - CODEC_SECONDS, self.name)
            self._size = read_at.size
            finding = find_false_claim(self._found, read_at, self._size, self._at_most)
        except Exception as error:
            if handle is not None:
                close_handle(handle)
            raise refusal(error, self.name, handle) from None
        self._patches = finding.patches if finding else {}
        self._claimed = finding.claimed if finding else None
        self._unread, self._unsure = (finding.unread, finding.unsure) if finding else ("", False)
        ffmpeg_first = not self._found.by_libsndfile or (finding is not None and finding.needs_ffmpeg)
        other: FFmpegFile | JoinedFile | None = None
        if finding is not None and finding.places:
            other = open_joined(self._source, self._found, finding.places, self._size, self._at_most)
        if other is not None:
            close_handle(handle)
        elif ffmpeg_first:
            other = self._try_ffmpeg(handle)
        if other is None and self._found.by_libsndfile:
            try:
                self._file, self._handle = open_by_libsndfile(
                    self._source, self._patches, None if ffmpeg_first else handle
                )
                return
            except AudioError as error:
                other = self._try_ffmpeg() if error.reason == "undecodable" and not ffmpeg_first else None
                if other is None:
                    raise
        if other is None:
            raise AudioError("undecodable", f"{self.name} is no audio that can be read: {self._ffmpeg_error}")
        self._replace(other)

    def _try_ffmpeg(self, handle: Any = None) -> FFmpegFile | None:
        """FFmpeg's decoder, if it hears anything in the file."""
        try:
            return open_by_ffmpeg(self._source, self._found, handle, self._at_most)
        except RuntimeError as error:
            self._ffmpeg_error = reason_of(error)
            return None

    def _replace(self, other: FFmpegFile | JoinedFile) -> None:
        self.close()
        self._file, self._handle, self._by_ffmpeg = other, other.source, True
        self._frames, self._next = other.frames, 0
        self._claimed = other.claimed if self._claimed is None else self._claimed

    def _reopen(self) -> None:
        self._next = 0
        if self._by_ffmpeg:
            self._file.seek(0)
            return
        self.close()
        self._file, self._handle = open_by_libsndfile(self._source, self._patches)

    def _compare(self) -> None:
        """Let FFmpeg read a file of which libsndfile would leave out a part, or at whose end it fails."""
        if self._by_ffmpeg or not self._frames:
            return
        rate, stream = self._file.samplerate, self._found.mp3
        if stream is not None:
            wrong = not -2 * 1152 <= stream.seconds * rate - self._frames <= CODEC_SAMPLES
        else:
            wrong = self._unsure and not has_its_end(self._file, self._handle, self._size)
        other = self._try_ffmpeg() if wrong else None
        if other is None:
            return
        if abs(other.frames - self._frames) <= LEAST_SHORT * rate:
            other.__exit__()
            return
        if stream is None:
            self._note_claim()
        self._replace(other)

    def _note_claim(self) -> None:
        """Keep what the header claims. No length, or an absurd one, is how a stream says that it knows none."""
        claimed = self._frames / self._file.samplerate
        if self._claimed is None and 0 < claimed <= LONGEST_TRUSTED_SECONDS:
            self._claimed = claimed


@contextmanager
def open_audio(source: Source, at_most: float = math.inf) -> Iterator[AudioFile]:
    """Open a recording; parameters and errors are those of :func:`tonearm.audio.describe`."""
    file = AudioFile(source, at_most)
    try:
        yield file
    finally:
        file.close()
