"""The data of a sweep: which search space, on which data set, with all the features that its trials need."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tonearm.audio.windows import ClipConfig
from tonearm.core import home
from tonearm.core.errors import ConfigError
from tonearm.datasets.base import DatasetConfig
from tonearm.datasets.manifest import Manifest, Reject, Track, load_manifest
from tonearm.features.base import Representation
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.estimate import StoreEstimate, estimate_stores
from tonearm.sweeps.space import Values
from tonearm.sweeps.warm_start import WarmStart, load_warm_start
from tonearm.tracking.retry import retry
from tonearm.training.recipe import Recipe, Stage
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import choose_dataset, extract_missing, make_catalogue
from tonearm.workflows.prepared_names import manifest_uri, not_prepared, prepared_name
from tonearm.workflows.several_labels import require_one_label
from tonearm.workflows.short_recordings import advice, change_space, space_recipe
from tonearm.workflows.training_data import TrainingRequest, prepare_data

logger = logging.getLogger(__name__)

GIGABYTE = 1e9
SWEPT = "trial"
Extractions = Mapping[ClipConfig, Sequence[Representation]]


@dataclass(frozen=True)
class SweepRequest:
    """A sweep as it is asked for on the command line.

    Attributes
    ----------
    name
        Of the space.
    dataset
        Without ``root`` the name of a data set that was prepared before, or a kind that needs no files; with it a kind,
        by default the recipe's.
    root
        Folder or URI of the data set's files.
    label, options
        Fields of the data set.
    warm_start_from
        Runs or sweeps whose best settings are tried first.
    resume
        Whether it must have been begun.
    cpus, gpus
        Of each trial.
    max_rejected
        The largest share of files that may be unusable.
    max_gigabytes
        Refuse to extract more features.
    dataset_name
        What to call a data set that is prepared now; "" as it calls itself.
    retrain
        Whether trials that other code has trained are trained anew.
    """

    name: str
    space: SearchSpace
    dataset: str = ""
    root: str = ""
    label: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    warm_start_from: tuple[str, ...] = ()
    resume: bool = False
    cpus: float = 1.0
    gpus: float = 0.0
    max_rejected: float = MAX_REJECTED
    max_gigabytes: float = float("inf")
    dataset_name: str = ""
    retrain: bool = False

    def warm_start(self) -> WarmStart:
        """The settings of earlier runs; waits a minute for a server that is away."""
        return retry(load_warm_start, self.space, list(self.warm_start_from), seconds=60.0)


def prepared(dataset: str, root: str) -> Manifest | None:
    """The manifest of a data set that was prepared before, if it is meant: without files to prepare it from."""
    name = "" if root else prepared_name(dataset)
    return load_manifest(manifest_uri(name)) if name else None


def complete_features(
    space: SearchSpace, manifest: Manifest, max_gigabytes: float = float("inf"), also: Sequence[Values] = ()
) -> dict[str, Manifest]:
    """Extract what a space needs of a prepared data set and the stores lack.

    Raises
    ------
    ConfigError
        If stages of the space learn from other files, or there is too much to extract.
    """
    others = [s.name for s in space.upstream_stages if s.data]
    if others:
        raise ConfigError(
            f"stage(s) {', '.join(others)} learn from files of their own, beside the prepared data set "
            f"{manifest.name!r}: give the kind and the folder instead"
        )
    require_one_label(manifest.tracks, [space.trial.task, *(s.config.task for s in space.upstream_stages)])
    extractions = space.extractions(also)
    check_extraction_size(needs_of(extractions, manifest.tracks), max_gigabytes)
    _extract_missing(manifest, extractions, space)
    return {"": manifest}


def sweep_data(request: SweepRequest, also: Sequence[Values] = ()) -> dict[str, Manifest]:
    """The data of a sweep, with all the features that its trials need; what is missing is extracted.

    Parameters
    ----------
    also
        Settings that will be tried beside the space's own.

    Returns
    -------
    By the signature of a data set's config its manifest; the sweep's own one also under "".
    """
    space, manifest = request.space, prepared(request.dataset, request.root)
    if manifest is not None:
        if request.label or request.options or request.dataset_name:
            raise ConfigError(
                f"label, options and name say how a data set is prepared, {request.dataset!r} is there already: leave "
                "them out, or give the kind and the folder"
            )
        return complete_features(space, manifest, request.max_gigabytes, also)
    extractions = space.extractions(also)
    recipe = recipe_of(request)
    own = recipe.data.signature()

    def check(tracks: Sequence[Track], features: Sequence[Representation], clip: ClipConfig) -> None:
        # Called for every data set of the recipe; the sweep's own is asked for more than its stages say.
        whole = {**extractions, clip: features} if set(extractions.get(clip, ())) <= set(features) else {clip: features}
        check_extraction_size(needs_of(whole, tracks), request.max_gigabytes)

    training = TrainingRequest("sweep", recipe, request.dataset_name, max_rejected=request.max_rejected)
    manifests = prepare_data(training, extractions.get(space.trial.clip, []), check, partial(change_space, space))
    _extract_missing(manifests[own], extractions, space)
    return {**manifests, "": manifests[own]}


def listed_tracks(request: SweepRequest) -> Sequence[Track]:
    """The tracks of a data set that is not prepared, as its files list them; no audio is read."""
    return make_catalogue(recipe_of(request).data).tracks


def recipe_of(request: SweepRequest) -> Recipe:
    """The space's recipe on the data set that was typed.

    Raises
    ------
    ConfigError
        If there is no such data set.
    """
    space, dataset, root, label, options = (
        request.space, request.dataset, request.root, request.label, request.options
    )  # fmt: skip
    fields = {**({"label": label} if label else {}), **options}
    if dataset and not root and dataset not in DatasetConfig.registry:
        raise not_prepared(dataset, DatasetConfig.registry)
    if isinstance(space.base, Recipe):
        recipe = space.base
        if dataset and dataset != recipe.data.kind:
            recipe = recipe.on(DatasetConfig.registry[dataset]())
        if root:  # also where a stage has a data set of its own
            recipe = recipe.replace({"data.root": root})
        given = {**recipe.data.to_dict(), **fields}
        return recipe.on(choose_dataset(str(given.pop("kind")), root, given))
    data = choose_dataset(dataset or space.base.dataset.name, root, fields)
    return Recipe(data, (Stage(SWEPT, space.base),), "a sweep")


def needs_of(extractions: Extractions, tracks: Sequence[Track] | None) -> list[StoreEstimate]:
    """What the stores lack."""
    found = [estimate_stores(own, clip, home.features_home(), tracks) for clip, own in extractions.items()]
    return [need for needs in found for need in needs]


def check_extraction_size(needs: Sequence[StoreEstimate], max_gigabytes: float) -> None:
    """Say how much is to be extracted, and refuse where that is more than allowed.

    Raises
    ------
    ConfigError
        With the sizes.
    """
    lacking = [n for n in needs if n.missing]
    total = sum(n.bytes for n in lacking) / GIGABYTE
    if lacking:
        most = max(n.missing or 0 for n in lacking)
        logger.info(f"  to extract: {len(lacking)} representation(s) of {most} tracks, {total:.2f} GB")
    if total > max_gigabytes:
        parts = ", ".join(f"{n.representation.brief()} {n.bytes / GIGABYTE:.2g} GB" for n in lacking)
        raise ConfigError(
            f"the sweep would extract {total:.2g} GB of features ({parts}), allowed are {max_gigabytes:g} GB: vary the "
            "input less, or allow more: max-gigabytes"
        )


def _extract_missing(manifest: Manifest, extractions: Extractions, space: SearchSpace) -> None:
    def fitting(rejects: Sequence[Reject]) -> str:
        return advice(space_recipe(space), rejects, partial(change_space, space))

    for clip, features in extractions.items():
        extract_missing(manifest, features, clip, space.trial.min_seconds, advice=fitting)
