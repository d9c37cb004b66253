"""Running the stages of a recipe, each in a folder named by its signature: what is finished is not run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.datasets.columns import Column
from tonearm.datasets.manifest import SPLITS, Manifest
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.metadata_files import open_metadata, write_metadata
from tonearm.models.artist_table import ArtistTable
from tonearm.tasks.base import Task
from tonearm.tasks.relations import Relations
from tonearm.training.baseline_trial import run_baseline
from tonearm.training.baselines import BaselineConfig
from tonearm.training.batches import Examples
from tonearm.training.bundle import load_bundle
from tonearm.training.config import Member, TrialConfig
from tonearm.training.examples import (
    bind_to_data,
    dataset_ref,
    keep_usable_tracks,
    make_examples,
    with_splits_of,
    with_vectors,
)
from tonearm.training.logits import predict_split, windows_at_once
from tonearm.training.predictions import TrackPredictions
from tonearm.training.recipe import Stage
from tonearm.training.relations import RelationExamples, places_of_artists
from tonearm.training.trial import Begin, TrialFolder, run_trial, score_test
from tonearm.training.trial_places import TrialPlaces

VECTORS = "vectors.parquet"


@dataclass(frozen=True)
class StagePaths:
    """URIs of the feature stores and of the folder of all trials, and a local folder for copies."""

    features: str
    trials: str
    cache: str
    device: str = "cpu"

    def folder(self, config: TrialConfig | BaselineConfig) -> TrialFolder:
        """Of a trial: the same trial is the same folder, whatever recipe or sweep asks for it."""
        return self._places.folder(config)

    @cached_property
    def _places(self) -> TrialPlaces:
        """Looked through once: earlier versions' sweeps may hold thousands of trials."""
        return TrialPlaces(self.trials)


@dataclass(frozen=True)
class FinishedStage:
    """A stage that has been trained.

    Attributes
    ----------
    config
        As it was run: data set and members filled in.
    validation, test
        Predictions of the kept model.
    manifest
        What it was trained on.
    """

    name: str
    config: TrialConfig | BaselineConfig
    folder: TrialFolder
    manifest: Manifest
    validation: TrackPredictions
    test: TrackPredictions

    @property
    def task(self) -> Task:
        return self.config.task


def data_of_stage(stage: Stage, own: Manifest, others: Mapping[str, Manifest]) -> Manifest:
    """What a stage is trained on: the recipe's ``own`` data set, or its own of ``others`` (by the signatures of their
    configs), in the splits of the recipe's where it holds out what is tested on."""
    if not stage.data:
        return own
    other = others[stage.data.signature()]
    return with_splits_of(other, own) if divided_as_own(stage) else other


def divided_as_own(stage: Stage) -> bool:
    """Whether a stage's data are divided as the recipe's, folds included."""
    return not stage.data or (isinstance(stage.config.task, Relations) and stage.config.task.held_out)


class StageRun:
    """One stage on one data set.

    Parameters
    ----------
    stage
        What is trained.
    manifest
        With splits; tracks without a target are left out.
    finished
        The stages before it, by name.
    paths
        Where things lie.
    fold
        Of a cross-validation, e.g. ``"2/5"``.

    Raises
    ------
    DatasetError, StoreError
        If what the stage needs of the data is not there.
    """

    def __init__(
        self, stage: Stage, manifest: Manifest, finished: Mapping[str, FinishedStage], paths: StagePaths, fold: str = ""
    ) -> None:
        self.stage, self.paths = stage, paths
        if stage.vectors:
            made = {name: track_vectors(finished[source], paths) for name, source in stage.vectors.items()}
            manifest = with_vectors(manifest, made)
        feature = stage.config.feature if isinstance(stage.config, TrialConfig) else None
        self.manifest = keep_usable_tracks(stage.config.task, feature, manifest)
        self.config: TrialConfig | BaselineConfig
        if isinstance(stage.config, TrialConfig):
            members = tuple(
                Member(name=name, trial=finished[s].config.signature(), bundle=finished[s].folder.bundle_uri)
                for name, s in stage.members.items()
            )
            self.config = bind_to_data(stage.config, self.manifest, fold).replace({"members": members})
        else:
            self.config = stage.config.replace({"dataset": dataset_ref(self.manifest, fold)})
        self.folder = paths.folder(self.config)

    def run(self, begin: Begin | None = None) -> Generator[dict[str, Any]]:
        """Train, or what is left of it; yields the metrics of each epoch, and calls ``begin``, as :func:`run_trial`."""
        if isinstance(self.config, BaselineConfig):
            places = self.paths.features, self.paths.cache
            yield from run_baseline(self.config, self.manifest, self.folder, *places, begin)
            return
        yield from run_trial(self.config, self.examples(), self.folder, self.paths.device, True, begin)

    def examples(self) -> Examples:
        """The trial's examples."""
        if isinstance(self.config, BaselineConfig):
            raise TypeError("a baseline has no batches")
        return make_examples(self.config, self.manifest, self.paths.features, self.paths.cache)

    def finish(self) -> FinishedStage:
        """The kept model's predictions, those on the test split made now if they are not there."""
        if isinstance(self.config, TrialConfig) and not storage.exists(self.folder.predictions_uri("test")):
            score_test(self.config, self.examples(), self.folder, self.paths.device)
        validation, test = self.folder.predictions("validation"), self.folder.predictions("test")
        return FinishedStage(self.stage.name, self.config, self.folder, self.manifest, validation, test)


def track_vectors(finished: FinishedStage, paths: StagePaths) -> tuple[list[str], Column]:
    """Ids and a vector of each: what a trained model predicts of every track, or the rows of a table of artists."""
    config = finished.config
    if not isinstance(config, TrialConfig):
        raise TypeError("a baseline gives no vectors")
    uri = storage.join(finished.folder.uri, VECTORS)
    if not storage.exists(uri):  # computed once: on another device they would differ in their last bits
        write_metadata(uri, _computed_vectors(config, finished, paths))
    kept = open_metadata(uri)
    return kept.track_ids, kept.column("vector")


def _computed_vectors(config: TrialConfig, finished: FinishedStage, paths: StagePaths) -> Metadata:
    network = load_bundle(finished.folder.bundle_uri).network.to(paths.device)
    examples = make_examples(config, finished.manifest, paths.features, paths.cache)
    if isinstance(examples, RelationExamples) and isinstance(network, ArtistTable):
        ids, made = examples.artists, places_of_artists(examples, network.table.weight.detach().cpu().numpy())
    else:
        ids = [i for split in SPLITS for i in examples.ids(split)]
        at_once = windows_at_once(config.optim, paths.device)
        parts = [predict_split(network, config.task, examples, split, paths.device, at_once) for split in SPLITS]
        made = np.concatenate(parts)
    return Metadata(ids, {"vector": made})


def seeded(stage: Stage, seed: int) -> Stage:
    """The stage with another seed of weights, batches and chance."""
    return dataclasses.replace(stage, config=stage.config.replace({"seed": seed}))
