"""Champion and challenger compared by those who listen (tonearm serve --challenger ALIAS).

tonearm abtest --plan 0.03 --deviation 0.25                  # how many listeners it needs, before it begins
tonearm abtest                                               # what is shown so far; as often as one likes
tonearm abtest --stop                                        # everybody gets the winner, if there is one
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.text import printable
from tonearm.workflows.preflight import preflight


def main(
    experiment: Annotated[str, typer.Option(help="its salt; by default that of the last outcome")] = "",
    metric: Annotated[str, typer.Option(help="that decides: likes, early_skips, repeats, satisfaction")] = "likes",
    plan: Annotated[float, typer.Option(help="a difference that is to be found: how many listeners that needs")] = 0.0,
    deviation: Annotated[float, typer.Option(help="for --plan: of the metric over listeners; 0: so far")] = 0.0,
    share: Annotated[float, typer.Option(help="for --plan: of the listeners that get the challenger")] = 0.5,
    stop: Annotated[bool, typer.Option("--stop", help="give everybody the winner, by the rule of promotion")] = False,
) -> None:
    """Say which version listeners like better, how surely; and end the experiment."""
    with cli_errors():
        preflight(tracks=not plan)
        from tonearm.workflows import abtest

        if plan:
            print(abtest.plan(plan, metric=metric, deviation=deviation, share=share))
            return
        from tonearm.workflows.abtest_page import publish_abtest
        from tonearm.workflows.abtest_stop import stop_abtest

        found = abtest.run_abtest(experiment, metric=metric)
        page, run = publish_abtest(found)
        print(printable(f"{found}\npage: {page}\nin MLflow: run {run}", keep="\n"))
        if stop:
            print(printable(stop_abtest(found)))


if __name__ == "__main__":
    typer.run(main)
