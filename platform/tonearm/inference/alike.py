"""Which two windows, one of each of two recordings, a network finds most alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tonearm.audio.sources import Source
from tonearm.core import home
from tonearm.core.errors import AudioError
from tonearm.core.precision import float32_products
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.batch import TrackReader
from tonearm.inference.member import StoredTrack, member_clips, member_windows
from tonearm.models.base import in_chunks
from tonearm.recommend.reasons import WindowMatch
from tonearm.training.bundle import Bundle
from tonearm.training.windows import window_times


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording as one network hears it.

    Attributes
    ----------
    member
        The network.
    source
        Encoded bytes, a path or a URI.
    stored
        Its representations.
    times
        Where each window begins and ends, seconds.
    vectors
        Of the windows, (windows, dim), unit length.
    """

    member: Bundle
    source: Source
    stored: StoredTrack
    times: list[tuple[float, float]]
    vectors: FloatArray


def listening_member(ensemble: Ensemble) -> int:
    """Which network of a model tells windows apart: of those that hear several a track the one of the greatest weight;
    if none does, of all."""

    def hears_several(member: Bundle) -> bool:
        whole = all(r.is_whole for r in member.config.audio_inputs().values())
        return not whole and member.config.window.per_track > 1

    members = list(enumerate(ensemble.members))
    several = [i for i, member in members if hears_several(member)] or [i for i, _ in members]
    return max(several, key=lambda i: (ensemble.weights[i], -i))


def hear_windows(member: Bundle, stored: StoredTrack, source: Source) -> Heard:
    """The windows of a recording, as a network hears them.

    Raises
    ------
    AudioError
        If its inputs have no clip in common, or it is not known when its clips begin.
    """
    windows, clips = member_windows(member, stored), member_clips(member, stored)
    with torch.inference_mode(), float32_products():
        embedded = in_chunks(member.network.embed, windows)
    name, feature = next(iter(member.config.audio_inputs().items()))
    times = window_times(clips[name], member.config, feature)
    if len(embedded) == 1 < len(times):  # a network that hears a track at once
        times = [(times[0][0], times[-1][1])]
    if np.isnan(times).any():
        raise AudioError("no_times", "its features were stored before times were kept: extract them again")
    return Heard(member, source, stored, times, unit_length(embedded.cpu().numpy()))


def hear_track(member: Bundle, content: str, source: str) -> Heard:
    """The windows of a track of a library: of its features if they are stored, else of its audio.

    Raises
    ------
    AudioError
        If there is neither, or its file holds something else now.
    """
    reader = TrackReader(home.features_home(), home.node_cache())
    return hear_windows(member, reader.read(member, content, source)[0], source)


def match_windows(seed: Heard, result: Heard) -> WindowMatch:
    """The two windows whose embeddings have the greatest cosine; of equal ones the earliest."""
    cosines = result.vectors @ seed.vectors.T
    i, j = np.unravel_index(int(cosines.argmax()), cosines.shape)
    start, end = result.times[int(i)]
    return WindowMatch(start, seed.times[int(j)][0], end - start, float(cosines[i, j]))
