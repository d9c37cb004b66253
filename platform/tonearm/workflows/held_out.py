"""The tracks that trials did not learn from: those of validation, and those of test, with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Manifest, Track
from tonearm.tasks.base import Task
from tonearm.training.batches import truth_of
from tonearm.training.config import TrialConfig
from tonearm.training.evaluate import trivial_scores
from tonearm.training.examples import keep_usable_tracks
from tonearm.training.predictions import TrackPredictions


@dataclass(frozen=True)
class HeldOutTracks:
    """Validation and test tracks of a trial.

    Attributes
    ----------
    validation, test
        The tracks, those of validation in the order of the trial's predictions.
    validation_target, test_target
        As the task encodes them.
    train_target
        The same of the training split.
    outputs
        How many there are.
    """

    task: Task
    validation: tuple[Track, ...]
    test: tuple[Track, ...]
    validation_target: np.ndarray
    test_target: np.ndarray
    train_target: np.ndarray
    outputs: int

    @property
    def tracks(self) -> tuple[Track, ...]:
        return (*self.validation, *self.test)

    @property
    def target(self) -> np.ndarray:
        """Of all tracks."""
        return np.concatenate([self.validation_target, self.test_target])

    @property
    def test_groups(self) -> list[str]:
        return [t.group for t in self.test]

    def trivial(self) -> FloatArray:
        """The prediction (outputs,) that needs no model."""
        return self.task.trivial(self.train_target, self.outputs)

    def trivial_test_scores(self) -> dict[str, float]:
        """Its metrics on test."""
        return trivial_scores(self.task, self.train_target, self.test_target, self.outputs, self.test_groups)


def held_out_tracks(
    manifest: Manifest, config: TrialConfig, validation: TrackPredictions, classes: Sequence[str]
) -> HeldOutTracks:
    """Those of a trial; ``classes`` are its bundle's."""
    task, by_id = config.task, {t.track_id: t for t in manifest.tracks}
    usable = keep_usable_tracks(task, config.feature, manifest)
    test = usable.of("test")
    return HeldOutTracks(
        task, tuple(by_id[i] for i in validation.track_ids), test, validation.target,
        task.encode(truth_of(test, usable.metadata), classes),
        task.encode(truth_of(usable.of("train"), usable.metadata), classes), len(classes),
    )  # fmt: skip
