"""Make what was selected answer: the champion of a data set, at a running server if one is named.

tonearm deploy scores                                     # says which version is the champion, which servers follow
tonearm deploy scores --server http://127.0.0.1:8000      # and waits until that one answers with it
tonearm deploy scores --promote                           # what was selected last, though not shown to be better
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(
    dataset: Annotated[str, typer.Argument(help="data set of the registered model")],
    server: Annotated[str, typer.Option(help="URL of a running tonearm serve that must answer with it")] = "",
    promotion: Annotated[
        bool, typer.Option("--promote", help="what was selected last becomes the champion, whatever it is like")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0, help="that the server may take")] = 600.0,
) -> None:
    """Deploy the champion of a data set: servers follow the registry; one that is named is waited for."""
    with cli_errors():
        from tonearm.workflows.deploy import check_server, deploy

        check_server(server)
        preflight()
        print(deploy(dataset, server, promotion, seconds))


if __name__ == "__main__":
    typer.run(main)
