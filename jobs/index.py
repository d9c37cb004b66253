"""A library in a model's space: a catalogue to recommend from, followed by servers while it changes.

tonearm index --audio ~/Music                                # in the last champion's space
tonearm index --audio ~/Music --kind artist                  # given again, only what has changed is touched
tonearm index --dataset scores --model models:/tonearm-scores@champion --name scores --merge
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from jobs.common import cli_errors, require_folder
from tonearm.core.text import printable
from tonearm.workflows.preflight import preflight


def main(
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the last champion")] = "",
    dataset: Annotated[str, typer.Option(help="a prepared data set")] = "",
    audio: Annotated[list[str] | None, typer.Option(help="or a folder of recordings, s3:// too; repeatable")] = None,
    name: Annotated[str, typer.Option(help="of the catalogue; by default the data set's or the folder's")] = "",
    kind: Annotated[Literal["track", "album", "artist"], typer.Option(help="what a row is")] = "track",
    merge: Annotated[bool, typer.Option("--merge", help="write what was added into one base with the rest")] = False,
) -> None:
    """Embed a library, so that it can be recommended; what was heard before is not heard again."""
    with cli_errors():
        for folder in audio or ():
            require_folder("--audio", folder)
        preflight(uses_ray=True, tracks=not model or model.startswith("models:"))
        from tonearm.core.threads import limit_threads
        from tonearm.workflows.index import index_library

        limit_threads()
        made = index_library(model, dataset=dataset, audio=audio or (), name=name, kind=kind, merge=merge)
        print(printable(str(made), keep="\n"))


if __name__ == "__main__":
    typer.run(main)
