"""What is asked of a training, and its data: every data set that the recipe names, with all that its stages need."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import DatasetError, JobError
from tonearm.core.seeding import digest
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.manifest import SPLITS, Manifest, Track
from tonearm.features.base import Representation
from tonearm.features.metadata import PictureFeature, TokensFeature
from tonearm.features.weights import require_weights
from tonearm.training.config import TrialConfig
from tonearm.training.examples import has_input
from tonearm.training.recipe import Recipe, Stage, recipe_representations
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import choose_dataset, extract_missing, make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.set_aside import load_failed, too_short
from tonearm.workflows.several_labels import require_one_label
from tonearm.workflows.short_recordings import Attempt, advice

logger = logging.getLogger(__name__)

Check = Callable[[Sequence[Track], Sequence[Representation], ClipConfig], None]


@dataclass(frozen=True)
class TrainingRequest:
    """What was asked for.

    Attributes
    ----------
    name
        Of the recipe.
    dataset_name
        What to call the data set; "" as it calls itself.
    folds
        0: the one split.
    seeds
        How often, with the seeds 0, 1, ...
    grouped
        Whether a group stays in one split or fold.
    threads
        Of each operation while it trains; 0: all cores, None: as torch is set.
    prepared
        The recipe's own data set, if it is prepared already; then nothing but missing features is made of it.
    retrain
        Whether what other code has trained is trained anew.
    """

    name: str
    recipe: Recipe
    dataset_name: str = ""
    folds: int = 0
    seeds: int = 1
    split_seed: int = 0
    grouped: bool = True
    device: str = "cpu"
    max_rejected: float = MAX_REJECTED
    descriptors: bool = False
    metadata: str = ""
    threads: int | None = None
    prepared: PreparedData | None = None
    retrain: bool = False

    def signature_on(self, manifests: Iterable[Manifest]) -> str:
        """Identity of all that is asked for, and of the data as they are there."""
        stages = [[s.name, s.config.to_dict(run_only=False), dict(s.members), dict(s.vectors),
                   s.data and s.data.to_dict()] for s in self.recipe.stages]  # fmt: skip
        data = [m.signature() for m in manifests]
        return digest(data, stages, self.folds, self.seeds, self.split_seed, self.grouped)


def adapt_recipe(
    recipe: Recipe, dataset: str = "", root: str = "", fields: Mapping[str, object] | None = None,
    changes: Mapping[str, object] | None = None,
) -> Recipe:  # fmt: skip
    """A recipe on a data set, with fields changed.

    Parameters
    ----------
    dataset
        Another kind of data set than the recipe's; "": the recipe's own.
    root
        Folder or URI of the data set's files.
    fields
        Other fields of the data set.
    changes
        Fields of the trials by their path, as in ``{"optim.lr": 1e-4, "STAGE.optim.lr": 1e-3}``.

    Raises
    ------
    ConfigError
        For what does not exist or fit.
    """
    root = os.path.expanduser(root)  # noqa: PTH111  a URI must stay as it is
    if dataset:
        if root:  # also where a stage has a data set of its own
            recipe = recipe.replace({"data.root": root})
        recipe = recipe.on(choose_dataset(dataset, root, fields))
    else:
        given = {**({"root": root} if root else {}), **(fields or {})}
        recipe = recipe.replace({f"data.{k}": v for k, v in given.items()})
        recipe = recipe.on(choose_dataset(recipe.data.kind, recipe.data.root, recipe.data.to_dict()))
    return recipe.replace(changes or {})


def prepare_data(
    request: TrainingRequest, also: Sequence[Representation] = (), check: Check = lambda tracks, features, clip: None,
    attempt: Attempt | None = None,
) -> dict[str, Manifest]:  # fmt: skip
    """The data of every data set that the recipe names, by the signature of its config; what is missing is extracted.

    Parameters
    ----------
    also
        Representations of the recipe's data set that its stages do not name.
    check
        Called with the tracks, representations and clip before any are extracted; may refuse.
    attempt
        Raises a ConfigError if other settings, which fit short recordings, cannot work; None: the recipe is asked.
    """
    recipe, found = request.recipe, {}
    sets: dict[str, tuple[DatasetConfig, list[Stage]]] = {}
    for stage in recipe.stages:
        data = stage.data or recipe.data
        sets.setdefault(data.signature(), (data, []))[1].append(stage)
    for signature, (data, stages) in sets.items():
        asked = signature == recipe.data.signature()  # what was typed of a data set is of this one
        wanted = {r.store_name(): r for r in [*recipe_representations(stages), *(also if asked else ())]}
        features = [wanted[name] for name in sorted(wanted)]
        require_weights(features)  # before recordings are looked at
        # Without audio, clips play no part; with audio, a recipe has one kind.
        clip = next((s.config.clip for s in stages if s.representations()), stages[0].config.clip)
        least = max((s.config.min_seconds for s in stages if isinstance(s.config, TrialConfig)), default=0.0)
        if asked and request.prepared:
            own = request.prepared.manifest
            check(own.tracks, features, clip)
            require_one_label(own.tracks, (s.config.task for s in stages))
            if features:
                extract_missing(own, features, clip, least or 1.0, request.device,
                                lambda rejects: advice(recipe, rejects, attempt))  # fmt: skip
            found[signature] = own
            continue
        logger.info("data set %s: %s", data.kind, data.root)
        catalogue = make_catalogue(data, request.dataset_name if asked else "")
        check(catalogue.tracks, features, clip)
        require_one_label(catalogue.tracks, (s.config.task for s in stages))
        classes = any(s.config.task.needs_classes for s in stages)
        balanced = any(s.config.task.uses_labels for s in stages)
        try:
            made = prepare_catalogue(
                catalogue, features, clip, least or 1.0, request.split_seed, request.max_rejected, request.device,
                descriptors=request.descriptors, predicted=request.descriptors, classes=classes,
                grouped=request.grouped, metadata=request.metadata if asked else "", balanced=balanced,
                fractions=recipe.fractions,
            )  # fmt: skip
        except (JobError, DatasetError) as error:
            fitting = advice(recipe, load_failed(catalogue.name), attempt) if too_short(catalogue.name) else ""
            raise type(error)(f"{error}{fitting}") from None
        logger.info("%s", made.describe())
        found[signature] = made.manifest
    return found


def fitting_recipe(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe without the optional stages of whose input the data set has nothing in some split; each is told."""
    lost = []
    for stage in recipe.stages:
        if stage.optional and isinstance(stage.config, TrialConfig):
            columns = [part.column for part in stage.config.feature.named_inputs().values()
                       if isinstance(part, TokensFeature | PictureFeature)]  # fmt: skip
            there = all(name in manifest.metadata for name in columns)
            has = [has_input(part, manifest) for part in stage.config.feature.named_inputs().values() if there]
            splits = np.array([t.split for t in manifest.tracks])
            without = [s for s in SPLITS if not there or not np.logical_and.reduce([splits == s, *has]).any()]
            if without:
                logger.info(f"  {stage.name} is left out: {manifest.name} has none in {', '.join(without)}")
                lost.append(stage.name)
    return recipe.without(lost)
