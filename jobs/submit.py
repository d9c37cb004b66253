"""Send any job to a running Ray cluster.

    tonearm submit --address http://127.0.0.1:8265 --home /shared/tonearm -- sweep demo --dataset scores

is ``ray job submit`` with :file:`infra/runtime_env.yaml`, ``TONEARM_HOME``, ``MLFLOW_TRACKING_URI`` and the commit.
Modules of your own travel with it: those in arguments such as ``mine.spaces:rates``, and those that
``TONEARM_ALLOWED_MODULES`` names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from jobs.common import cli_errors

ROOT = Path(__file__).parent.parent


def main(
    module: Annotated[str, typer.Argument(help="job, e.g. sweep or jobs.sweep")],
    arguments: Annotated[list[str] | None, typer.Argument(help="of the job")] = None,
    address: Annotated[str, typer.Option(help="of the cluster's dashboard")] = "",
    home: Annotated[str, typer.Option(help="TONEARM_HOME there; by default as it is here")] = "",
) -> None:
    """Send a job to a running cluster and follow it: tonearm submit -- sweep demo."""
    with cli_errors():
        from tonearm.workflows.submit import submit

        dashboard = address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265"
        place = home or os.environ.get("TONEARM_HOME", "")
        for text in submit(ROOT, dashboard, module, arguments or [], place, os.environ.get("MLFLOW_TRACKING_URI", "")):
            print(text, end="", flush=True)


if __name__ == "__main__":
    typer.run(main)
