"""Serve the champion over HTTP until Ctrl-C.

tonearm serve --model models:/tonearm-scores@champion --port 8000
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from jobs.common import cli_errors
from serve.access import change_tokens, require_tokens, tokens_uri
from serve.lean import import_serve
from tonearm.core.best_effort import best_effort
from tonearm.core.processes import exit_on_stop_signals, require_free_port, wait_for_stop_signal
from tonearm.core.text import command
from tonearm.tracking.lean import import_mlflow
from tonearm.workflows.preflight import preflight


def main(
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    host: Annotated[str, typer.Option(help="on another than this machine, who asks needs a token")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", envvar="TONEARM_PORT", min=0, max=65535)] = 8000,
    replicas: Annotated[int, typer.Option(help="copies of the model")] = 1,
    rate: Annotated[str, typer.Option(help="how often a token may ask, such as 60/minute; empty: as it likes")] = "",
    most_wait: Annotated[float, typer.Option(help="seconds; who would wait longer is refused at once")] = 10.0,
    origin: Annotated[list[str] | None, typer.Option(help="of pages whose scripts may ask; may be repeated")] = None,
    new_token: Annotated[str, typer.Option(help="make a token for somebody of this name, print it, and end")] = "",
    remove_token: Annotated[str, typer.Option(help="take somebody's token away, and end")] = "",
    max_upload_mib: Annotated[float, typer.Option(help="larger uploads are refused")] = 50.0,
    max_seconds: Annotated[float, typer.Option(help="longer recordings are refused")] = 900.0,
    challenger: Annotated[str, typer.Option(help="that a share of the listeners gets: an alias, or a model")] = "",
    share: Annotated[float, typer.Option(help="of the listeners that get the challenger, above 0, below 1")] = 0.5,
    salt: Annotated[str, typer.Option(help="name of the experiment: another one assigns listeners anew")] = "1",
    fast: Annotated[bool, typer.Option("--fast", help="HAProxy takes requests: some ms less each")] = False,
) -> None:
    """Answer POST /v1/classify, POST /v1/recommend and GET /healthz until Ctrl-C."""
    with cli_errors(stopped=""):  # a server has nothing to go on with
        if new_token or remove_token:
            print(change_tokens(new_token, remove_token))
            return
        require_tokens(host, tokens_uri())  # before Ray starts, which takes seconds
        require_free_port(host, port)
        preflight(uses_ray=True, writes=False, tracks=not model or model.startswith("models:"))
        import_serve()
        import_mlflow()
        from serve.launch import check_settings, proxy_variables, recommends, require_cpus, serving
        from tonearm.workflows.classify import default_model
        from tonearm.workflows.ray_session import start_ray, stop_ray

        args = check_settings(model=model or default_model(), replicas=replicas, max_seconds=max_seconds, rate=rate,
                              max_upload_bytes=int(max_upload_mib * 2**20), origins=tuple(origin or ()),
                              most_wait_seconds=most_wait, challenger=challenger, share=share, salt=salt)  # fmt: skip
        print(f"loading {args.model} ...", flush=True)
        os.environ.update(proxy_variables(fast))  # Ray's processes read them
        start_ray(first=import_serve)
        exit_on_stop_signals()  # Ray, too, has a handler of its own; the server must be taken down before Ray is
        require_cpus(args)
        with serving(args, host, port) as url:
            can = best_effort("whether it recommends", recommends, url)  # None: not known
            asked = f"\n  curl -F audio=@song.mp3 '{url}/v1/recommend?k=5'" if can else ""
            print(f"""serving {args.model} at {url}  (a page in a browser, too; Ctrl-C ends it; {url}/docs describes it)
  curl -F audio=@song.mp3 {url}/v1/classify{asked}
  curl {url}/healthz""", flush=True)  # fmt: skip
            if can is False:
                print(f"  it has no catalogue; {command('index', '--audio', 'FOLDER')} makes one", flush=True)
            wait_for_stop_signal()
            print("\nshutting down", flush=True)
        stop_ray()


if __name__ == "__main__":
    typer.run(main)
