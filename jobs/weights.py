"""Frozen encoders: networks that others trained on much music, as features of your recordings.

tonearm weights musicnn                            # fetches its package by pip, keeps its network (licence: ISC)
tonearm weights add panns.pt --name panns --rate 32000 --patch 320000 --outputs embedding --licence MIT
tonearm weights list
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.threads import limit_threads
from tonearm.workflows.preflight import preflight


def main(
    what: Annotated[str, typer.Argument(metavar="musicnn|add|list", help="what to fetch, or to do")],
    file: Annotated[str, typer.Argument(help="add: TorchScript or ONNX, path or URI; musicnn: its wheel")] = "",
    name: Annotated[str, typer.Option(help="add: what to call it in --features")] = "",
    rate: Annotated[int, typer.Option(min=0, help="add: sample rate of the waveform that it takes, Hz")] = 0,
    of: Annotated[str, typer.Option(help="add: instead, the representation that it takes, 'mel(hop=160)'")] = "",
    patch: Annotated[int, typer.Option(min=0, help="add: samples, of a representation frames, at once")] = 0,
    patches: Annotated[int | None, typer.Option(min=1, help="add: so many of a clip, evenly spread; 5")] = None,
    outputs: Annotated[str, typer.Option(help="add: names with commas; without, the file's are shown")] = "",
    order: Annotated[str, typer.Option(help="add: axes of its input, as features.frozen.Order has them")] = "",
    licence: Annotated[str, typer.Option(help="add: under which its authors published it")] = "",
    licence_file: Annotated[str, typer.Option(help="add: its text, which models keep; path or URI")] = "",
) -> None:
    """Fetch a known encoder, add a file of your own, or list what the home has."""
    with cli_errors():
        preflight(writes=what != "list", tracks=False)
        limit_threads(1)
        from tonearm.workflows.weights import weights

        print(weights(what, file, name=name, rate=rate, of=of, patch=patch, patches=patches, outputs=outputs,
                      order=order, licence=licence, licence_file=licence_file))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
