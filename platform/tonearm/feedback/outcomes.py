"""What became of what was shown, as a value of each listener: a listener counts once, however much he does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.feedback.events import CHALLENGER, EARLY_SECONDS

WEEK = 7 * 86_400.0  # seconds
LIKES, EARLY_SKIPS, REPEATS, SATISFACTION = "likes", "early_skips", "repeats", "satisfaction"
METRICS = {
    LIKES: "share of what a listener did that is a like",
    EARLY_SKIPS: "share of what a listener heard that was skipped within 30 s: less is better",
    REPEATS: "share of the tracks that a listener heard, and whose week is over, that were played again within it",
    SATISFACTION: "repeats - early skips: what lasts",
}
NEEDED = ("listener", "arm", "kind", "track_id", "seconds", "received")
"""Columns of events that outcomes are of."""


@dataclass(frozen=True)
class Counted:
    """What counts, a row each, in the order of time.

    Attributes
    ----------
    time
        From when on it counts, seconds since 1970.
    listener
        Whose it is: a place in :attr:`Outcomes.challenged`.
    counts
        1 if it is what is counted, else 0.
    """

    time: np.ndarray
    listener: np.ndarray
    counts: np.ndarray

    def until(self, time: float, start: int = 0) -> slice:
        """The rows from one on that count by a time."""
        return slice(start, int(np.searchsorted(self.time, time, side="right")))


@dataclass(frozen=True)
class Outcomes:
    """What an experiment's listeners did.

    Attributes
    ----------
    challenged
        Of each listener whether he got the challenger, bool (listeners,).
    of
        By metric, but satisfaction, what counts.
    events
        In all.
    in_both
        Listeners who were in both arms, and are left out.
    """

    challenged: np.ndarray
    of: Mapping[str, Counted]
    events: int
    in_both: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Listeners of the champion and of the challenger."""
        second = int(self.challenged.sum())
        return len(self.challenged) - second, second

    def looks(self, times: Sequence[float]) -> list[dict[str, np.ndarray]]:
        """At each of growing times the values of all listeners by metric: float64 (listeners,), NaN of who has none."""
        sums = {name: (np.zeros(len(self.challenged)), np.zeros(len(self.challenged))) for name in self.of}
        starts, found = dict.fromkeys(self.of, 0), []
        for time in times:
            values = {}
            for name, counted in self.of.items():
                rows = counted.until(time, starts[name])
                starts[name] = rows.stop
                total, hits = sums[name]
                total += np.bincount(counted.listener[rows], minlength=len(total))
                hits += np.bincount(counted.listener[rows], counted.counts[rows], minlength=len(hits))
                with np.errstate(invalid="ignore"):
                    values[name] = hits / np.where(total > 0, total, np.nan)
            values[SATISFACTION] = values[REPEATS] - values[EARLY_SKIPS]
            found.append(values)
        return found


def outcomes(events: Mapping[str, Sequence[Any]]) -> Outcomes:
    """The outcomes of an experiment's events.

    Parameters
    ----------
    events
        The columns :data:`NEEDED`, in any order of rows.
    """
    listener, tracks = _codes(events["listener"]), _codes(events["track_id"])
    challenged = np.fromiter((arm == CHALLENGER for arm in events["arm"]), bool, len(listener))
    time = np.asarray(events["received"], dtype=np.float64)
    liked = np.fromiter((kind == "like" for kind in events["kind"]), bool, len(listener))
    played = np.fromiter((kind == "play" for kind in events["kind"]), bool, len(listener))
    skipped = np.fromiter((kind == "skip" for kind in events["kind"]), bool, len(listener))
    early = skipped & (np.array(events["seconds"], dtype=np.float64) < EARLY_SECONDS)  # None becomes NaN
    people = int(listener.max()) + 1 if len(listener) else 0
    second, all_of = np.bincount(listener, challenged, people), np.bincount(listener, minlength=people)
    both = (second > 0) & (second < all_of)
    order = np.argsort(time, kind="stable")
    order = order[~both[listener[order]]]
    place = np.cumsum(~both) - 1  # of those who are left
    listener, tracks, time = place[listener[order]], tracks[order], time[order]
    heard = (played | skipped)[order]
    of = {
        LIKES: Counted(time, listener, liked[order].astype(np.float64)),
        EARLY_SKIPS: Counted(time[heard], listener[heard], early[order][heard].astype(np.float64)),
        REPEATS: _repeats(time[heard], listener[heard], tracks[heard], played[order][heard]),
    }
    return Outcomes((second > 0)[~both], of, len(events["listener"]), int(both.sum()))


def _repeats(time: np.ndarray, listener: np.ndarray, tracks: np.ndarray, played: np.ndarray) -> Counted:
    """Of each track that a listener heard, in the order of time, whether it was played again within a week of that; it
    counts when the week is over."""
    pair = listener.astype(np.int64) * (int(tracks.max()) + 1 if len(tracks) else 1) + tracks
    order = np.argsort(pair, kind="stable")  # rows of a pair stay in the order of time
    pair, time, listener, played = pair[order], time[order], listener[order], played[order]
    pairs, first = np.unique(pair, return_index=True)
    is_again = played.copy()
    is_again[first] = False
    again, at = np.unique(pair[is_again], return_index=True)
    repeated = np.zeros(len(pairs), dtype=bool)
    where = np.searchsorted(pairs, again)
    repeated[where] = time[is_again][at] - time[first[where]] <= WEEK
    ripe = time[first] + WEEK
    order = np.argsort(ripe, kind="stable")
    return Counted(ripe[order], listener[first][order], repeated[order].astype(np.float64))


def _codes(texts: Sequence[str]) -> np.ndarray:
    """Each text as the number of those that came before it first."""
    known: dict[str, int] = {}
    return np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int64, len(texts))
