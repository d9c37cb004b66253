"""What runs now on the home: jobs of this machine, sweeps, trainings, servers.

tonearm status
tonearm status --json
"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
    port: Annotated[int, typer.Option(help="of tonearm serve", envvar="TONEARM_PORT")] = 8000,
    mlflow_port: Annotated[int, typer.Option(help="of tonearm mlflow")] = 5000,
) -> None:
    """Show what runs now on the home (TONEARM_HOME): jobs, sweeps and trainings with their last figures, servers."""
    with cli_errors():
        preflight(writes=False)
        from tonearm.workflows.activity import list_activity
        from tonearm.workflows.home_tables import format_tables

        found = list_activity(port, mlflow_port)
        if as_json:
            print(json.dumps(dataclasses.asdict(found), indent=1))
            return
        print(f"home {found.home}")
        if found.empty:
            print("nothing runs here now; tonearm ls shows what there is")
            return
        print(format_tables(found))


if __name__ == "__main__":
    typer.run(main)
