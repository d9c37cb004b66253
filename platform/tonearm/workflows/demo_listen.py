"""The demo's step before the sweep: a model that is solved in seconds says at once what can be heard."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.text import format_table
from tonearm.sweeps import SearchSpace
from tonearm.tasks import MultiLabel, Regression, SingleLabel
from tonearm.tasks.metrics import find_metric
from tonearm.training.recipe import Recipe
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.promotion import format_with_interval, rounded
from tonearm.workflows.train import train
from tonearm.workflows.training_report import TrainingResult
from tonearm.workflows.training_scores import ModelRow

FOLDS = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listened:
    """What the step came to.

    Attributes
    ----------
    training
        On the splits that the sweep has, too: what it left is a candidate beside the sweep's trials.
    folds
        The same recipe, cross-validated; None where the tracks cannot be dealt so.
    """

    training: TrainingResult
    folds: TrainingResult | None

    @property
    def name(self) -> str:
        """Of the recipe."""
        return self.training.request.name

    @property
    def folders(self) -> list[str]:
        """URIs of what was trained."""
        results = [self.training, *([self.folds] if self.folds else [])]
        return [done.folder.uri for result in results for run in result.runs for done in run.finished.values()]

    def rows(self) -> list[tuple[str, ...]]:
        """Test scores of the one split and of all folds: a name, then a text for each headline metric."""
        row = self.training.rows[-1]
        metrics = row.task.headline
        rows = [(f"{self.name} at once", *(format_with_interval(row.pooled.intervals[m]) for m in metrics))]
        if self.folds:
            rows.append((f"{self.name} in {FOLDS} folds", *(_mean(self.folds.rows[-1], m) for m in metrics)))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As the demo's summary has it."""
        row = self.training.rows[-1]
        values = {"recipe": self.name, "training": self.training.name, "test": row.pooled.to_dict()}
        if self.folds:
            in_folds = self.folds.rows[-1]
            values["folds"] = {m: {"mean": in_folds.mean(m), "deviation": in_folds.deviation(m)}
                               for m in row.task.headline}  # fmt: skip
        return values

    def __str__(self) -> str:
        row = self.training.rows[-1]
        tracks = len(row.by_seed[0].track_ids)
        table: list[tuple[str, ...]] = [("", *(find_metric(m).label for m in row.task.headline)), *self.rows()]
        table.append((row.task.trivial_name, *(rounded(row.trivial[0][m]) for m in row.task.headline)))
        chance = row.task.chance(len(row.by_seed[0].classes))
        if chance is not None:
            table.append(("chance", rounded(chance), *[""] * (len(row.task.headline) - 1)))
        lines = [f"  on {tracks} test tracks, [95 %]", format_table(table)]
        if self.folds:
            every = len(self.folds.rows[-1].by_seed[0].track_ids)
            lines.append(
                f"  in {FOLDS} folds each of {every} tracks is tested once, ±: between folds; it is the surer figure"
            )
        return "\n".join(lines)


def fit_recipe(recipe: Recipe, space: SearchSpace) -> Recipe | None:
    """A recipe with the clips and the task of a space; None where it cannot learn that."""
    trial = space.trial
    if not isinstance(trial.task, SingleLabel | MultiLabel | Regression):
        return None
    try:
        return recipe.replace({"clip": trial.clip, "task": trial.task})
    except ConfigError as error:
        logger.info(f"  {recipe.stages[-1].name} is not trained before the sweep: {error}")
        return None


def listen(recipe: Recipe, data: PreparedData) -> Listened:
    """Train a recipe on the splits of prepared data, and in folds; what is finished is not trained again.

    The folds and trials are those of ``tonearm train --folds``.
    """
    recipe = dataclasses.replace(recipe, grouped=data.grouped, fractions=data.fractions)
    training = train(recipe, data, folds=0)
    try:
        return Listened(training, train(recipe, data, folds=FOLDS, split_seed=data.split_seed))
    except (ConfigError, DatasetError) as error:
        logger.info(f"  not cross-validated: {error}")
        return Listened(training, None)


def _mean(row: ModelRow, metric: str) -> str:
    return f"{rounded(row.mean(metric))} ± {rounded(row.deviation(metric))}"
