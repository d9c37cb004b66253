"""Which parts of a recording are used: one clip of a track or many over the whole of it, and windows of a clip."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from tonearm.audio.channels import Channels
from tonearm.audio.checks import check_waveform
from tonearm.audio.converting import Layout
from tonearm.audio.recording import LEAST_SHORT, LONGEST_DECODE_SECONDS, AudioFile, open_audio
from tonearm.audio.sources import Source
from tonearm.core.config import Config
from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import Waveform

logger = logging.getLogger(__name__)

Tail = Literal["drop", "pad", "wrap"]
#: Reasons for which one clip among others of its track is left out: a rest in the music, an end that came early.
SKIPPABLE_REASONS = ("silent", "clipped", "too_short", "empty")


class ClipConfig(Config):
    """Which part of a track is used.

    Attributes
    ----------
    seconds
        Length of a clip.
    position
        Where a longer track is cut: ``"start"``; ``"middle"``, which skips fade-ins and spoken openings; or ``"all"``:
        the whole track, in clips one after the other.
    hop
        ``"all"``: seconds from the start of one clip to the next; None is ``seconds``, no overlap.
    tail
        What becomes of a clip that the track ends in: ``"drop"`` it (a track shorter than one clip is used as it is),
        ``"pad"`` it with zeros, or ``"wrap"`` around to the track's beginning.
    """

    seconds: float = 30.0
    position: Literal["start", "middle", "all"] = "middle"
    hop: float | None = None
    tail: Tail = "drop"

    def brief(self) -> str:
        """As it is typed in a notebook: it stands by itself in messages and listings of stores."""
        fields = super().brief()
        return f"ClipConfig{fields}" if fields.startswith("(") else "ClipConfig"

    def problems(self) -> list[str]:
        found = []
        if not 0 < self.seconds <= LONGEST_DECODE_SECONDS:
            found.append(
                f"clip.seconds is {self.seconds}: a clip is longer than 0 s and at most {LONGEST_DECODE_SECONDS:g} s"
            )
        if self.hop is not None and self.position != "all":
            found.append(f"clip.hop is {self.hop} but clip.position is {self.position!r}: only 'all' has several clips")
        elif self.hop is not None and not 0 < self.hop < math.inf:
            found.append(f"clip.hop is {self.hop}: it must be positive, or None for no overlap")
        return found


def tile_starts(length: int, window: int, hop: int, tail: Tail) -> list[int]:
    """First positions of windows over a whole.

    Parameters
    ----------
    length
        Of the whole, in any unit (samples, frames, milliseconds).
    window, hop
        Length of a window, and from one start to the next, > 0.
    tail
        ``"drop"``: only windows that fit, but one at 0 if the whole is shorter than a window. ``"pad"``, ``"wrap"``:
        as many as are needed to cover the whole; the last one reaches beyond its end.

    Raises
    ------
    ConfigError
        If a length is not positive.
    """
    if min(length, window, hop) < 1:
        raise ConfigError(f"windows of {window} every {hop} over {length}: all three must be at least 1")
    fitting = max(0, (length - window) // hop + 1)
    starts = [i * hop for i in range(fitting)] or [0]
    covered = starts[-1] + window
    if tail != "drop" and covered < length:
        more = -(-(length - covered) // hop)
        # With a hop longer than the window, a start may be beyond the end, where nothing is left to cover.
        starts += [s for s in (starts[-1] + i * hop for i in range(1, more + 1)) if s < length]
    return starts


@dataclass(frozen=True)
class Clip:
    """A part of a recording.

    Attributes
    ----------
    number
        Its place among all clips of the recording, from 0 on, those that cannot be used included: a number is the same
        time in every layout.
    start
        Where it begins, in seconds.
    waveforms
        Its samples by layout, (sample rate, channels); without the layouts in which it cannot be used.
    """

    number: int
    start: float
    waveforms: dict[Layout, Waveform]


def load_clip(
    source: Source,
    clip: ClipConfig,
    sample_rate: int = 22050,
    channels: Channels = 1,
    min_seconds: float = 1.0,
) -> Waveform:
    """The first clip of a track in one layout, as :func:`load_clips` gives it."""
    layout = (sample_rate, channels)
    return next(load_clips(source, clip, [layout], min_seconds)).waveforms[layout]


def load_clips(
    source: Source,
    clip: ClipConfig,
    layouts: Sequence[Layout],
    min_seconds: float = 1.0,
    unvalidated_layouts: Sequence[Layout] = (),
    note: Callable[[str], None] | None = None,
) -> Iterator[Clip]:
    """Decode and validate the clips of a track; used by extraction and by serving.

    One clip is in memory at a time, however long the track.

    Parameters
    ----------
    source
        Encoded bytes, an open file, a path or a URI.
    clip
        Which parts.
    layouts
        (Sample rate, channels) of the results.
    min_seconds
        The least audio that a track must have, and each clip of it unless its tail is filled up.
    unvalidated_layouts
        Further layouts, which are not validated.
    note
        Is told once what is odd about the file, such as "claims 600 s, holds 60 s"; None logs it.

    Yields
    ------
    Clip
        Of several clips, silent, clipped and too short ones are left out, in each layout by itself: which clips a
        layout has does not depend on the other layouts.

    Raises
    ------
    AudioError
        Whatever :func:`tonearm.audio.decode.decode` and :func:`tonearm.audio.checks.check_waveform` find; for several
        clips, if none of them can be used.
    """
    rejected: dict[Layout, AudioError] = {}
    accepted_layouts: set[Layout] = set()
    with open_audio(source) as file:
        number, duration, starts = 0, -1.0, list[float]()
        while True:
            if file.info.duration != duration:  # reading may correct the length
                duration = file.info.duration
                starts = _starts(clip, duration)
            if number >= len(starts):
                break
            start = starts[number]
            is_tail = clip.position == "all" and clip.tail != "drop" and start > 0
            number += 1
            try:
                waveforms, start = _read(file, clip, [*layouts, *unvalidated_layouts], start)
            except AudioError as error:
                if start == 0 or clip.position != "all" or error.reason not in SKIPPABLE_REASONS:
                    raise
                continue
            if clip.position == "all" and clip.tail == "drop" and 0 < start > file.info.duration - clip.seconds + 1e-3:
                continue  # it is not whole after all
            for layout in dict.fromkeys(layouts):
                try:
                    # Validated before it is filled up; a tail may be short.
                    check_waveform(waveforms[layout], 0.0 if is_tail else min_seconds)
                    accepted_layouts.add(layout)
                except AudioError as error:
                    if clip.position != "all" or error.reason not in SKIPPABLE_REASONS:
                        raise
                    rejected.setdefault(layout, error)
                    del waveforms[layout]
            if any(layout in waveforms for layout in layouts):
                if clip.tail != "drop":
                    waveforms = {k: _fill(w, clip, file, k) for k, w in waveforms.items()}
                yield Clip(number - 1, start, waveforms)
        if file.note:
            (note or partial(logger.warning, "%s %s", file.name))(file.note)
    for layout, first in rejected.items():
        if layout not in accepted_layouts:
            raise first


def _read(
    file: AudioFile, clip: ClipConfig, layouts: Sequence[Layout], start: float
) -> tuple[dict[Layout, Waveform], float]:
    """A clip, and where it begins: where reading shows that the recording has another length, its middle is another."""
    for _ in range(2):
        before = file.info.duration
        try:
            waveforms = file.read(layouts, start, clip.seconds)
        except AudioError as error:
            if error.reason != "empty" or clip.position != "middle" or file.info.duration == before:
                raise
        else:
            if clip.position != "middle" or abs(file.info.duration - before) < LEAST_SHORT:
                return waveforms, start
        (start,) = _starts(clip, file.info.duration)
    return file.read(layouts, start, clip.seconds), start


def _starts(clip: ClipConfig, duration: float) -> list[float]:
    if clip.position == "start":
        return [0.0]
    if clip.position == "middle":
        return [max(0.0, (duration - clip.seconds) / 2)]
    length, window, hop = (max(1, round(1000 * s)) for s in (duration, clip.seconds, clip.hop or clip.seconds))
    return [milliseconds / 1000 for milliseconds in tile_starts(length, window, hop, clip.tail)]


def _fill(waveform: Waveform, clip: ClipConfig, file: AudioFile, layout: Layout) -> Waveform:
    length = round(clip.seconds * waveform.sample_rate)
    samples = waveform.samples[:, :length]
    missing = length - samples.shape[1]
    if missing and clip.tail == "pad":
        samples = np.pad(samples, ((0, 0), (0, missing)))
    elif missing:
        whole = file.read([layout], 0.0, missing / waveform.sample_rate + 0.01)[layout].samples
        samples = np.concatenate([samples, np.resize(whole.T, (missing, len(whole))).T], axis=1)
    return Waveform(np.ascontiguousarray(samples), waveform.sample_rate)


def window_starts(frames: int, window: int, count: int) -> list[int]:
    """First frames of ``count`` windows spread evenly over a clip, from its first frame to its last.

    Parameters
    ----------
    frames
        Frames there are.
    window
        Frames a window.
    count
        Windows, at least 1; a single one is taken from the middle.

    Raises
    ------
    ConfigError
        If the window is longer than the clip.
    """
    room = frames - window
    if room < 0 or count < 1:
        raise ConfigError(
            f"{count} windows of {window} frames cannot be taken from {frames} frames: shorten the window"
        )
    if count == 1:
        return [room // 2]
    return [round(i * room / (count - 1)) for i in range(count)]
