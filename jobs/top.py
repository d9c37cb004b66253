"""What runs now, on one screen that is drawn anew until Ctrl-C: jobs, extraction, trials, the server's answers.

tonearm top
tonearm top --once
tonearm top --address http://127.0.0.1:8265      # a cluster's nodes
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight

ANEW = "\033[H\033[J"  # to the upper left corner, and all behind it is cleared


def main(
    once: Annotated[bool, typer.Option("--once", help="print it once, and end")] = False,
    address: Annotated[str, typer.Option(help="of a cluster's dashboard", envvar="RAY_API_SERVER_ADDRESS")] = "",
    port: Annotated[int, typer.Option(help="of tonearm serve", envvar="TONEARM_PORT")] = 8000,
    mlflow_port: Annotated[int, typer.Option(help="of tonearm mlflow")] = 5000,
    seconds: Annotated[float, typer.Option(help="between two looks", min=0.5)] = 2.0,
) -> None:
    """Show what runs now on the home (TONEARM_HOME): jobs, tracks a second, rejects, trials, answers, versions."""
    with cli_errors(stopped=""):
        preflight(writes=False)
        from tonearm.workflows.top import Top, fit

        top = Top(address, port, mlflow_port)
        if once:
            print(top.look_once())
            return
        while True:
            seen = f"{time.strftime('%H:%M:%S')}  {top.look()}"
            screen = ANEW + fit(seen, *shutil.get_terminal_size()) if sys.stdout.isatty() else ""
            print(screen or seen, end="" if screen else "\n\n", flush=True)  # a line more would push the first one out
            time.sleep(seconds)


if __name__ == "__main__":
    typer.run(main)
