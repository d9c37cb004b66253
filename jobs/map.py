"""A catalogue in two dimensions: what sounds alike to a model lies together, on a page that needs nothing beside it.

tonearm map                                                  # the one that the last champion recommends from
tonearm map --name music --model models:/tonearm-scores@champion --out ~/map
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.text import printable
from tonearm.workflows.preflight import preflight


def main(
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    name: Annotated[str, typer.Option(help="of its catalogue; by default the one that it recommends from")] = "",
    out: Annotated[str, typer.Option(help="folder for the page; by default the catalogue's reports")] = "",
) -> None:
    """Draw a catalogue's map, and say how well it keeps neighbours."""
    with cli_errors():
        preflight(tracks=not model or model.startswith("models:"))
        from tonearm.core.threads import limit_threads
        from tonearm.workflows.map import map_catalogue

        limit_threads()
        print(printable(str(map_catalogue(model, name=name, out=out)), keep="\n"))


if __name__ == "__main__":
    typer.run(main)
