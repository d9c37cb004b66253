"""What a training came to, for a person: every stage beside what needs no model, over seeds and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.text import format_table
from tonearm.datasets.manifest import Manifest
from tonearm.features.metadata import ArtistsFeature
from tonearm.models import count_parameters
from tonearm.recommend.artist_embeddings import overlap_of_table
from tonearm.tasks.base import Task
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.batches import truth_of
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.evaluate import Scores, score_runs, trivial_scores
from tonearm.training.predictions import TrackPredictions
from tonearm.training.stages import FinishedStage
from tonearm.workflows.train import Outcome, TrainingRequest, stages_of
from tonearm.workflows.training_mean import log_means, mean_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENSEMBLE = "mean of them"


@dataclass(frozen=True)
class ModelRow:
    """One model's test scores.

    Attributes
    ----------
    each
        All metrics, a dict a run.
    by_seed
        Each seed's predictions, of all folds' test tracks together.
    pooled
        Their mean scores, with intervals.
    trivial
        Metrics of what needs no model, a dict a run.
    """

    name: str
    task: Task
    each: list[dict[str, float]]
    by_seed: list[TrackPredictions]
    pooled: Scores
    trivial: list[dict[str, float]]
    parameters: int | None = None
    seconds: float = 0.0

    def mean(self, metric: str) -> float:
        return float(np.mean([e[metric] for e in self.each]))

    def deviation(self, metric: str) -> float:
        """Over the runs; 0 where there is one."""
        return float(np.std([e[metric] for e in self.each], ddof=1)) if len(self.each) > 1 else 0.0


def report_runs(request: TrainingRequest, outcome: Outcome) -> list[ModelRow]:
    """Print, plot and log what came of a training; returns a row a stage, and one for the ensemble if there is one."""
    try:
        rows = [_stage_row(name, done) for name, done in stages_of(outcome.runs)]
        if request.recipe.ensemble:
            rows.append(
                _ensemble_row(outcome, [r for r in rows if r.name in {d.name for d in outcome.runs[0].results}])
            )
        print(f"\n=== {request.name} on {outcome.manifest.name}: {request.recipe.source}")
        print(_table(rows, request, len(rows[-1].by_seed[0].classes)))
        overlaps = _overlaps(outcome)
        _print_details(request, rows[-1], overlaps)
        if request.recipe.ensemble:
            log_means(outcome)
        _save_report(request, outcome, rows, overlaps)
    except BaseException as error:
        retry_best_effort(outcome.parent.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    return rows


def _print_details(request: TrainingRequest, last: ModelRow, overlaps: Mapping[str, dict[str, float]]) -> None:
    """What else a person wants to know of the result."""
    windows = [m for m in last.each[0] if m.startswith("window_")]
    if windows:
        print("  single windows, each judged by its track: "
              + ", ".join(f"{m.removeprefix('window_')} {last.mean(m):.4f}" for m in windows))  # fmt: skip
    by_class = [last.task.by_class(p.probabilities, p.target, p.classes) for p in last.by_seed]
    if by_class[0]:
        print(_class_table(by_class))
    if request.recipe.published:
        print(f"  the source's figure, on its own data: {request.recipe.published}")
    for name, values in overlaps.items():
        print(f"  {name}: " + ", ".join(f"{k} {v:.4f}" for k, v in values.items()))
        print("  (its test pairs are those that it was trained on: the table knows no other artists)")


def _stage_row(name: str, done: Sequence[FinishedStage]) -> ModelRow:
    tests = [d.test for d in done]
    seconds = float(np.mean([sum(h["epoch_seconds"] for h in d.folder.history()) for d in done]))
    trained = isinstance(done[0].config, TrialConfig)
    weights = count_parameters(load_bundle(done[0].folder.bundle_uri).network) if trained else None
    return _row(name, done, tests, [d.folder.window_metrics() for d in done], weights, seconds)


def _ensemble_row(outcome: Outcome, members: Sequence[ModelRow]) -> ModelRow:
    means = [mean_of(run, "test") for run in outcome.runs]
    weights, seconds = sum(r.parameters or 0 for r in members), sum(r.seconds for r in members)
    return _row(ENSEMBLE, [run.results[0] for run in outcome.runs], means, [{}] * len(means), weights or None, seconds)


def _row(
    name: str, done: Sequence[FinishedStage], tests: Sequence[TrackPredictions], windows: Sequence[dict[str, float]],
    weights: int | None, seconds: float,
) -> ModelRow:  # fmt: skip
    task = done[0].task
    each = [{**task.metrics(t.probabilities, t.target, t.groups), **w} for t, w in zip(tests, windows, strict=True)]
    trivial = [trivial_scores(task, _train_target(d), t.target, len(t.classes), t.groups)
               for d, t in zip(done, tests, strict=True)]  # fmt: skip
    seeds = sorted({d.config.seed for d in done})
    together = [_together([t for d, t in zip(done, tests, strict=True) if d.config.seed == seed]) for seed in seeds]
    if any(t.groups != together[0].groups for t in together):  # ids may differ: pairs of artists are drawn
        raise JobError(f"stage {name!r} was tested on other groups with other seeds: their scores cannot be averaged")
    pooled = score_runs(task, [(t.probabilities, t.target) for t in together], together[0].groups)
    return ModelRow(name, task, each, together, pooled, trivial, weights, seconds)


def _together(folds: Sequence[TrackPredictions]) -> TrackPredictions:
    """The test tracks of all folds of one seed."""
    return TrackPredictions(
        [i for t in folds for i in t.track_ids], [g for t in folds for g in t.groups],
        np.concatenate([t.target for t in folds]), np.concatenate([t.probabilities for t in folds]), folds[0].classes,
    )  # fmt: skip


def _train_target(done: FinishedStage) -> np.ndarray:
    if isinstance(done.config, TrialConfig) and isinstance(done.config.feature, ArtistsFeature):
        return done.validation.target  # all pairs are trained on
    manifest: Manifest = done.manifest
    names = done.task.names(truth_of(manifest.tracks, manifest.metadata), manifest.classes)
    return done.task.encode(truth_of(manifest.of("train"), manifest.metadata), names)


def _overlaps(outcome: Outcome) -> dict[str, dict[str, float]]:
    """The thesis' check of a table of artists, beside a random table."""
    found = {}
    for name, done in stages_of(outcome.runs):
        config = done[0].config
        if isinstance(config, TrialConfig) and isinstance(config.feature, ArtistsFeature):
            found[f"{name}, mean Jaccard overlap of related artists and nearest neighbours"] = overlap_of_table(
                load_bundle(done[0].folder.bundle_uri), done[0].manifest
            )
    return found


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
            cells = [_cell(row, m) for m in task.headline]
        weights = f"{row.parameters:,}".replace(",", " ") if row.parameters else ""
        lines.append((row.name, *cells, weights, f"{row.seconds:.0f}" if row.seconds else ""))
    trivial = [f"{np.mean([t[m] for t in rows[-1].trivial]):.4f}" for m in task.headline]
    lines.append((task.trivial_name, *trivial, "", ""))
    chance = task.chance(outputs)
    if chance is not None:
        cells = [f"{chance:.4f}" if m == task.primary else "" for m in task.headline]
        lines.append(("chance", *cells, "", ""))
    together = "of all folds' test tracks together" if request.folds else "of the mean over the seeds"
    several = f"\n  ±: between runs; [95 %]: {together}, groups drawn anew" if len(rows[-1].each) > 1 else ""
    return format_table(lines) + several


