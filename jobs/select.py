"""Choose what is registered of a sweep or training, score it once on test, and promote it if it is shown to be better.

tonearm select demo-3f2a                       # a sweep, by its name in MLflow or a unique beginning of it
tonearm select demo-3f2a blocks-0548           # or of what tonearm train trained, or of both together
tonearm select demo-3f2a --promote             # whatever the champion is like
tonearm select music --rollback                # the data set's champion before the present one is it again
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import DEVICES, cli_errors
from tonearm.core.errors import ConfigError
from tonearm.tracking.known_runs import require_run
from tonearm.workflows.preflight import preflight


def main(
    runs: Annotated[list[str] | None, typer.Argument(help="sweeps, trainings: names or ids; or a data set")] = None,
    promotion: Annotated[
        bool | None, typer.Option("--promote/--no-promote", help="make it the champion; by default if it is better")
    ] = None,
    most_members: Annotated[int, typer.Option(min=1, help="networks of an ensemble, at most")] = 5,
    max_ms: Annotated[float, typer.Option(min=0, help="an answer costs less a track, decoding and all; 0: any")] = 0.0,
    device: Annotated[str, typer.Option(metavar=DEVICES, help="where tracks are predicted")] = "cpu",
    rollback: Annotated[bool, typer.Option("--rollback", help="make the champion before this one it again")] = False,
) -> None:
    """An ensemble if it beats its best trial by more than noise, else that trial: registered, promoted if better."""
    with cli_errors():
        runs = runs or []
        if not runs and not rollback:
            raise ConfigError("name a sweep or training; with --rollback a data set, or none for the last promoted")
        preflight(uses_ray=not rollback)
        if rollback:
            from tonearm.workflows.promotion import undo_promotion

            print(undo_promotion(" ".join(runs)))
            return
        for run in runs:
            require_run(run)
        from tonearm.core.threads import limit_threads

        limit_threads()
        from tonearm.workflows.select import select

        select(
            *runs, promotion=promotion, most_members=most_members, max_milliseconds=max_ms, device=device, told=print
        )


if __name__ == "__main__":
    typer.run(main)
