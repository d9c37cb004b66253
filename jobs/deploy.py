"""Make what was selected answer: the champion of a data set, at a running server if one is named.

tonearm deploy scores                                     # says which version is the champion, which servers follow
tonearm deploy scores --server http://127.0.0.1:8000      # and waits until that one answers with it
tonearm deploy scores --config serve/config/cluster.yaml  # a cluster's Serve runs what the file says
tonearm deploy scores --promote                           # what was selected last, though not shown to be better
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(
    dataset: Annotated[str, typer.Argument(help="data set of the registered model")],
    server: Annotated[str, typer.Option(help="URL of a running tonearm serve that must answer with it")] = "",
    config: Annotated[str, typer.Option(help="YAML as serve deploy takes it: a cluster's Serve runs that")] = "",
    address: Annotated[str, typer.Option(help="of that cluster's dashboard", envvar="RAY_API_SERVER_ADDRESS")] = "",
    promotion: Annotated[
        bool, typer.Option("--promote", help="what was selected last becomes the champion, whatever it is like")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0, help="that the server may take, and a configuration")] = 600.0,
) -> None:
    """Deploy the champion of a data set: servers follow the registry; one that is named is waited for."""
    with cli_errors():
        from serve.config_file import deploy_config, read_config
        from tonearm.workflows.deploy import check_server, deploy

        check_server(server)
        document = read_config(config, dataset) if config else {}
        preflight()
        start = partial(deploy_config, document, address, seconds) if config else None
        print(deploy(dataset, server, promotion, seconds, start))


if __name__ == "__main__":
    typer.run(main)
