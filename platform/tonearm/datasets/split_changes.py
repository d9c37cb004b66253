"""What an added, changed or removed recording changed of the splits, for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tonearm.core.text import list_examples, printable
from tonearm.datasets.assignment import Assignment
from tonearm.datasets.extension import Move
from tonearm.datasets.manifest import SPLITS, Track

MOST_REASONS = 10
"""That are named."""


def growth_lines(
    tracks: Sequence[Track], last: Assignment, before: Assignment, moves: Sequence[Move] = ()
) -> tuple[str, ...]:
    """Which tracks are new, back, re-encoded, gone or moved, and why; none where all is as it was, or nothing was.

    Parameters
    ----------
    tracks
        With their splits.
    last
        Where they were the last time.
    before
        Where they ever were.
    """
    if not before.placed:
        return ()
    last, before = last.recognising(tracks), before.recognising(tracks)
    new = [t for t in tracks if not before.of_track(t)]
    back = [t for t in tracks if before.of_track(t) and not last.of_track(t)]
    ids, contents = {t.track_id for t in tracks}, {t.content for t in tracks}
    encoded = {key for keys in last.replaced.values() for key in keys}
    gone = sum(i not in ids and content not in contents for i, content in last.placed.keys() - encoded)
    moved = sum(len(move.tracks) for move in moves)
    parts = []
    if new:
        parts.append(f"{_tracks(len(new))} new: {_by_split(new)}")
    if back:
        parts.append(f"{_tracks(len(back))} back: {_by_split(back)}")
    if last.replaced:
        parts.append(f"{_tracks(len(last.replaced))} re-encoded")
    if gone:
        parts.append(f"{_tracks(gone)} gone, whose split is remembered")
    if not parts and not moved:
        return ()
    parts.append(f"{moved} moved:" if moved else "no other track moved")
    return ("; ".join(parts), *_move_lines(moves))


def other_lines(tracks: Sequence[Track], last: Assignment, why: str) -> tuple[str, ...]:
    """How many tracks are in another split than the last time, all for one reason; none where none is."""
    last = last.recognising(tracks)
    found = [(t, last.of_track(t)) for t in tracks]
    known = [(t, {place for _, place in was}) for t, was in found if was]
    moved = [t for t, places in known if t.split not in places]
    if not moved:
        return ()
    trained = sum(t.split != "train" and "train" in places for t, places in known)
    told = f"; models of before were trained on {trained} that are not in train now" if trained else ""
    return (f"{len(moved)} of {len(known)} tracks are in another split than before: {why}{told}",)


def fold_lines(moves: Sequence[Move]) -> tuple[str, ...]:
    """Which tracks are in another fold than before, and why; none where none is."""
    if not moves:
        return ()
    return (f"{_tracks(sum(len(m.tracks) for m in moves))} in another fold than before:", *_move_lines(moves, "fold "))


def _move_lines(moves: Sequence[Move], what: str = "") -> list[str]:
    """What moved, of splits or of what is named."""
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for move in moves:
        alike[move.before, move.now, move.reason].extend(move.tracks)
    lines = []
    for (before, now, reason), ids in list(alike.items())[:MOST_REASONS]:
        shown = list_examples([printable(i) for i in ids])
        seen = not what and list(SPLITS).index(now) > list(SPLITS).index(before)  # type: ignore[arg-type]
        told = "; models of before have learned from them" if seen else ""
        lines.append(f"  from {what}{before} to {what}{now}: {shown}, since {reason}{told}")
    rest = list(alike.values())[MOST_REASONS:]
    return [*lines, *([f"  and {sum(map(len, rest))} more, for {len(rest)} such reasons"] if rest else [])]


def _tracks(n: int) -> str:
    return f"{n} track{'s are' if n != 1 else ' is'}"


def _by_split(tracks: Sequence[Track]) -> str:
    counts = Counter(t.split for t in tracks)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
