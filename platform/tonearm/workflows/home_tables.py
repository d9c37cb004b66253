"""What a home holds and what runs on it, as tables to read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tonearm.core.text import format_size, format_table
from tonearm.workflows.activity import Activity
from tonearm.workflows.listing import Listing

Rows = list[tuple[str, ...]]


def format_tables(found: Listing | Activity) -> str:
    """Tables under their titles, one for each kind of thing that is there."""
    titled: Iterator[tuple[str, Sequence[tuple[str, ...]]]]
    titled = _listing_tables(found) if isinstance(found, Listing) else _activity_tables(found)
    return "\n\n".join(f"{title}\n{format_table(rows)}" for title, rows in titled)


def _listing_tables(found: Listing) -> Iterator[tuple[str, Rows]]:
    """A title and rows for every kind of thing that is there; the first row holds the columns' names."""
    if found.datasets:
        yield "data sets", [("name", "label", "tracks", "classes", "prepared"),
            *((d.name, d.label, str(d.tracks), str(d.classes), _when(d.made)) for d in found.datasets)]  # fmt: skip
    if found.sweeps:
        yield "sweeps", [("name", "data set", "state", "trials", "best on validation", "started"),
            *((s.name, s.dataset, s.state, f"{s.ended}/{s.trials}", _score(s.metric, s.best), _when(s.started))
              for s in found.sweeps)]  # fmt: skip
    if found.trainings:
        yield "trainings", [("name", "data set", "state", "test", "started"),
            *((t.name, t.dataset, t.state, _score(t.metric, t.test), _when(t.started))
              for t in found.trainings)]  # fmt: skip
    if found.models:
        yield "models", [("name", "version", "aliases", "validation", "test", "registered"),
            *((m.name, str(m.version), ", ".join(m.aliases), _score(m.metric, m.validation), _score(m.metric, m.test),
               _when(m.made)) for m in found.models)]  # fmt: skip
    if found.catalogues:
        yield "catalogues", [("name", "rows", "model", "of", "size", "changed", ""),
            *((c.name, f"{c.rows} {c.kind}s", c.model or c.space, c.origin, format_size(c.bytes), _when(c.changed),
               c.state) for c in found.catalogues)]  # fmt: skip


def _activity_tables(found: Activity) -> Iterator[tuple[str, Rows]]:
    """A title and rows for every kind of thing that runs; the first row holds the columns' names."""
    if found.jobs:
        yield "jobs on this machine", [("process", "job", "since"),
            *((str(j.pid), j.job, _when(j.since)) for j in found.jobs)]  # fmt: skip
    if found.sweeps:
        yield "sweeps", [("name", "data set", "trials ended", "best on validation", "since"),
            *((s.name, s.dataset, f"{s.ended}/{s.trials}", _score(s.metric, s.best), _when(s.started))
              for s in found.sweeps)]  # fmt: skip
    if found.trainings:
        yield "runs that MLflow calls running", [("name", "data set", "now", "best", "last epoch", "since"),
            *((t.name, t.dataset, ", ".join(t.now), _score("", t.best).strip(), _ago(t.reported), _when(t.started))
              for t in found.trainings)]  # fmt: skip
    if found.servers:
        yield "servers", [("what", "at", "model"), *((s.what, s.url, s.model) for s in found.servers)]


def _score(metric: str, value: float | None) -> str:
    """A figure with its metric; nothing where there is none."""
    return "" if value is None else f"{metric} {value:.4f}"


def _when(seconds: float | None) -> str:
    """A local time; nothing where it is not known."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _ago(seconds: float | None) -> str:
    """How long ago that was."""
    if seconds is None:
        return ""
    passed = max(0.0, time.time() - seconds)
    return f"{passed:.0f} s ago" if passed < 120 else f"{passed / 60:.0f} min ago" if passed < 7200 else _when(seconds)
