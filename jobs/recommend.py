"""How good the champion's neighbours are, beside chance.

tonearm recommend --dataset scores
tonearm recommend --dataset scores --save    # and the champion is served with the tracks that were prepared last
tonearm recommend --dataset music --model .tonearm/trials/single/TRIAL/bundle --save    # then serve that bundle
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.workflows.preflight import preflight


def main(
    dataset: Annotated[str, typer.Option(help="data set, as tonearm extract named it")] = "scores",
    model: Annotated[str, typer.Option(help="folder, URI or models:/NAME@ALIAS; by default the champion")] = "",
    plays: Annotated[str, typer.Option(help="folder of play counts: popularity and ALS, too (tonearm factors)")] = "",
    save: Annotated[bool, typer.Option("--save", help="keep a catalogue of it with the model, to be served")] = False,
) -> None:
    """Measure the recommender: hit rates, and what it finds and never shows, beside other ways."""
    with cli_errors():
        preflight(writes=save, tracks=not model or model.startswith("models:"))
        from tonearm.core.threads import limit_threads
        from tonearm.workflows.prepared_names import require_prepared

        require_prepared(dataset)
        limit_threads()
        from tonearm.workflows.recommend import compare_recommenders, evaluate_recommender

        print(evaluate_recommender(dataset, model, save=save))
        print(compare_recommenders(dataset, model, plays=plays) or "")


if __name__ == "__main__":
    typer.run(main)
