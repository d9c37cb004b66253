"""What the home holds: data sets, sweeps, trainings and models, with their scores.

tonearm ls
tonearm ls --json
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.text import format_table
from tonearm.workflows.preflight import preflight

if TYPE_CHECKING:
    from tonearm.workflows.listing import Listing

Rows = list[tuple[str, ...]]


def tables(found: Listing) -> Iterator[tuple[str, Rows]]:
    """A title and rows for every kind of thing that is there; the first row holds the columns' names."""
    if found.datasets:
        yield "data sets", [("name", "label", "tracks", "classes", "prepared"),
            *((d.name, d.label, str(d.tracks), str(d.classes), when(d.made)) for d in found.datasets)]  # fmt: skip
    if found.sweeps:
        yield "sweeps", [("name", "data set", "state", "trials", "best on validation", "started"),
            *((s.name, s.dataset, s.state, f"{s.ended}/{s.trials}", score(s.metric, s.best), when(s.started))
              for s in found.sweeps)]  # fmt: skip
    if found.trainings:
        yield "trainings", [("name", "data set", "state", "test", "started"),
            *((t.name, t.dataset, t.state, score(t.metric, t.test), when(t.started))
              for t in found.trainings)]  # fmt: skip
    if found.models:
        yield "models", [("name", "version", "aliases", "validation", "test", "registered"),
            *((m.name, str(m.version), ", ".join(m.aliases), score(m.metric, m.validation), score(m.metric, m.test),
               when(m.made)) for m in found.models)]  # fmt: skip


def score(metric: str, value: float | None) -> str:
    """A figure with its metric; nothing where there is none."""
    return "" if value is None else f"{metric} {value:.4f}"


def when(seconds: float | None) -> str:
    """A local time; nothing where it is not known."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def print_tables(titled: Sequence[tuple[str, Rows]]) -> None:
    """Tables under their titles."""
    print("\n\n".join(f"{title}\n{format_table(rows)}" for title, rows in titled))


def main(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """List data sets, sweeps, trainings and registered models of the home (TONEARM_HOME); nothing is changed."""
    with cli_errors():
        preflight(writes=False)
        from tonearm.workflows.listing import list_home

        found = list_home()
        if as_json:
            print(json.dumps(dataclasses.asdict(found), indent=1))
            return
        print(f"home {found.home}")
        if found.empty:
            print(
                "nothing is here yet. Begin with\n"
                "  tonearm demo                                                         scores, rendered here\n"
                "  tonearm extract --dataset folder --audio ~/Music --features mel      your own recordings"
            )
            return
        print_tables(list(tables(found)))
        for problem in found.problems:
            print(f"  note: {problem}")


if __name__ == "__main__":
    typer.run(main)
