"""The whole way with one command: recordings, features, sweep, ensemble, recommender, an answer from the server.

tonearm demo
tonearm demo --audio ~/Music --label genre
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from jobs.common import cli_errors
from jobs.label_options import MergeLabels, Options, Separator, SeveralLabels, dataset_fields
from tonearm.core.errors import ConfigError
from tonearm.core.processes import require_free_port
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.preflight import preflight


def main(
    audio: Annotated[str, typer.Option(help="folder with your recordings; without it scores are rendered")] = "",
    label: Annotated[str, typer.Option(help="folder, artist, album, genre or a column of tracks.csv")] = "folder",
    option: Options = None,
    merge_labels: MergeLabels = False,
    several_labels: SeveralLabels = "",
    separator: Separator = "",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the folder's name")] = "",
    space: Annotated[str, typer.Option(help="search space")] = "demo",
    trials: Annotated[int, typer.Option(help="draw so many trials; 0: as the space says")] = 0,
    epochs: Annotated[int, typer.Option(help="at most so many epochs a trial; 0: as the space says")] = 0,
    seed: Annotated[int, typer.Option(help="number that the splits follow from; another one deals them anew")] = 0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share is unusable")] = MAX_REJECTED,
    port: Annotated[int, typer.Option(help="of the server; 0: any free one", min=0, max=65535)] = 0,
) -> None:
    """From recordings to a served answer. What is finished is kept: a second run goes on, or recomputes nothing."""
    with cli_errors():
        if port:
            require_free_port("127.0.0.1", port)  # it is needed at the end
        fields = dataset_fields(option, merge_labels, several_labels, separator)
        if (label != "folder" or fields) and not audio:
            given = f"--label {label}" if label != "folder" else ", ".join(fields)
            raise ConfigError(f"{given} is for recordings of your own: add --audio, the folder they are in")
        preflight(uses_ray=True)
        from tonearm.workflows.demo_record import DemoRequest, finished_demo

        root = os.path.expanduser(audio)  # noqa: PTH111  a URI must stay as it is
        request = DemoRequest(root, label, name, space, trials, epochs, seed, max_rejected, fields)
        finished = finished_demo(request)
        if finished is not None:
            print(f"this demo is finished, and nothing has changed since; it came to:\n{finished}")
            return
        from search_spaces import find_space
        from search_spaces.recipes import RECIPES
        from serve.launch import serving
        from serve.settings import AppArgs
        from tonearm.workflows.demo import run_demo

        recipe = RECIPES["small_collection"]()
        print(run_demo(request, find_space(space), recipe, lambda m: serving(AppArgs(model=m), port=port)))


if __name__ == "__main__":
    typer.run(main)
