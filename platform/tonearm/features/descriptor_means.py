"""What the descriptors of a track's clips say of the track."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tonearm.features.descriptors import Descriptors

RELATIVE_GATE = 10.0  # LU below the loudest clip: rests and fades count little for how loud a track is
AVERAGED = ("brightness", "dynamic_range", "onset_rate")


def describe_track(clips: Sequence[Descriptors]) -> dict[str, Any]:
    """The descriptors of a track from those of its clips, as JSON types; None where no clip could be measured.

    Parameters
    ----------
    clips
        Of one length each, as a track is cut.

    Returns
    -------
    dict
        Of one clip its own values. Of several: the median tempo; the key and mode with the greatest sum of strengths,
        and the mean of these; the loudness of the clips' mean power, those 10 LU below the loudest left out; the root
        of the mean square; the mean of brightness, range and onset rate. What a clip lacks does not count.
    """
    if len(clips) == 1:
        return clips[0].to_dict()
    names = [f.name for f in dataclasses.fields(Descriptors) if f.name != "no_tempo"]
    measured: dict[str, list[Any]] = {n: [v for c in clips if (v := getattr(c, n)) is not None] for n in names}
    found: dict[str, Any] = dict.fromkeys(names)
    found |= {name: float(np.mean(measured[name])) for name in AVERAGED if measured[name]}
    if measured["tempo"]:
        found["tempo"] = float(np.median(measured["tempo"]))
    if measured["energy"]:
        found["energy"] = math.sqrt(float(np.mean(np.square(measured["energy"]))))
    if measured["loudness"]:
        levels = np.array(measured["loudness"])
        heard = levels[levels > levels.max() - RELATIVE_GATE]
        found["loudness"] = float(10 * np.log10(np.mean(10 ** (heard / 10))))
    strengths: dict[tuple[str, str], list[float]] = defaultdict(list)
    for clip in clips:
        if clip.key is not None and clip.mode is not None and clip.key_strength is not None:
            strengths[clip.key, clip.mode].append(clip.key_strength)
    if strengths:
        found["key"], found["mode"] = best = max(strengths, key=lambda k: sum(strengths[k]))
        found["key_strength"] = float(np.mean(strengths[best]))
    return found
