"""Serve the champion over HTTP until Ctrl-C.

tonearm serve
tonearm serve --model models:/tonearm-scores@champion --port 8000
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.best_effort import best_effort
from tonearm.core.processes import exit_on_stop_signals, require_free_port, wait_for_stop_signal
from tonearm.core.text import command
from tonearm.workflows.preflight import preflight


def main(
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    host: Annotated[str, typer.Option(help="loopback: the server asks nobody for a password")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", envvar="TONEARM_PORT", min=0, max=65535)] = 8000,
    replicas: Annotated[int, typer.Option(help="copies of the model")] = 1,
    max_upload_mib: Annotated[float, typer.Option(help="larger uploads are refused")] = 50.0,
    max_seconds: Annotated[float, typer.Option(help="longer recordings are refused")] = 900.0,
) -> None:
    """Answer POST /v1/classify, POST /v1/recommend and GET /healthz until Ctrl-C."""
    with cli_errors(stopped=""):  # a server has nothing to go on with
        if port:
            require_free_port(host, port)  # before Ray starts, which takes seconds
        preflight(uses_ray=True, writes=False, tracks=not model or model.startswith("models:"))
        from serve.launch import check_settings, recommends, require_cpus, serving
        from tonearm.workflows.classify import default_model
        from tonearm.workflows.ray_session import start_ray, stop_ray

        model, most = model or default_model(), int(max_upload_mib * 2**20)
        args = check_settings(model=model, replicas=replicas, max_upload_bytes=most, max_seconds=max_seconds)
        print(f"loading {args.model} ...", flush=True)
        start_ray()
        exit_on_stop_signals()  # Ray, too, has a handler of its own; the server must be taken down before Ray is
        require_cpus(args)
        with serving(args, host, port) as url:
            can = best_effort("whether it recommends", recommends, url)  # None: not known
            asked = f"\n  curl -F audio=@song.mp3 '{url}/v1/recommend?k=5'" if can else ""
            print(f"""serving {args.model} at {url}  (Ctrl-C ends it; {url}/docs describes it)
  curl -F audio=@song.mp3 {url}/v1/classify{asked}
  curl {url}/healthz""", flush=True)  # fmt: skip
            if can is False:
                way = command("recommend", "--dataset", "NAME", "--model", args.model, "--save")
                print(f"  it has no catalogue to recommend from; {way} makes one", flush=True)
            wait_for_stop_signal()
            print("\nshutting down", flush=True)
        stop_ray()


if __name__ == "__main__":
    typer.run(main)
