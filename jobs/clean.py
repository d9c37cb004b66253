"""What the home no longer needs: features of recordings and catalogues of models that are gone, unfinished files.

tonearm clean            only says what and how much
tonearm clean --yes      deletes it
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(
    yes: Annotated[bool, typer.Option("--yes", help="delete it; without, it is only listed")] = False,
    hours: Annotated[float, typer.Option(min=0, help="leave alone what was written less than so long ago")] = 24.0,
) -> None:
    """List what no data set, sweep, trial or model of the home (TONEARM_HOME) needs any more, or delete it."""
    with cli_errors():
        preflight(writes=yes, tracks=False)
        from tonearm.workflows.clean import clean

        done = clean(delete=yes, hours=hours)
        print(done)
        if done.failed:
            raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