def _cell(row: ModelRow, metric: str) -> str:
    interval = row.pooled.intervals[metric]
    spread = f" ± {row.deviation(metric):.4f}" if len(row.each) > 1 else ""
    return f"{row.mean(metric):.4f}{spread} [{interval.low:.4f}, {interval.high:.4f}]"


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
    """Every model's score in every run, its mean, and what needs no model."""
    from matplotlib.figure import Figure

    task = rows[-1].task
    shown = [r for r in rows if r.task.primary == task.primary]
    figure = Figure(figsize=(7.5, 1.4 + 0.5 * len(shown)), layout="constrained")
    axis = figure.subplots()
    for y, row in enumerate(shown):
        values = [e[task.primary] for e in row.each]
        axis.plot(values, [y] * len(values), "o", color="tab:blue", alpha=0.6)
        axis.plot([row.mean(task.primary)], [y], "|", color="black", markersize=18)
    trivial = float(np.mean([t[task.primary] for t in rows[-1].trivial]))
    axis.axvline(trivial, color="grey", linestyle=":", label=f"{task.trivial_name}: {trivial:.3f}")
    axis.set_yticks(range(len(shown)), [r.name for r in shown])
    axis.set(xlabel=f"test {task.primary}", title=title, ylim=(len(shown) - 0.5, -0.5))
    axis.legend(loc="best")
    axis.grid(axis="x", alpha=0.3)
    return figure


def _save_report(
    request: TrainingRequest, outcome: Outcome, rows: Sequence[ModelRow], overlaps: Mapping[str, dict[str, float]]
) -> None:
    """Write the report's figures to MLflow and to the report folder."""
    figure = runs_plot(rows, f"{request.name} on {outcome.manifest.name}")
    folder = storage.join(home.reports_home(outcome.manifest.name), f"{request.name}-{outcome.signature}")
    storage.write_figure(storage.join(folder, "runs.png"), figure)
    summary: dict[str, Any] = {
        "recipe": request.name, "dataset": outcome.manifest.name, "data_signature": outcome.manifest.signature(),
        "folds": request.folds, "seeds": request.seeds, "notes": list(outcome.manifest.notes),
        "overlaps": overlaps,
        "rows": [{"name": r.name, "each": r.each, "trivial": r.trivial, "pooled": r.pooled.to_dict(),
                  "parameters": r.parameters, "seconds": r.seconds} for r in rows],
    }  # fmt: skip
    storage.write_json(storage.join(folder, "summary.json"), summary)
    last = rows[-1]

    def complete() -> None:
        outcome.parent.figure("runs.png", figure)
        outcome.parent.metrics({f"test_{m}": last.mean(m) for m in last.each[0]})
        outcome.parent.metrics({f"test_{m}_deviation": last.deviation(m) for m in last.each[0]})
        outcome.parent.end()

    retry(complete)
    print(f"  plots and summary: {folder}; MLflow: {home.tracking_uri()}")
