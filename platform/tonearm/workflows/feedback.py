"""Feedback as training data, in the layout that data set ``artists`` reads, and a report of it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.text import format_table
from tonearm.feedback.events import KINDS
from tonearm.feedback.opinions import opinions, skips_by_position
from tonearm.feedback.store import FeedbackStore

FORMATS = ("csv", "parquet")
MOST_POSITIONS = 20  # that are told


@dataclass(frozen=True)
class ExportedFeedback:
    """What was written, and what it is of.

    Attributes
    ----------
    folder
        Where it lies.
    files
        Rows by file.
    counts
        Events by kind, in all, and by arm and version.
    positions
        As :func:`tonearm.feedback.opinions.skips_by_position` has them.
    notes
        What was left out, and why.
    """

    folder: str
    files: Mapping[str, int]
    counts: Mapping[tuple[str, str], Mapping[str, int]]
    positions: Sequence[tuple[int, int, float, float]]
    notes: Sequence[str]

    def __str__(self) -> str:
        by = format_table([("arm", "version", *KINDS), *(
            (arm or "none", version or "none", *(str(own.get(kind, 0)) for kind in KINDS))
            for (arm, version), own in sorted(self.counts.items())
        )])  # fmt: skip
        skips = format_table([("position", "heard", "skipped", "within 30 s"), *(
            (str(p), str(heard), f"{skipped:.3f}", f"{early:.3f}")
            for p, heard, skipped, early in self.positions[:MOST_POSITIONS]
        )])  # fmt: skip
        written = [f"  {storage.join(self.folder, name)}: {rows} rows" for name, rows in self.files.items()]
        return "\n".join(["events by arm and version", by, "skips by position", skips, *written, *self.notes])


def export_feedback(out: str = "", *, model: str = "", fmt: str = "csv") -> ExportedFeedback:
    """Write what listeners like as training data.

    ``plays`` (user, track): what each likes; listeners are numbered, their ids stay here. ``pairs`` (seed, track,
    liked, disliked): how many listeners liked, or did not, a track that was recommended for a seed. With a model,
    ``relations`` (artist, related): artists of pairs that more liked than disliked. ``report.json``: all counts.

    Parameters
    ----------
    out
        Folder or URI; "": ``feedback`` in the home's data.
    model
        Whose catalogue says which artist a track is of; "": none.
    fmt
        ``csv`` or ``parquet``.

    Raises
    ------
    JobError
        If there is no feedback.
    FeedbackError
        If it cannot be read.
    ConfigError
        For another format; if the model has no catalogue.
    """
    if fmt not in FORMATS:
        raise ConfigError(f"format is {fmt!r}: it must be one of {', '.join(FORMATS)}")
    artists = artists_of(model) if model else {}
    store = FeedbackStore()
    events = store.read() if store.is_there else {"event_id": []}
    if not events["event_id"]:
        raise JobError("there is no feedback yet: POST /v1/feedback of tonearm serve takes it")
    folder = home.absolute(out) if out else home.data_home("feedback")
    liked = [key for key, likes in opinions(events, ("listener", "track_id")).items() if likes]
    numbers = {listener: str(i) for i, listener in enumerate(dict.fromkeys(listener for listener, _ in liked), 1)}
    pairs = _pairs(events)
    tables: dict[str, list[tuple[Any, ...]]] = {
        "plays": [("user", "track"), *((numbers[listener], track) for listener, track in liked)],
        "pairs": [("seed", "track", "liked", "disliked"), *((*pair, *counts) for pair, counts in pairs.items())],
    }
    notes = []
    if artists:
        related, unknown = _relations(pairs, artists)
        tables["relations"] = [("artist", "related"), *related]
        notes += [f"  {unknown} pairs name a track whose artist the catalogue does not know: left out"] * bool(unknown)
    else:
        notes.append("  no relations of artists: name a model whose catalogue knows whose the tracks are, by --model")
    for name, rows in tables.items():
        storage.write_bytes(storage.join(folder, f"{name}.{fmt}"), _bytes(rows, fmt))
    counts: dict[tuple[str, str], Counter[str]] = {}
    for arm, version, kind in zip(events["arm"], events["version"], events["kind"], strict=True):
        counts.setdefault((arm, version), Counter())[kind] += 1
    files = {f"{name}.{fmt}": len(rows) - 1 for name, rows in tables.items()}
    found = ExportedFeedback(folder, files, counts, skips_by_position(events), notes)
    storage.write_json(storage.join(folder, "report.json"), {
        "events": len(events["event_id"]), "listeners": len(set(events["listener"])), "rows": files,
        "counts": [{"arm": arm, "version": version, **own} for (arm, version), own in sorted(counts.items())],
        "positions": [dict(zip(("position", "heard", "skipped", "within_30_s"), row, strict=True))
                      for row in found.positions],
    })  # fmt: skip
    return found


def artists_of(model: str) -> dict[str, str]:
    """The artist of each track of a model's catalogue, by track id, where it is known.

    Raises
    ------
    ConfigError
        If there is no such model.
    BundleError, TrackingError
        If it cannot be loaded, or has no catalogue.
    """
    from tonearm.inference import load
    from tonearm.recommend.library import ID
    from tonearm.recommend.map_page import known_texts
    from tonearm.tracking.model_files import pinned_uri
    from tonearm.workflows.classify import require_model

    require_model(model)
    library = load(pinned_uri(model)).library
    ids = library.column(ID)  # as events name them: what is shown of a long one is cut
    rows = zip([] if ids is None else ids, known_texts(library, "artist"), strict=ids is not None)
    return {str(track): artist for track, artist in rows if artist}


def _pairs(events: Mapping[str, Sequence[Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Listeners who liked, and who did not, a track for a seed; what most liked comes first."""
    liked: Counter[tuple[str, str]] = Counter()
    disliked: Counter[tuple[str, str]] = Counter()
    for (_, seed, track), likes in opinions(events, ("listener", "seed", "track_id")).items():
        (liked if likes else disliked)[seed, track] += 1
    found = {pair: (liked[pair], disliked[pair]) for pair in {**liked, **disliked}}
    return dict(sorted(found.items(), key=lambda item: (item[1][1] - item[1][0], item[0])))


def _relations(
    pairs: Mapping[tuple[str, str], tuple[int, int]], artists: Mapping[str, str]
) -> tuple[list[tuple[str, str]], int]:
    """Artists whom more found related than not, the most first; and how many pairs are of unknown ones."""
    balance: Counter[tuple[str, str]] = Counter()
    unknown = 0
    for (seed, track), (liked, disliked) in pairs.items():
        if seed in artists and track in artists:
            if artists[seed] != artists[track]:
                balance[artists[seed], artists[track]] += liked - disliked
        else:
            unknown += 1
    return [pair for pair, count in sorted(balance.items(), key=lambda item: (-item[1], item[0])) if count > 0], unknown


def _bytes(rows: Sequence[tuple[Any, ...]], fmt: str) -> bytes:
    """A table whose first row has the names. Texts stay as they are: they are read by programs."""
    buffer = io.BytesIO()
    if fmt == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
    types = {name: pa.int64() if name in ("liked", "disliked") else pa.string() for name in columns}
    pq.write_table(pa.table({n: pa.array(v, types[n]) for n, v in columns.items()}), buffer)
    return buffer.getvalue()
