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
        from tonearm.tracking.retry import address

        url = f"http://{host}:{port}"
        pages = experiment_pages(url)  # makes the database, or says why it cannot be reached
        print(f"experiments of {address()}: {url}  (Ctrl-C ends it)", flush=True)
        if pages:
            print(format_table(pages), flush=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
        # No arguments, which who lists processes sees; and without six processes for evaluating language models.
        more = {"MLFLOW_BACKEND_STORE_URI": home.tracking_uri(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DEFAULT_ARTIFACT_ROOT": storage.file_uri(home.artifacts_home())}  # fmt: skip
        sys.exit(run_until_stopped(command, {**os.environ, **more}))


if __name__ == "__main__":
    typer.run(main)
