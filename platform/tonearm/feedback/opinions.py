"""What listeners think of tracks, from what they did; and counts of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tonearm.feedback.events import EARLY_SECONDS

Columns = Mapping[str, Sequence[Any]]


def opinions(events: Columns, of: Sequence[str]) -> dict[tuple[str, ...], bool]:
    """Whether listeners like what they met, in the order in which they met it first.

    Who said so last, by like or dislike, is believed. Of others, a track is liked if it was heard more often than left
    within 30 s; what was heard as often as left says nothing.

    Parameters
    ----------
    events
        Columns ``kind``, ``seconds`` and those of ``of``, in the order of time.
    of
        Columns of which each combination is judged, such as ``listener`` and ``track_id``. One in which anything is
        empty is left out.
    """
    said: dict[tuple[str, ...], bool] = {}
    heard: Counter[tuple[str, ...]] = Counter()
    for kind, seconds, *rest in zip(events["kind"], events["seconds"], *(events[name] for name in of), strict=True):
        key = tuple(rest)
        if not all(key):
            continue
        heard[key] += 0  # it was met
        if kind in ("like", "dislike"):
            said[key] = kind == "like"
        elif kind == "play":
            heard[key] += 1
        elif seconds < EARLY_SECONDS:
            heard[key] -= 1
    judged = {key: said.get(key, balance > 0) for key, balance in heard.items() if key in said or balance}
    return judged


def skips_by_position(events: Columns) -> list[tuple[int, int, float, float]]:
    """Of each position that is known: how often what stood there was heard, the share of these that were skipped, and
    that were skipped within 30 s, 0..1."""
    heard: Counter[int] = Counter()
    skipped: Counter[int] = Counter()
    early: Counter[int] = Counter()
    for kind, seconds, position in zip(events["kind"], events["seconds"], events["position"], strict=True):
        if position is None or kind not in ("play", "skip"):
            continue
        heard[position] += 1
        skipped[position] += kind == "skip"
        early[position] += kind == "skip" and seconds < EARLY_SECONDS
    return [(p, heard[p], skipped[p] / heard[p], early[p] / heard[p]) for p in sorted(heard)]
