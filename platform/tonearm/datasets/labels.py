"""Which classes are large enough to learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tonearm.core.errors import DatasetError
from tonearm.datasets.manifest import Track

MIN_TRACKS_PER_CLASS = 10


def drop_small_classes(
    tracks: Sequence[Track], minimum: int = MIN_TRACKS_PER_CLASS
) -> tuple[tuple[Track, ...], list[str]]:
    """Leave out classes with fewer than ``minimum`` tracks, and say so.

    Returns
    -------
    The kept tracks and one note a class that was left out.

    Raises
    ------
    DatasetError
        If fewer than two classes remain: there would be nothing to tell apart.
    """
    counts = Counter(t.label for t in tracks)
    small = {label: n for label, n in sorted(counts.items()) if n < minimum}
    kept = tuple(t for t in tracks if t.label not in small)
    remaining = sorted({t.label for t in kept})
    if len(remaining) < 2:
        have = ", ".join(f"{label} ({n})" for label, n in counts.most_common(8)) or "no labelled track at all"
        raise DatasetError(
            f"{len(remaining)} class(es) with at least {minimum} tracks, two are needed; found {have}. "
            "Choose another LABEL, or add recordings"
        )
    return kept, [f"class {label!r} left out: {n} of the needed {minimum} tracks" for label, n in small.items()]
