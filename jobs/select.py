"""Choose the ensemble of a sweep on validation, score it once on test, register it, and promote it if it is better.

tonearm select demo-3f2a              # a sweep, by its name in MLflow or a unique beginning of it
tonearm select demo-3f2a --promote    # whatever the champion is like
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.tracking.known_runs import require_run
from tonearm.workflows.preflight import preflight


def main(
    sweep: Annotated[str, typer.Argument(help="sweep: its name or id in MLflow, or a unique beginning of it")],
    promotion: Annotated[
        bool | None,
        typer.Option("--promote/--no-promote", help="make it the champion or not; by default if it validates no worse"),
    ] = None,
) -> None:
    """Greedy ensemble on validation predictions, scored once on test, registered, promoted if it is no worse."""
    with cli_errors():
        preflight()
        require_run(sweep)
        from tonearm.core.threads import limit_threads

        limit_threads()
        from tonearm.workflows.select import select

        print(select(sweep, promotion=promotion))


if __name__ == "__main__":
    typer.run(main)
