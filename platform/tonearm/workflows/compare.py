"""Comparing runs, or stored outputs, and publishing the report: in the home's reports and in MLflow."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tonearm.comparison.compare import Comparison, Options
from tonearm.comparison.compare import compare as compare_runs
from tonearm.comparison.contrast import PairedComparison
from tonearm.comparison.document import HTML, Document, Section, Table, write_document, write_page
from tonearm.comparison.outputs import agreement, compare_pairs, parse_pair_question, read_outputs
from tonearm.comparison.outputs_report import outputs_report
from tonearm.comparison.report import candidates_table, report
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest
from tonearm.core.text import format_table
from tonearm.datasets.manifest import Split
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import RunSummary, get_run
from tonearm.tracking.retry import retry
from tonearm.workflows.mlflow_pages import link_comparison
from tonearm.workflows.selection import Selection
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.training_report import TrainingResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FOLDER = "comparison"
MAX_VERDICTS = 3  # sentences on pairs where none is shown to differ
SECONDS_TO_WAIT = 60.0  # for a server that is away, before anything is computed


@dataclass(frozen=True)
class Report:
    """A document, and where it is kept.

    Attributes
    ----------
    identity
        The same for the same question: names its folder.
    """

    document: Document
    identity: str

    @property
    def figures(self) -> dict[str, Figure]:
        """Its plots, by their names."""
        return {plot.name: plot.figure for section in self.document.sections for plot in section.plots}

    @property
    def answer(self) -> list[str]:
        """Two or three sentences that say what was found."""
        return list(self.document.summary)

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the report to a page (``.html``, which needs nothing beside it), or as files to a folder; the page's
        URI."""
        path = os.path.expanduser(os.fspath(path))  # noqa: PTH111  a URI must stay as it is
        if path.endswith(".html"):
            write_page(self.document, path)
            return path
        write_document(self.document, path)
        return storage.join(path, HTML)

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in self.answer) + "".join(
            _html(t) for t in self._tables()
        )

    def _tables(self) -> list[Table]:
        return [table for section in self.document.sections[:2] for table in section.tables[:1]]

    def _conclusion(self) -> str:
        return "\n" + "\n".join(f"=> {line}" for line in self.answer)


