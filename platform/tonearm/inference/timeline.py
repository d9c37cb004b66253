"""What a model hears in each window of a recording, as the network that tells windows apart best has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.alike import listening_member
from tonearm.inference.member import MemberPrediction, StoredTrack, member_clips
from tonearm.training.windows import window_times


@dataclass(frozen=True, eq=False)
class Moment:
    """A window.

    Attributes
    ----------
    start, end
        Seconds.
    outputs
        float32 (outputs,): what one network says of this window alone, uncalibrated.
    """

    start: float
    end: float
    outputs: FloatArray


def timeline(
    ensemble: Ensemble, stored: Sequence[StoredTrack], answers: Sequence[MemberPrediction]
) -> tuple[Moment, ...]:
    """The windows of a recording in their order; none of what is heard at once, or whose times are not known.

    Parameters
    ----------
    stored, answers
        Of each member what it hears, and what it says of it.
    """
    place = listening_member(ensemble)
    member, logits = ensemble.members[place], answers[place].logits
    name, feature = next(iter(member.config.audio_inputs().items()))
    if logits is None or feature.is_whole:
        return ()
    times = window_times(member_clips(member, stored[place])[name], member.config, feature)
    if len(times) != len(logits) or len(times) < 2 or np.isnan(times).any():
        return ()
    moments = [Moment(start, end, member.config.task.pool(logits[i : i + 1])) for i, (start, end) in enumerate(times)]
    return tuple(sorted(moments, key=lambda moment: moment.start))
