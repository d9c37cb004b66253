"""What a training came to: every stage beside what needs no model, as text, table and figure, in MLflow and files."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.figures import new_figure
from tonearm.core.text import command, format_table, slug
from tonearm.inference.made_catalogues import CHOSEN
from tonearm.recommend.contest import Contest
from tonearm.tracking import names
from tonearm.tracking.dataset_input import split_sizes
from tonearm.tracking.log import status_of
from tonearm.tracking.retry import address, retry, retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.training.plots import learning_curves
from tonearm.workflows.figures import publish_figure
from tonearm.workflows.known_artists import NAME as KNOWN_ARTISTS
from tonearm.workflows.known_artists import keep_known_artists
from tonearm.workflows.mlflow_pages import describe_training, page_line, write_description
from tonearm.workflows.set_aside import set_aside_lines
from tonearm.workflows.sweep_result import takes_only_audio
from tonearm.workflows.training_data import TrainingRequest
from tonearm.workflows.training_mean import log_means
from tonearm.workflows.training_runs import FoldRun, Outcome
from tonearm.workflows.training_scores import ModelRow, cold_start, score_models, table_overlaps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MIN_SPAN = 0.05  # of the scores' axis in a plot


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """What a training came to.

    Attributes
    ----------
    request
        What was asked for.
    outcome
        The runs, the data, the run in MLflow that holds the others, and the identity of it all.
    rows
        The scores: a row a stage, and one for the mean of them if that is the recipe's answer.
    overlaps
        Of stages that are tables of artists: figures by name.
    unknown_artists
        Of recipes that predict such a table's vectors: how good recommendations are for artists of the test split.
    folder
        Where ``runs.png`` and ``summary.json`` lie.
    known_artists
        Of a model that places recordings among a table's artists: the catalogue of these; else "".
    """

    request: TrainingRequest
    outcome: Outcome
    rows: list[ModelRow]
    overlaps: Mapping[str, Mapping[str, float]]
    unknown_artists: Contest | None
    folder: str
    known_artists: str = ""

    @property
    def name(self) -> str:
        """Of its run in MLflow; :func:`tonearm.select` takes it."""
        return f"{self.request.name}-{self.outcome.signature}"

    @property
    def runs(self) -> list[FoldRun]:
        """Every seed and fold with its finished stages: configs, predictions, folders."""
        return self.outcome.runs

    @property
    def bundles(self) -> dict[str, list[str]]:
        """By stage the URI of each run's saved network, as ``tonearm.load`` takes it; estimators save none."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            for name, done in run.finished.items():
                if isinstance(done.config, TrialConfig):
                    found.setdefault(name, []).append(done.folder.bundle_uri)
        return found

    @property
    def scores(self) -> pd.DataFrame:
        """Test scores, a row a model and one for what needs none.

        Of each headline metric its mean over the runs, their standard deviation (``_std``, 0 for one run), the figure
        of all folds' test tracks together (``_all``; a mean over the seeds, and without folds the same) with its 95 %
        interval (``_low``, ``_high``); further the number of weights and the seconds of training.
        """
        import pandas as pd

        table: dict[str, dict[str, float]] = {}
        for row in self.rows:
            cells = table.setdefault(row.name, {})
            for metric in row.task.headline:
                interval = row.pooled.intervals[metric]
                cells |= {metric: row.mean(metric), f"{metric}_std": row.deviation(metric),
                          f"{metric}_all": interval.value, f"{metric}_low": interval.low,
                          f"{metric}_high": interval.high}  # fmt: skip
            cells |= {"weights": row.parameters or 0, "seconds": row.seconds}
        last = self.rows[-1]
        table[last.task.trivial_name] = {m: float(np.mean([t[m] for t in last.trivial])) for m in last.task.headline}
        return pd.DataFrame.from_dict(table, orient="index")

    @property
    def figure(self) -> Figure:
        """Every model's score in every run, its mean, and what needs no model."""
        return self.plot()

    def plot(self) -> Figure:
        """The same, drawn anew."""
        return runs_plot(self.rows, f"{self.request.name} on {self.outcome.manifest.name}")

    def describe(self) -> str:
        """The scores as a table, those of the classes, the source's own figure, and where it all lies."""
        recipe, last = self.request.recipe, self.rows[-1]
        lines = [f"=== {self.request.name} on {self.outcome.manifest.name}: {recipe.source}",
                 _table(self.rows, self.request, len(last.by_seed[0].classes))]  # fmt: skip
        windows = [m for m in last.each[0] if m.startswith("window_")]
        if windows:
            means = ", ".join(f"{m.removeprefix('window_')} {last.mean(m):.4f}" for m in windows)
            lines.append(f"  single windows, each judged by its track: {means}")
        by_class = [last.task.by_class(p.probabilities, p.target, p.classes) for p in last.by_seed]
        if by_class[0]:
            lines.append(_class_table(by_class))
        if recipe.published:
            lines.append(f"  the source's figure, on its own data: {recipe.published}")
        for name, values in self.overlaps.items():
            lines.append(f"  {name}: " + ", ".join(f"{k} {v:.4f}" for k, v in values.items()))
            lines.append("  (its test pairs are those that it was trained on: the table knows no other artists)")
        if self.unknown_artists:
            lines.append(repr(self.unknown_artists))
        lines += [f"  {line}" for line in set_aside_lines(self.outcome.manifest.name)]
        lines.append(f"  plots and summary: {self.folder}")
        lines.append(f"  {page_line(self.outcome.manifest.name) or f'MLflow: {address()}'}")
        served = [r for r in self.runs[0].results if isinstance(r.config, TrialConfig) and takes_only_audio(r.config)]
        if served:
            lines.append(f"  serve it: {command('serve', '--model', served[0].folder.bundle_uri)}")
            if self.known_artists:
                lines.append(f"  it recommends from these artists with {CHOSEN}={KNOWN_ARTISTS}: {self.known_artists}")
            lines.append(f"  register it, with a catalogue to recommend from: {command('select', self.name)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.describe()

    def _repr_html_(self) -> str:
        title = f"{self.request.name} on {self.outcome.manifest.name}, test"
        return f"<p>{html.escape(title)}</p>{self.scores.to_html(float_format='{:.4f}'.format, na_rep='')}"


def report_training(request: TrainingRequest, outcome: Outcome) -> TrainingResult:
    """Score a training, write its report, and complete and end its run in MLflow."""
    try:
        rows, overlaps = score_models(outcome, request.recipe), table_overlaps(outcome)
        if request.recipe.ensemble:
            log_means(outcome, request.recipe.weighted)
        folder = storage.join(home.reports_home(outcome.manifest.name), f"{request.name}-{outcome.signature}")
        unknown, known = cold_start(outcome), keep_known_artists(outcome)
        result = TrainingResult(request, outcome, rows, overlaps, unknown, folder, known)
        _save(result)
    except BaseException as error:
        retry_best_effort(outcome.parent.end, status_of(error))
        raise
    return result


def _save(result: TrainingResult) -> None:
    """Write the report's figures to MLflow and to the report folder."""
    request, outcome = result.request, result.outcome
    _publish_figures(result)
    summary: dict[str, Any] = {
        "recipe": request.name, "dataset": outcome.manifest.name, "data_signature": outcome.manifest.signature(),
        "folds": request.folds, "seeds": request.seeds, "notes": list(outcome.manifest.notes),
        "overlaps": result.overlaps,
        "unknown_artists": result.unknown_artists.metrics() if result.unknown_artists else None,
        "rows": [{"name": r.name, "each": r.each, "trivial": r.trivial, "pooled": r.pooled.to_dict(),
                  "parameters": r.parameters, "seconds": r.seconds} for r in result.rows],
    }  # fmt: skip
    storage.write_json(storage.join(result.folder, "summary.json"), summary)
    last = result.rows[-1]
    scores = {r.name: f"{r.task.primary} **{r.mean(r.task.primary):.4g}**" for r in result.rows}

    def complete() -> None:
        data = outcome.manifest
        text = describe_training(request.name, result.name, data.name, scores)
        write_description(outcome.parent, text)
        outcome.parent.dataset(data.name, data.signature(), home.data_home(data.name), split_sizes(data.tracks))
        if result.unknown_artists:
            outcome.parent.metrics(result.unknown_artists.metrics())
        outcome.parent.metrics({f"{names.HELD_OUT}{m}": last.mean(m) for m in last.each[0]})
        outcome.parent.metrics({f"{names.HELD_OUT}{m}_deviation": last.deviation(m) for m in last.each[0]})
        outcome.parent.end()

    retry(complete)


def _publish_figures(result: TrainingResult) -> None:
    """The scores, and of the first seed the task's own plots of the answer on test, and each result's curves."""
    outcome, last = result.outcome, result.rows[-1]
    publish_figure("runs.png", result.folder, outcome.parent, result.plot)
    first, kept = outcome.runs[0], last.by_seed[0]
    shown = (kept.probabilities, kept.target, kept.classes, f"{last.name}, seed {first.seed}, test")
    for plot, figure in (best_effort("the plots of the test split", last.task.figures, *shown) or {}).items():
        publish_figure(f"{plot}_test.png", result.folder, outcome.parent, lambda figure=figure: figure)
    for done in first.results:
        history = done.folder.history()
        if len(history) > 1:
            title = f"{done.name}, seed {first.seed}" + (f", fold {first.fold}" if first.fold else "")
            name = f"learning_{slug(done.name)}.png"
            publish_figure(name, result.folder, outcome.parent, learning_curves, history, done.task.primary, title)


def _table(rows: Sequence[ModelRow], request: TrainingRequest, outputs: int) -> str:
    task = rows[-1].task
    runs = f"{request.seeds} seed{'s' if request.seeds > 1 else ''}"
    runs += f" x {request.folds} folds" if request.folds else ""
    head = [f"test, {runs}", *(f"{m} [95 %]" for m in task.headline), "weights", "seconds"]
    lines = [tuple(head)]
    for row in rows:
        if row.task.headline != task.headline:
            cells = [f"{m} {row.mean(m):.4f}" for m in row.task.headline]
            cells = [*cells, *[""] * len(task.headline)][: len(task.headline)]
        else:
            cells = [_cell(row, m, request.folds > 0) for m in task.headline]
        weights = f"{row.parameters:,}".replace(",", " ") if row.parameters else ""
        lines.append((row.name, *cells, weights, f"{row.seconds:.0f}" if row.seconds else ""))
    trivial = [f"{np.mean([t[m] for t in rows[-1].trivial]):.4f}" for m in task.headline]
    lines.append((task.trivial_name, *trivial, "", ""))
    chance = task.chance(outputs)
    if chance is not None:
        cells = [f"{chance:.4f}" if m == task.primary else "" for m in task.headline]
        lines.append(("chance", *cells, "", ""))
    if request.folds:
        several = "\n  mean of the runs ± between them; all: folds' test tracks together, [95 %]: groups drawn anew"
    else:
        several = "\n  ±: between runs; [95 %]: of the mean over the seeds, groups drawn anew"
    return format_table(lines) + (several if len(rows[-1].each) > 1 else "")


def _cell(row: ModelRow, metric: str, folds: bool) -> str:
    """A figure with its interval. A macro F1 of all folds' tracks is not the mean of the folds': the interval of one
    must not stand beside the other."""
    interval = row.pooled.intervals[metric]
    spread = f" ± {row.deviation(metric):.4f}" if len(row.each) > 1 else ""
    together = f", all {interval.value:.4f}" if folds else ""
    return f"{row.mean(metric):.4f}{spread}{together} [{interval.low:.4f}, {interval.high:.4f}]"


def _class_table(runs: Sequence[dict[str, dict[str, float]]], most: int = 20) -> str:
    """The means over the runs."""
    columns = list(next(iter(runs[0].values())))
    by_class = {name: {c: float(np.mean([run[name][c] for run in runs])) for c in columns} for name in runs[0]}
    rows = [("", *columns)]
    shown = sorted(by_class, key=lambda c: -by_class[c].get("tracks", 0.0))[:most]
    rows += [(name, *(f"{by_class[name][c]:.3f}".rstrip("0").rstrip(".") for c in columns)) for name in shown]
    rest = len(by_class) - len(shown)
    return format_table(rows) + (f"\n  and {rest} more" if rest else "")


def runs_plot(rows: Sequence[ModelRow], title: str) -> Figure:
    """Every model's score in every run, the mean of several, and what needs no model."""
    task = rows[-1].task
    shown = [r for r in rows if r.task.primary == task.primary]
    figure = new_figure(7.5, 1.8 + 0.5 * len(shown))
    axis = figure.subplots()
    for y, row in enumerate(shown):
        values = [e[task.primary] for e in row.each]
        named = y == 0  # in the legend, once
        axis.plot(values, [y] * len(values), "o", color="tab:blue", alpha=0.6, label="a run" if named else None)
        if len(values) > 1:
            axis.plot([row.mean(task.primary)], [y], "|", color="black", markersize=18, markeredgewidth=2,
                      label="mean of the runs" if named else None)  # fmt: skip
    trivial = float(np.mean([t[task.primary] for t in rows[-1].trivial]))
    axis.axvline(trivial, color="grey", linestyle=":", label=f"{task.trivial_name}: {trivial:.3f}")
    axis.set_yticks(range(len(shown)), [r.name for r in shown])
    axis.set(xlabel=f"test {task.primary}", title=title, ylim=(len(shown) - 0.5, -0.5))
    low, high = axis.get_xlim()
    room = max(0.0, (MIN_SPAN - high + low) / 2)  # no chasm out of a hair's breadth
    axis.set_xlim(low - room, high + room)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    axis.grid(axis="x", alpha=0.3)
    return figure
