"""Serve the champion over HTTP until Ctrl-C.

python -m jobs.serve
python -m jobs.serve --model models:/tonearm-scores@champion --port 8000
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import sys
import threading
import time
from typing import Annotated

import typer

from jobs.common import cli_errors, require_free_port, start_ray
from serve.settings import AppArgs
from tonearm.core.errors import JobError
from tonearm.tracking import names
from tonearm.tracking.query import last_promoted

APPLICATION = "tonearm"
DEFAULT_PORT = 8000
SECONDS_OF_FAREWELL = 1.0


def start(args: AppArgs, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> str:
    """Deploy the application on the running Ray and wait until it answers; its URL. Port 0 takes any free one.

    Raises
    ------
    JobError
        If the port is in use, or the application does not become healthy.
    """
    import logging

    from ray import serve

    from serve.app import build

    port = port or _any_port(host)
    require_free_port(host, port)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": host, "port": port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        serve.run(build(args), name=APPLICATION, route_prefix="/", blocking=False)
    except RuntimeError as error:  # Serve's word for a deployment that failed; the cause is in its message
        reason = next((line for line in str(error).splitlines() if "Error" in line), str(error))
        stop()
        raise JobError(f"the model {args.model} could not be served: {reason.strip()}") from error
    return f"http://{host}:{port}"


def stop() -> None:
    """Take down what :func:`start` deployed.

    Ray tells every driver that Serve's controller was killed in the middle of its last task, which is how Serve ends;
    a user would take it for a failure, so what is printed meanwhile is not shown.
    """
    from ray import serve

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        serve.shutdown()  # type: ignore[no-untyped-call]
        time.sleep(SECONDS_OF_FAREWELL)


def _any_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def default_model() -> str:
    """``models:/$TONEARM_MODEL@champion``, by default of the model that was promoted last."""
    return f"models:/{os.environ.get('TONEARM_MODEL') or last_promoted()}@{names.CHAMPION}"


def main(
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    host: Annotated[str, typer.Option(help="loopback: the server asks nobody for a password")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTP port; 0: any free one", envvar="TONEARM_PORT")] = DEFAULT_PORT,
    replicas: Annotated[int, typer.Option(help="copies of the model")] = 1,
    max_upload_mib: Annotated[float, typer.Option(help="larger uploads are refused")] = 50.0,
    max_seconds: Annotated[float, typer.Option(help="longer recordings are refused")] = 900.0,
) -> None:
    """Answer POST /v1/classify, POST /v1/recommend and GET /healthz until Ctrl-C."""
    with cli_errors():
        args = AppArgs(
            model=model or default_model(),
            replicas=replicas,
            max_upload_bytes=int(max_upload_mib * 2**20),
            max_seconds=max_seconds,
        )
        if port:
            require_free_port(host, port)  # before Ray starts, which takes seconds
        print(f"loading {args.model} ...", flush=True)
        start_ray()
        url = start(args, host, port)
        print(f"""serving {args.model} at {url}  (Ctrl-C ends it; {url}/docs describes it)
  curl -F audio=@song.mp3 {url}/v1/classify
  curl -F audio=@song.mp3 '{url}/v1/recommend?k=5'
  curl {url}/healthz""", flush=True)  # fmt: skip
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        print("\nshutting down", flush=True)
        stop()
        import ray

        ray.shutdown()
        sys.exit(0)


if __name__ == "__main__":
    typer.run(main)
