"""Leaving out classes that are too small to learn."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Container, Sequence

from tonearm.core.errors import DatasetError
from tonearm.core.text import printable, quoted
from tonearm.datasets.manifest import Track

MIN_TRACKS_PER_CLASS = 10


def drop_small_classes(
    tracks: Sequence[Track], minimum: int = MIN_TRACKS_PER_CLASS
) -> tuple[tuple[Track, ...], list[str]]:
    """Leave out classes with fewer than ``minimum`` tracks, with a note on each. A track counts for each of its labels.

    Returns
    -------
    The tracks that keep a label, with those that they keep, of which the first is the class; and the notes, one a
    class that was left out.

    Raises
    ------
    DatasetError
        If fewer than two classes remain: nothing would be left to classify.
    """
    counts = Counter(label for t in tracks for label in t.all_labels)
    small = {label: n for label, n in sorted(counts.items()) if n < minimum}
    kept = tuple(_without(t, small) for t in tracks if not small.keys() >= set(t.all_labels))
    remaining = len(counts) - len(small)
    if remaining < 2:
        have = (
            ", ".join(f"{printable(label, 60)} ({n})" for label, n in counts.most_common(8))
            or "no labelled track at all"
        )
        raise DatasetError(
            f"{remaining} class(es) with at least {minimum} tracks, two are needed; found {have}. "
            "Choose another LABEL, or add recordings"
        )
    notes = [f"class {quoted(label)} left out: {n} of the needed {minimum} tracks" for label, n in small.items()]
    unlabelled = sum(not t.all_labels for t in tracks)
    return kept, [*notes, *([f"{unlabelled} track(s) have no label: left out"] if unlabelled else [])]


def _without(track: Track, small: Container[str]) -> Track:
    left = tuple(label for label in track.all_labels if label not in small)
    if left == track.all_labels:
        return track
    return dataclasses.replace(track, label=left[0], labels=left if len(left) > 1 else ())
