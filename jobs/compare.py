"""Which is better, by how much, how surely: a table, paired tests on the same tracks, plots, and one page with them.

The page and the same as Markdown lie in the reports of the data set, and in MLflow with the sweep.
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import cli_errors
from tonearm.core.errors import ConfigError
from tonearm.core.text import command
from tonearm.tracking.known_runs import require_run
from tonearm.workflows.preflight import preflight

SPLITS = ("test", "validation")


def main(
    runs: Annotated[
        list[str] | None, typer.Argument(help="runs, sweeps or trainings: names or ids, or beginnings")
    ] = None,
    top: Annotated[int, typer.Option(help="of a sweep so many are compared: the best on validation")] = 6,
    by: Annotated[str, typer.Option(help="a field: are its values better or worse, all else equal?")] = "",
    within: Annotated[str, typer.Option(help="another field: the same again within each of its values")] = "",
    metric: Annotated[str, typer.Option(help="that decides; by default the task's own")] = "",
    split: Annotated[str, typer.Option(help="whose predictions", metavar=f"[{'|'.join(SPLITS)}]")] = "test",
    outputs: Annotated[str, typer.Option(help="an .npz of arrays (tracks, classes), instead of runs")] = "",
    pair: Annotated[list[str] | None, typer.Option(help="with --outputs: 'A,B;C,D', do A and B differ more?")] = None,
    against: Annotated[str, typer.Option(help="with --pair: a model that both averages are held against")] = "",
    out: Annotated[str, typer.Option(help="folder for the report; by default in the home's reports")] = "",
) -> None:
    """Compare configurations on the same tracks: scores, paired tests, plots, and one page for people.

    RUN and SWEEP are names or ids as MLflow shows them, or their beginnings, of 4 characters at least. Runs that
    differ in seed or fold only are one configuration. What is compared must be of one task and one data set.

    Examples:

        tonearm compare SWEEP
        (the six best of a sweep; --top 10 for more)

        tonearm compare RUN OTHER_RUN
        (any two trials, sweeps or trainings)

        tonearm compare SWEEP --by model --within feature.n_fft
        (is one model better than another, all else equal? and at each window length?)

        tonearm compare SWEEP --split validation
        (trials that were stopped early take part, too)

        tonearm compare --outputs FILE.npz --pair "Time.*,Freq.*;Time.*,Simple.*"
        (stored outputs, without labels: do Time and Freq differ more than Time and Simple, for whatever * stands?)
    """
    with cli_errors():
        if bool(runs) == bool(outputs):
            raise ConfigError(
                f"name runs or sweeps, as in {command('compare', 'RUN', 'OTHER_RUN')}, or give --outputs FILE.npz"
            )
        if (pair or against) and not outputs:
            raise ConfigError("--pair and --against are for stored outputs: add --outputs FILE.npz")
        if against and not pair:
            raise ConfigError(f"--against {against} needs --pair 'A,B;C,D': whose averages are to be held against it?")
        if outputs and (top, by, within, metric, split) != (6, "", "", "", "test"):
            raise ConfigError("--by, --within, --metric, --split and --top are for runs: stored outputs have no labels")
        if split not in SPLITS:
            raise ConfigError(f"--split is {split!r}: give {' or '.join(SPLITS)}")
        if top < 2:
            raise ConfigError(f"--top is {top}: compare at least 2")
        preflight()
        for run in runs or []:
            require_run(run)
        from tonearm.core.threads import limit_threads

        limit_threads()
        from tonearm.workflows.compare import ComparisonReport, OutputsReport, compare, compare_outputs

        report: ComparisonReport | OutputsReport
        if outputs:
            report = compare_outputs(outputs, pairs=pair or [], against=against)
        else:
            report = compare(
                runs or [], top=top, by=by, within=within, metric=metric,
                split="test" if split == "test" else "validation",
            )  # fmt: skip
        print(report)
        print(report.publish(out))


if __name__ == "__main__":
    typer.run(main)
