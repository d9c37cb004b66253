"""What a catalogue says of tracks, and of the albums and artists that they make up."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.datasets.manifest import Track
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.recommend.library import ID
from tonearm.tasks.answers import Answer, Ranked, ValuesAnswer

Kind = Literal["track", "album", "artist"]
KINDS: tuple[Kind, ...] = ("track", "album", "artist")
TOP = 3  # predicted labels that are kept
ALIKE = ("artist", "album", "place", "licence")  # are said of a group where all its tracks that say it agree
OF_TRACK = ("split", "group", "stamp")  # hang on a data set or a listing, not on the recording


def track_row(track: Track, answer: Answer, descriptors: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a track, without what is not.

    Parameters
    ----------
    answer
        What the model says of it.
    descriptors
        As :func:`~tonearm.features.descriptor_means.describe_track` has them, with the scales of ``DESCRIPTORS``.

    Returns
    -------
    dict
        The track's fields, all its ``labels``, the best of the model's labels as ``predicted`` with their
        ``probabilities`` (at most :data:`TOP`) or its values as ``value:NAME``, and the descriptors.
    """
    row: dict[str, Any] = {k: v for k, v in dataclasses.asdict(track).items() if k not in OF_TRACK}
    row["labels"] = list(track.all_labels)
    if isinstance(answer, Ranked):
        best = answer.rows(TOP)
        row["predicted"] = [label for label, _ in best]
        row["probabilities"] = [round(number, 6) for _, number in best]
    elif isinstance(answer, ValuesAnswer):
        row |= {f"value:{name}": number for name, number in answer.rows()}
    row |= {name: descriptors.get(name) for name in (*DESCRIPTORS, "key", "mode")}
    return {name: value for name, value in row.items() if value not in (None, "", [])}


def group_rows(
    rows: Sequence[Mapping[str, Any]], vectors: FloatArray, kind: Kind
) -> tuple[list[dict[str, Any]], FloatArray, int]:
    """Albums or artists of tracks: the direction of the mean of their unit vectors, and what their tracks say.

    Parameters
    ----------
    rows, vectors
        Of tracks.
    kind
        ``album``: what has one artist and one album; ``artist``.

    Returns
    -------
    The rows, sorted by id; float32 vectors (groups, dim) of unit length; and of how many tracks the group is not known.
    A row has the ``count`` of its tracks; the most frequent label, and all labels; the median year; the means of
    descriptors; artist, album, place and licence where all tracks that say it agree.

    Raises
    ------
    ConfigError
        If no track says its group.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        named = [row.get(name) for name in (("artist", "album") if kind == "album" else ("artist",))]
        if all(named):
            members[" - ".join(map(str, named))].append(i)
    if not members:
        raise ConfigError(f"none of {len(rows)} tracks says its {kind}: tag the files, or give them a tracks.csv")
    units = unit_length(vectors)
    groups = sorted(members)
    means = unit_length(np.stack([units[members[name]].mean(axis=0, dtype=np.float64) for name in groups]))
    made = [_group_row(name, [rows[i] for i in members[name]]) for name in groups]
    return made, means, len(rows) - sum(map(len, members.values()))


def _group_row(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def said(field: str) -> list[Any]:
        return [row[field] for row in rows if row.get(field) is not None]

    made: dict[str, Any] = {ID: name, "title": name, "count": len(rows)}
    made["content"] = digest(sorted(str(content) for content in said("content")))
    made |= {field: said(field)[0] for field in ALIKE if len(set(said(field))) == 1}
    labels = Counter(label for own in said("labels") for label in own)
    if labels:
        made["label"] = min(labels, key=lambda label: (-labels[label], label))
        made["labels"] = sorted(labels)
    numbers: dict[str, Callable[[list[Any]], float]] = dict.fromkeys(DESCRIPTORS, lambda v: float(np.mean(v)))
    made |= {field: mean(said(field)) for field, mean in numbers.items() if said(field)}
    if said("year"):
        made["year"] = round(float(np.median(said("year"))))
    return made