@dataclass(frozen=True)
class ComparisonReport(Report):
    """Which configuration is better, by how much, how surely.

    Attributes
    ----------
    comparison
        The figures that the report tells.
    """

    comparison: Comparison

    @property
    def table(self) -> pd.DataFrame:
        """A row a candidate, the best on validation first, as the report has it."""
        return _frame(candidates_table(self.comparison))

    @property
    def pairs(self) -> pd.DataFrame:
        """Each two of the compared candidates: the difference with its 95 % interval, and p-values."""
        import pandas as pd

        rows = [
            {"first": c.first, "second": c.second, "metric": c.measure.name, "difference": c.difference.value,
             "low": c.difference.low, "high": c.difference.high, "p": c.p, "holm": c.adjusted,
             "significant": c.significant, "tracks": c.tracks, "groups": c.groups}
            for c in self.comparison.pairs
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @cached_property
    def keeper(self) -> RunSummary:
        """The run that the report belongs to: the sweep that all runs are of, else the first that was named."""
        named = self.comparison.found.named
        parents = {r.parent for r in named}
        if len(named) > 1 and len(parents) == 1 and None not in parents:
            return get_run(cast(str, parents.pop()))
        return named[0]

    def publish(self, out: str = "") -> str:
        """Write the report to the data set's reports, or to ``out``, and log it to MLflow; what was put where.

        Parameters
        ----------
        out
            Folder or URI; "" for the home's reports.
        """
        config = self.comparison.predictions[0].candidate.runs[0].config
        folder = out or storage.join(home.reports_home(config.dataset.name), f"{FOLDER}-{self.identity}")
        self._log_scores()
        writer = RunWriter(self.keeper.run_id)
        for file in write_document(self.document, folder):
            retry(writer.file, file, f"{FOLDER}/{self.identity}")  # beside those of other runs and options
        linked = retry(link_comparison, writer, self.keeper.experiment_id, f"{FOLDER}/{self.identity}/{HTML}")
        return f"  report: {storage.join(folder, HTML)}\n  in MLflow: run {self.keeper.name}, {linked}"

    def _log_scores(self) -> None:
        """Of the compared runs their scores on test, which were asked for now; of folds the training's run has them."""
        for p in self.comparison.predictions if self.comparison.options.split == "test" else ():
            runs = sorted(p.candidate.runs, key=lambda run: run.config.seed)
            if any(run.config.dataset.fold for run in runs):
                continue
            for run, (predictions, target) in zip(runs, p.seeds, strict=True):
                scores = p.task.metrics(predictions, target, p.groups)
                retry(RunWriter(run.summary.run_id).metrics, {f"{names.HELD_OUT}{k}": v for k, v in scores.items()})

    def __str__(self) -> str:
        """The table, what was found of every two, and the answer."""
        found, candidates = self.comparison, candidates_table(self.comparison)
        contrasts = [*found.pairs, *(found.factor.contrasts if found.factor else [])]
        return "\n".join([
            _text(candidates),
            *(f"  {line}" for line in _verdicts(contrasts)),
            *(f"  note: {note}" for note in found.found.notes),
            self._conclusion(),
        ])  # fmt: skip

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class OutputsReport(Report):
    """Stored outputs compared: who answers like whom.

    Attributes
    ----------
    file
        Of the outputs.
    questions
        How many pairs were asked for: the first sections answer them.
    """

    file: str
    questions: int

    def publish(self, out: str = "") -> str:
        """Write the report to the home's reports, or to ``out``; where it lies."""
        folder = out or storage.join(home.reports_home(Path(self.file).stem), f"{FOLDER}-{self.identity}")
        write_document(self.document, folder)
        return f"  report: {storage.join(folder, HTML)}"

    def __str__(self) -> str:
        parts = [f"\n{section.title}\n{_text(table)}" for section in self._asked() for table in section.tables]
        return "\n".join([*parts, self._conclusion()])

    def __repr__(self) -> str:
        return str(self)

    def _asked(self) -> Sequence[Section]:
        return self.document.sections[: self.questions]


def compare(
    runs: Sweep | TrainingResult | Selection | str | Sequence[Sweep | TrainingResult | Selection | str], *,
    top: int = 6, by: str = "", within: str = "", metric: str = "",
    split: Split = "test",
) -> ComparisonReport:  # fmt: skip
    """Compare runs, or the trials of sweeps, on the same tracks.

    Parameters
    ----------
    runs
        Sweeps, what ``train`` or ``select`` gives, or names or ids of runs, sweeps and trainings in MLflow, or
        beginnings of them.
    top
        Of a sweep so many candidates are compared: the best on validation.
    by, within
        A field whose values are compared, all else equal; and one within whose values it is done again.
    metric
        That decides; "" for the task's primary one.
    split
        ``"test"``, or ``"validation"``, where trials that were stopped early take part as well.

    Raises
    ------
    TrackingError
        If a run is not found.
    ConfigError
        If there is nothing to compare, or what was named cannot be compared.
    """
    if top < 2:
        raise ConfigError(f"top is {top}: compare at least 2")
    if split not in ("test", "validation"):
        raise ConfigError(f"split is {split!r}: give test or validation")
    texts = [_name_of(run) for run in (runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs])]
    options = Options(top, by, within, metric, split)
    found = retry(compare_runs, texts, options, seconds=SECONDS_TO_WAIT)
    ids = sorted(r.summary.run_id for c in found.found.candidates for r in c.runs)
    return ComparisonReport(report(found), digest(ids, asdict(options)), found)


def _name_of(run: object) -> str:
    if isinstance(run, str):
        return run
    if isinstance(run, Sweep):
        return run.name
    if isinstance(run, TrainingResult):
        return run.outcome.parent.run_id
    if isinstance(run, Selection):  # its ensemble is a run of the sweep
        return run.sweep
    raise ConfigError(
        f"a {type(run).__name__} cannot be compared: give sweeps, what train or select gives, or names of runs"
    )


def compare_outputs(file: str, *, pairs: Sequence[str] = (), against: str = "") -> OutputsReport:
    """Compare stored outputs, which need no labels.

    Parameters
    ----------
    file
        An ``.npz`` of arrays (tracks, classes), one a model.
    pairs
        ``"A,B;C,D"``: do A and B differ more than C and D? With ``*`` for whatever stands there.
    against
        A model that both averages are held against.

    Raises
    ------
    ConfigError
        If the file or a pair cannot be read.
    """
    outputs = read_outputs(file)
    questions = [parse_pair_question(pair, outputs) for pair in pairs]
    answered = [(q, compare_pairs(q, outputs, against)) for q in questions]
    document = outputs_report(Path(file).name, agreement(outputs), answered)
    return OutputsReport(document, digest(storage.read_bytes(file), list(pairs), against), file, len(questions))


def _verdicts(contrasts: Sequence[PairedComparison]) -> list[str]:
    """What was found of every two, in words; of many those that differ, and how many do not."""
    if len(contrasts) <= MAX_VERDICTS:
        return [c.verdict() for c in contrasts]
    shown = [c.verdict() for c in contrasts if c.significant]
    rest = len(contrasts) - len(shown)
    return [*shown, *([f"No difference shown between the {'other ' * bool(shown)}{rest} pairs: the report has them"]
                      if rest else [])]  # fmt: skip


def _text(table: Table) -> str:
    return format_table([tuple(table.columns), *(tuple(row) for row in table.rows)])


def _frame(table: Table) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(table.rows), columns=list(table.columns))


def _html(table: Table) -> str:
    return str(_frame(table).to_html(index=False))
