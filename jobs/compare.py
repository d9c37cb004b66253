"""Which is better, by how much, how surely: a table, paired tests on the same tracks, plots, and one page with them.

    python -m jobs.compare demo-3f2a                          # the best six trials of a sweep
    python -m jobs.compare 00-1a2b 07-9c8d                    # two trials, by their names or run ids in MLflow
    python -m jobs.compare whitell-5e6f ours-7a8b             # two trainings: seeds are averaged, folds put together
    python -m jobs.compare demo-3f2a --by model --within feature.n_fft     # is time better than simple? at each n_fft?
    python -m jobs.compare demo-3f2a --split validation       # the trials that were stopped early as well
    python -m jobs.compare --outputs predictions.npz          # stored outputs: who answers like whom
    python -m jobs.compare --outputs predictions.npz --pair "Time.*,Freq.*;Time.*,Simple.*" --against "TimeFreq.*"

The page and the same as Markdown lie in the reports of the data set, and in MLflow with the sweep.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer

from jobs.common import cli_errors
from tonearm.comparison.compare import Comparison, Options, compare
from tonearm.comparison.document import HTML, Document, write_document
from tonearm.comparison.outputs import agreement, compare_pairs, parse_pair_question, read_outputs
from tonearm.comparison.outputs_report import outputs_report
from tonearm.comparison.report import candidates_table, report
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.core.threads import limit_threads
from tonearm.datasets.manifest import Split
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import RunSummary, get_run
from tonearm.tracking.retry import retry

FOLDER = "comparison"
SECONDS_TO_WAIT = 60.0  # for a server that is away, before anything is computed


def run(texts: list[str], options: Options, out: str = "") -> str:
    """Compare runs, write the report and log it; returns the URI of the page."""
    found = retry(compare, texts, options, seconds=SECONDS_TO_WAIT)
    document = report(found)
    config = found.answers[0].candidate.runs[0].config
    runs = sorted(r.summary.run_id for c in found.found.candidates for r in c.runs)
    name = digest(runs, asdict(options))
    folder = out or storage.join(home.reports_home(config.dataset.name), f"{FOLDER}-{name}")
    files = write_document(document, folder)
    describe(found, document)
    page = storage.join(folder, HTML)
    print(f"  report: {page}")
    keeper = report_run(found)
    writer = RunWriter(keeper.run_id)
    for file in files:
        retry(writer.file, file, f"{FOLDER}/{name}")  # beside those of other runs and options
    print(f"  in MLflow: run {keeper.name}, artifacts {FOLDER}/{name}/")
    return page


def report_run(found: Comparison) -> RunSummary:
    """The run that the report belongs to: the sweep that all runs are of, else the first that was named."""
    named = found.found.named
    parents = {r.parent for r in named}
    if len(named) > 1 and len(parents) == 1 and None not in parents:
        return get_run(cast(str, parents.pop()))
    return named[0]


def describe(found: Comparison, document: Document) -> None:
    """Print the answer, the table and what was found of every two."""
    candidates = candidates_table(found)
    print(format_table([tuple(candidates.columns), *(tuple(row) for row in candidates.rows)]))
    for contrast in [*found.pairs, *(found.factor.contrasts if found.factor else [])]:
        print(f"  {contrast.verdict()}")
    for note in found.found.notes:
        print(f"  note: {note}")
    print("\n" + "\n".join(f"=> {line}" for line in document.answer))


def run_outputs(file: str, pairs: list[str], against: str = "", out: str = "") -> str:
    """Compare stored outputs and write the report; returns the URI of the page."""
    outputs = read_outputs(file)
    questions = [parse_pair_question(pair, outputs) for pair in pairs]
    answered = [(q, compare_pairs(q, outputs, against)) for q in questions]
    document = outputs_report(Path(file).name, agreement(outputs), answered)
    name = f"{FOLDER}-{digest(storage.read_bytes(file), pairs, against)}"
    folder = out or storage.join(home.reports_home(Path(file).stem), name)
    write_document(document, folder)
    for section in document.sections[: len(questions)]:
        for part in section.tables:
            print(f"\n{section.title}")
            print(format_table([tuple(part.columns), *(tuple(row) for row in part.rows)]))
    print("\n" + "\n".join(f"=> {line}" for line in document.answer))
    page = storage.join(folder, HTML)
    print(f"  report: {page}")
    return page


def main(
    runs: Annotated[
        list[str] | None, typer.Argument(help="runs, sweeps or trainings: names or ids, or beginnings")
    ] = None,
    top: Annotated[int, typer.Option(help="of a sweep so many are compared: the best on validation")] = 6,
    by: Annotated[str, typer.Option(help="a field: are its values better or worse, all else equal?")] = "",
    within: Annotated[str, typer.Option(help="another field: the same again within each of its values")] = "",
    metric: Annotated[str, typer.Option(help="that decides; by default the task's own")] = "",
    split: Annotated[str, typer.Option(help="test, or validation")] = "test",
    outputs: Annotated[str, typer.Option(help="an .npz of arrays (tracks, classes), instead of runs")] = "",
    pair: Annotated[list[str] | None, typer.Option(help="with --outputs: 'A,B;C,D', do A and B differ more?")] = None,
    against: Annotated[str, typer.Option(help="with --pair: a model that both averages are held against")] = "",
    out: Annotated[str, typer.Option(help="folder for the report; by default in the home's reports")] = "",
) -> None:
    """Compare configurations on the same tracks: scores, paired tests, plots, and one page for people.

    RUN and SWEEP are names or ids as MLflow shows them, or their beginnings, of 4 characters at least. Runs that
    differ in seed or fold only are one configuration. What is compared must be of one task and one data set.

    Examples:

        python -m jobs.compare SWEEP
        (the six best of a sweep; --top 10 for more)

        python -m jobs.compare RUN OTHER_RUN
        (any two trials, sweeps or trainings)

        python -m jobs.compare SWEEP --by model --within feature.n_fft
        (is one model better than another, all else equal? and at each window length?)

        python -m jobs.compare SWEEP --split validation
        (trials that were stopped early take part, too)

        python -m jobs.compare --outputs FILE.npz --pair "Time.*,Freq.*;Time.*,Simple.*"
        (stored outputs, without labels: do Time and Freq differ more than Time and Simple, for whatever * stands?)
    """
    with cli_errors():
        limit_threads()
        if bool(runs) == bool(outputs):
            raise ConfigError("name runs or sweeps, as in jobs.compare RUN OTHER_RUN, or give --outputs FILE.npz")
        if (pair or against) and not outputs:
            raise ConfigError("--pair and --against are for stored outputs: add --outputs FILE.npz")
        if against and not pair:
            raise ConfigError(f"--against {against} needs --pair 'A,B;C,D': whose averages are to be held against it?")
        options = Options(top, by, within, metric, cast(Split, split))
        if outputs and options != Options():
            raise ConfigError("--by, --within, --metric, --split and --top are for runs: stored outputs have no labels")
        if outputs:
            run_outputs(outputs, pair or [], against, out)
            return
        if split not in ("test", "validation"):
            raise ConfigError(f"--split is {split!r}: give test or validation")
        if top < 2:
            raise ConfigError(f"--top is {top}: compare at least 2")
        run(runs or [], options, out)


if __name__ == "__main__":
    typer.run(main)
