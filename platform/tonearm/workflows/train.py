"""Training a recipe, as its author described it or as it was changed, on any data set."""

from __future__ import annotations

import logging

from tonearm.core.errors import ConfigError
from tonearm.core.precision import require_device
from tonearm.datasets.base import DatasetConfig
from tonearm.training.recipe import Recipe
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import with_root
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.training_data import TrainingRequest
from tonearm.workflows.training_report import TrainingResult, report_training
from tonearm.workflows.training_runs import run_request

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    data: PreparedData | DatasetConfig | None = None,
    *,
    name: str = "",
    seeds: int = 1,
    folds: int | None = None,
    split_seed: int = 0,
    grouped: bool | None = None,
    device: str = "cpu",
    threads: int = 0,
    dataset_name: str = "",
    descriptors: bool = False,
    metadata: str = "",
    max_rejected: float = MAX_REJECTED,
    retrain: bool = False,
) -> TrainingResult:
    """Train every stage of a recipe and score it on test tracks; what is finished is not trained again.

    Each stage of each seed and fold is a run in MLflow; a second call goes on where the first was stopped.

    Parameters
    ----------
    recipe
        What is trained.
    data
        What it is trained on: a data set that :func:`tonearm.prepare` prepared, of which only missing features are
        extracted; or one that is prepared now, as the recipe needs it. None: the recipe's own.
    name
        Of the training, in MLflow and in reports; "": that of the recipe's last stage.
    seeds
        Train so many times, with the seeds 0, 1, ...
    folds
        Of a cross-validation, at least 2; 0: the one split; None: as the source.
    split_seed
        Of splits and folds; of prepared data only of folds.
    grouped
        Whether an artist stays on one side; None: as the source, or as prepared data are split.
    device
        ``"cpu"`` or ``"cuda"``.
    threads
        Of each operation; 0: all cores.
    dataset_name, descriptors, metadata, max_rejected
        How the data set is prepared, where it is not prepared already: what it is called, whether tempo, energy, ...
        are measured as metadata to be predicted, a table of further metadata, the largest share of unusable tracks.
    retrain
        Whether what other code has trained is trained anew; with it all that builds upon it.

    Raises
    ------
    ConfigError
        For values that cannot be, or a data set that cannot be used so.
    JobError
        If too many tracks are unusable.
    """
    in_folds = recipe.folds if folds is None else folds
    if seeds < 1 or in_folds < 0 or in_folds == 1:
        raise ConfigError(f"seeds {seeds}, folds {in_folds}: train at least once, and with 0 or at least 2 folds")
    if not 0 <= max_rejected <= 1:
        raise ConfigError(f"max_rejected is {max_rejected}: a share is within 0 and 1")
    require_device(device)
    prepared = data if isinstance(data, PreparedData) else None
    if prepared and (dataset_name or descriptors or metadata):
        raise ConfigError(
            f"dataset_name, descriptors and metadata say how a data set is prepared, {prepared.name!r} is prepared "
            "already: give them to prepare"
        )
    if prepared and not in_folds:
        _require_split_as(prepared, recipe, split_seed, grouped)
    if prepared and max_rejected != MAX_REJECTED:
        raise ConfigError(f"max_rejected is {max_rejected}, {prepared.name!r} is prepared already: give it to prepare")
    if isinstance(data, PreparedData):
        recipe = recipe.on(data.config) if data.config else recipe
    else:
        recipe = recipe.on(with_root(data or recipe.data))
    request = TrainingRequest(
        name or recipe.stages[-1].name, recipe, dataset_name, in_folds, seeds, split_seed,
        recipe.grouped if grouped is None else grouped, device, max_rejected, descriptors, metadata, threads, prepared,
        retrain,
    )  # fmt: skip
    return report_training(request, run_request(request))


def _require_split_as(data: PreparedData, recipe: Recipe, seed: int, grouped: bool | None) -> None:
    """Refuse another split than that of prepared data; tell where the recipe's own would be another."""
    differs = [f"split_seed {seed}"] if seed not in (0, data.split_seed) else []
    differs += [f"grouped {grouped}"] if grouped not in (None, data.grouped) else []
    split = f"{data.name!r} is split already, with seed {data.split_seed} and grouped {data.grouped}"
    if differs:
        raise ConfigError(f"{', '.join(differs)}: {split}: give them to prepare, or ask for folds")
    if (recipe.grouped, recipe.fractions) != (data.grouped, data.fractions):
        logger.warning(
            f"  the recipe splits by {recipe.fractions}, grouped {recipe.grouped}; {split}, by {data.fractions}: that "
            "stays"
        )
