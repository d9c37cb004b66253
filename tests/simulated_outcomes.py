"""Outcomes of an experiment whose truth is known, as columns of events."""

from __future__ import annotations

from typing import Any

import numpy as np

from tonearm.feedback.events import CHALLENGER, CHAMPION, arm_of

DAY = 86_400.0
BEGAN = 1.7e9
SALT, SHARE = "spring", 0.5
TRACKS = 500


def simulated(
    people: int, events: float = 20.0, lift: float = 0.0, early: tuple[float, float] = (0.2, 0.2),
    repeated: tuple[float, float] = (0.3, 0.3), days: float = 30.0, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Events of listeners, each with rates of his own around the truth.

    Parameters
    ----------
    people, events
        Listeners, and the mean number of events of each.
    lift
        Of the share of likes, 0.3, in the challenger's arm.
    early, repeated
        Shares of tracks that are skipped within 30 s, and that are heard that often again, by arm.
    days
        In which they come.
    """
    rng = np.random.default_rng(seed)
    listeners = [f"listener-{i:010d}" for i in range(people)]
    second = np.array([arm_of(one, SALT, SHARE) == CHALLENGER for one in listeners])
    counts = 1 + rng.poisson(events - 1, people)
    who = np.repeat(np.arange(people), counts)
    n = len(who)

    def rate(of: np.ndarray | float) -> np.ndarray:
        own: np.ndarray = rng.beta(np.maximum(3 * of, 1e-9), 3 * (1 - np.asarray(of)), people)[who]
        return own

    liked = rng.random(n) < rate(np.where(second, 0.3 + lift, 0.3))
    skipped = rng.random(n) < rate(np.where(second, early[1], early[0]))
    again = (rng.random(n) < rate(np.where(second, repeated[1], repeated[0]))) & ~skipped & ~liked
    time = BEGAN + rng.random(n) * days * DAY
    track = np.arange(n) % (TRACKS * 1000)  # each is heard once, and may be once more
    kinds = np.where(liked, "like", np.where(skipped, "skip", "play"))
    seconds = np.where(skipped & ~liked, rng.uniform(0, 29, n), 120.0)
    rows = np.concatenate([np.arange(n), np.flatnonzero(again)])
    kinds = np.concatenate([kinds, np.full(int(again.sum()), "play")])
    time = np.concatenate([time, time[again] + rng.uniform(0.1, 6.9, int(again.sum())) * DAY])
    in_second = second[who][rows]
    return {
        "event_id": [f"event-{i:012d}" for i in range(len(rows))],
        "listener": [listeners[i] for i in who[rows].tolist()],
        "arm": [CHALLENGER if there else CHAMPION for there in in_second.tolist()],
        "kind": kinds.tolist(),
        "track_id": [f"track-{i}" for i in track[rows].tolist()],
        "seconds": [None if kind == "like" else s for kind, s in zip(kinds, seconds[rows].tolist(), strict=True)],
        "received": time.tolist(),
        "model": ["tonearm-x"] * len(rows),
        "version": ["2" if there else "1" for there in in_second.tolist()],
        "share": [SHARE] * len(rows),
    }  # fmt: skip
