"""What a person finds of a sweep or a training in MLflow: its page, sorted by score, and a description of what it is,
what it came to and how to go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tonearm.core.best_effort import best_effort
from tonearm.core.config import Config
from tonearm.core.text import command
from tonearm.sweeps.results import ENDING, TrialResult, best_result
from tonearm.sweeps.trial_names import short_names
from tonearm.tasks.base import Task
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, experiment_id
from tonearm.tracking.pages import LOCAL, page_of, run_page, web_server
from tonearm.tracking.views import metric_column, param_column, save_view

COMPARISON = "Comparison page"  # what a description's line with the link to it begins with


def show_sweep(parent: RunWriter, dataset: str, name: str, task: Task, over: Mapping[str, Any]) -> None:
    """Make the experiment open with a sweep's trials, beside each what is varied.

    Parameters
    ----------
    name
        The sweep's, which is the view's key.
    over
        The domains of the varied fields by path.
    """
    short = short_names(dict.fromkeys((*over, "seed")))
    columns = []
    for path, domain in over.items():
        values = domain.extremes()
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            columns.append(metric_column(f"{names.TUNED}{short[path]}"))
        else:
            columns.append(param_column(f"{path}.kind" if any(isinstance(v, Config) for v in values) else path))
    _show(parent, dataset, name, task, columns)


def show_training(parent: RunWriter, dataset: str, name: str, task: Task) -> None:
    """Make the experiment open with the stages of a training."""
    _show(parent, dataset, name, task, [])


def _show(parent: RunWriter, dataset: str, name: str, task: Task, columns: Sequence[str]) -> None:
    other = [metric_column(f"validation_{m}") for m in task.headline if m != task.primary]
    shown = [*other, *columns, metric_column("epochs"), metric_column("seconds"), f"tags.`{ENDING}`"]
    best = metric_column(f"best_{task.primary}")
    best_effort(
        "the view of its runs in MLflow",
        lambda: save_view(experiment_id(dataset), name, parent.run_id, shown, best, not task.maximise),
    )


def page_line(dataset: str) -> str:
    """Where a person looks at a data set's last runs; "" if MLflow does not answer."""
    return _line(best_effort("the address of its page in MLflow", lambda: page_of(dataset, web_server())))


def run_line(dataset: str, run_id: str) -> str:
    """Where a person looks at a run of a data set; "" if MLflow does not answer."""

    def page() -> str:
        return run_page(experiment_id(dataset), run_id, web_server())

    return _line(best_effort("the address of its page in MLflow", page))


def _line(page: str | None) -> str:
    if not page:
        return ""
    where = f"in MLflow, while {command('mlflow')} runs" if web_server() == LOCAL else "in MLflow"
    return f"{where}: {page}"


def describe_sweep(space: str, name: str, dataset: str, results: Sequence[TrialResult], selectable: bool) -> str:
    """What a sweep is, what came of it, and how to go on, in Markdown."""
    best, endings = best_result(results), Counter(r.ending for r in results)
    task = best.config.task
    lines = [
        f"Sweep of the search space **{space}** on **{dataset}**; its trials are below.",
        f"Best on validation: **trial {best.name}**, {task.primary} **{best.best:.4g}**. {len(results)} trials: "
        f"{', '.join(f'{count} {ending}' for ending, count in sorted(endings.items()))}.",
        "How to go on:",
        f"- which is better, how surely: `{command('compare', name)}`",
    ]
    lines += [f"- choose, register, serve: `{command('select', name)}`"] if selectable else []
    return "\n\n".join(lines[:3]) + "\n" + "\n".join(lines[3:])


def describe_training(recipe: str, name: str, dataset: str, rows: Mapping[str, str]) -> str:
    """What a training is, its scores on test by model, and how to go on, in Markdown."""
    head = f"Training of **{recipe}** on **{dataset}**; on test:"
    scores = [f"- {model}: {score}" for model, score in rows.items()]
    return "\n".join([head, "", *scores, "", f"How to go on: `{command('compare', name)}`"])


def write_description(run: RunWriter, text: str) -> None:
    """Describe a run; the link to its comparison page stays, above: MLflow's page shows the first lines only."""
    former = run.tags().get(names.NOTE, "")
    links = [line for line in former.splitlines() if line.startswith(f"[{COMPARISON}")]
    run.tag(names.NOTE, "\n\n".join([*links, text]))


def link_comparison(run: RunWriter, experiment: str, path: str) -> str:
    """Put the comparison page, an artifact of the run, one click away from it; says where, for people."""
    link = (
        f"[{COMPARISON}](#/experiments/{experiment}/runs/{run.run_id}/artifacts/{path}?workflowType=machine_learning)"
    )
    former = run.tags().get(names.NOTE, "")
    kept = [line for line in former.split("\n\n") if not line.startswith(f"[{COMPARISON}")]
    run.tag(names.NOTE, "\n\n".join([link, *kept]))
    shown = run_page(experiment, run.run_id, web_server())
    return f"artifacts {path.rpartition('/')[0]}/, linked in its description:\n  {shown}"
