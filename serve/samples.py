"""What people hear and see of a track: some seconds of it as MP3, and its spectrogram as a picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from serve.settings import CLIP_SECONDS as SECONDS
from tonearm.audio.decode import decode
from tonearm.audio.sources import Source
from tonearm.audio.windows import ClipConfig, load_clip, load_clips
from tonearm.core.figures import new_figure, png
from tonearm.features.engine import extract
from tonearm.features.mel import Mel
from tonearm.features.plots import draw_representation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE = 44_100
SHORTEST = 0.1  # seconds


def sample_clip(source: Source, start: float | None = None, seconds: float = SECONDS) -> bytes:
    """Some seconds of a recording, or all of a shorter one: MP3, mono.

    Parameters
    ----------
    start
        Where they begin, in seconds; None: they are from the middle.

    Raises
    ------
    AudioError
        If it is no usable audio, or gone; ``empty`` if it ends before.
    """
    import soundfile

    if start is None:
        waveform = load_clip(source, ClipConfig(seconds=seconds), RATE, min_seconds=SHORTEST)
    else:
        waveform = decode(source, RATE, offset=start, duration=seconds)
    file = io.BytesIO()
    soundfile.write(file, waveform.samples.T, waveform.sample_rate, format="MP3", subtype="MPEG_LAYER_III")
    return file.getvalue()


def sample_picture(source: Source) -> bytes:
    """The mel spectrogram of the same seconds: PNG.

    Raises
    ------
    AudioError
        If it is no usable audio, or gone.
    """
    return png(clip_plot(source))


def clip_plot(source: Source) -> Figure:
    """The mel spectrogram of the same seconds as a figure; raises are those of :func:`sample_picture`."""
    mel = Mel(frames=None)
    (part,) = load_clips(source, ClipConfig(seconds=SECONDS), [mel.layout], SHORTEST)
    values = next(iter(extract(part.waveforms[mel.layout], [mel]).values()))
    figure = new_figure(9, 3)
    draw_representation(figure, figure.subplots(), values.astype(np.float32), mel, part.start)
    return figure
