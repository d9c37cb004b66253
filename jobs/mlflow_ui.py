"""Open MLflow's pages on this machine only.

tonearm mlflow
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.processes import require_free_port, run_until_stopped
from tonearm.workflows.preflight import preflight


def main(
    host: Annotated[str, typer.Option(help="loopback: MLflow asks nobody for a password")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="of the pages", min=1, max=65535)] = 5000,
) -> None:
    """Show the experiments in a browser until Ctrl-C."""
    with cli_errors(stopped=""):  # a server has nothing to go on with
        require_free_port(host, port)
        preflight()
        from tonearm.core import home, storage
        from tonearm.core.text import format_table
        from tonearm.tracking.pages import experiment_pages

        url = f"http://{host}:{port}"
        pages = experiment_pages(url)  # makes the database, or says why it cannot be reached
        print(f"experiments of {home.tracking_uri()}: {url}  (Ctrl-C ends it)", flush=True)
        if pages:
            print(format_table(pages), flush=True)
        artifacts = storage.file_uri(home.artifacts_home())
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", home.tracking_uri(),
                   "--default-artifact-root", artifacts, "--host", host, "--port", str(port),
                   "--workers", "1"]  # fmt: skip
        # MLflow's workers for evaluating language models would be six more processes that nobody here uses.
        sys.exit(run_until_stopped(command, {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}))


if __name__ == "__main__":
    typer.run(main)
