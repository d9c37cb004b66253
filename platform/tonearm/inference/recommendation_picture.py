"""One picture of a result and its seed, with the windows that are most alike."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tonearm.audio.windows import Clip, load_clips
from tonearm.core.figures import new_figure
from tonearm.core.types import FloatArray
from tonearm.features.base import Representation
from tonearm.features.engine import extract
from tonearm.features.mel import Mel
from tonearm.features.plots import draw_representation
from tonearm.features.store import StoredClip
from tonearm.inference.member import member_clips

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tonearm.inference.alike import Heard
    from tonearm.inference.recommendation import Pair

T = TypeVar("T", StoredClip, Clip)
LINE = 100  # characters above a spectrogram
MARK = "#4fc3f7"


def pair_plot(pair: Pair, name: str, told: str) -> Figure:
    """The seed above, the result below, their windows that are most alike marked.

    Parameters
    ----------
    name, told
        Of the result: what it is called, and why it is recommended.

    Raises
    ------
    AudioError
        If a model hears no spectrogram, so that the audio itself is needed, and it is not there.
    """
    figure = new_figure(9, 5.4)
    match = pair.match
    rows = ((pair.seed, match.seed_start, pair.seed_name), (pair.result, match.start, f"{name}: {told}"))
    for axis, (heard, start, title) in zip(figure.subplots(2, 1), rows, strict=True):
        values, feature, clip_start = _spectrogram(heard, start)
        draw_representation(figure, axis, values, feature, clip_start)
        axis.axvspan(start, start + match.seconds, fill=False, edgecolor=MARK, linewidth=2.5)
        axis.set_title("\n".join(textwrap.wrap(title, LINE)), fontsize=8, loc="left")
    figure.supxlabel(f"seconds; the marked windows are most alike ({match.similarity:.3f})", fontsize=8)
    return figure


def _spectrogram(heard: Heard, start: float) -> tuple[FloatArray, Representation, float]:
    """What a network hears of the clip in which a window begins, if that is a picture; else a mel spectrogram of it;
    and where the clip begins, seconds."""
    inputs = heard.member.config.audio_inputs()
    drawn = {name: r for name, r in inputs.items() if not r.is_whole and r.freq_bins > 1}
    if drawn:
        name, feature = next(iter(drawn.items()))
        clip = _holding(member_clips(heard.member, heard.stored)[name], start)
        return clip.values.astype(np.float32), feature, clip.start
    mel = Mel(frames=None)
    part = _holding(list(load_clips(heard.source, heard.member.config.clip, [mel.layout])), start)
    values = extract(part.waveforms[mel.layout], [mel])
    return next(iter(values.values())), mel, part.start


def _holding(clips: Sequence[T], start: float) -> T:
    """The last clip that begins at a time or before it."""
    return max((c for c in clips if c.start <= start + 1e-6), key=lambda c: c.start)
