"""What the home holds: data sets, sweeps, trainings and models with their scores, and catalogues.

tonearm ls
tonearm ls --json
"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """List data sets, sweeps, trainings, models and catalogues of the home (TONEARM_HOME); nothing is changed."""
    with cli_errors():
        preflight(writes=False)
        from tonearm.workflows.home_tables import format_tables
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
        print(format_tables(found))
        for problem in found.problems:
            print(f"  note: {problem}")


if __name__ == "__main__":
    typer.run(main)
