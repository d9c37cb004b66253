"""Baselines: estimators of scikit-learn on summaries of stored features and on metadata, behind fit and predict.

A baseline is tracked like any run, but makes no bundle: nothing of it is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core.config import Config
from tonearm.core.errors import DatasetError, StoreError, TrainingError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.base import Representation
from tonearm.features.store import FeatureStore, StoredClip, track_key
from tonearm.tasks.base import Task
from tonearm.tasks.playlists import Playlists
from tonearm.training.config import DatasetRef
from tonearm.training.estimators import Estimator, PredictFunction


class BaselineConfig(Config):
    """One baseline. Its signature is its identity.

    Attributes
    ----------
    features
        Each stands for a track by the mean and the deviation of each of its rows over the frames of all clips, of
        stored values: normalisation plays no part.
    columns
        Metadata: numbers, or vectors of numbers.
    estimator
        What learns of them.
    task
        By which it is evaluated. Estimators learn one class a track; of a multi-hot target the first.
    """

    dataset: DatasetRef
    features: tuple[Representation, ...] = ()
    columns: tuple[str, ...] = ()
    estimator: Estimator
    task: Task
    clip: ClipConfig = ClipConfig()
    seed: int = 0

    def problems(self) -> list[str]:
        if not self.features and not self.columns:
            return ["features and columns are both empty: name a representation or a metadata column to learn from"]
        if isinstance(self.task, Playlists):
            return ["a baseline gives probabilities, which are no fitness of each playlist by itself: use 'tabular'"]
        given = {"features": [f.store_name() for f in self.features], "columns": list(self.columns)}
        return [
            f"{field} name the same one twice, so that it would count double: leave it out once"
            for field, names in given.items()
            if len(set(names)) < len(names)
        ]


def design_matrix(
    config: BaselineConfig, tracks: Sequence[Track], stores: Mapping[str, FeatureStore], metadata: Metadata
) -> FloatArray:
    """The design matrix of some tracks.

    Parameters
    ----------
    stores
        By :meth:`Representation.store_name`.
    metadata
        With a row for each of the tracks, where the config names columns.

    Returns
    -------
    float32 (tracks, n): of each feature the means of its rows (of a second plane after those of the first), then their
    deviations; then the columns.

    Raises
    ------
    StoreError
        If a store, or a track in it, is missing.
    DatasetError
        If there are no tracks; or a metadata column is missing, no number, infinite, or unknown (NaN) to an
        estimator that takes no unknown values.
    """
    if not tracks:
        raise DatasetError("there are no tracks to make a design matrix of: name at least one")
    blocks: list[np.ndarray] = []
    for feature in config.features:
        store = stores.get(feature.store_name())
        if store is None:
            raise StoreError(f"no store of {feature.brief()} ({feature.store_name()}) was given: extract it first")
        blocks.append(np.stack([_summary(store.read_clips(track_key(t.content, config.clip))) for t in tracks]))
    ids = [t.track_id for t in tracks]
    blocks += [_metadata_column(config.estimator, ids, column, metadata) for column in config.columns]
    return np.concatenate(blocks, axis=1, dtype=np.float32, casting="same_kind")


def _summary(clips: Sequence[StoredClip]) -> np.ndarray:
    """Mean and deviation of each row over the frames of all clips, float64 (2 x planes x rows,)."""
    rows = np.concatenate([c.values.reshape(-1, c.frames) for c in clips], axis=1).astype(np.float32)
    return np.concatenate([rows.mean(axis=1, dtype=np.float64), rows.std(axis=1, dtype=np.float64)])


def _metadata_column(estimator: Estimator, track_ids: Sequence[str], column: str, metadata: Metadata) -> np.ndarray:
    """A column of these tracks, float64 (tracks, dim)."""
    values = metadata.of(track_ids, column)
    if values.dtype.kind not in "if":
        raise DatasetError(f"the metadata column {column!r} is text: an estimator takes numbers, name another column")
    numbers = values.reshape(len(track_ids), -1).astype(np.float64)
    unknown = np.flatnonzero(np.isnan(numbers).any(axis=1))
    if len(unknown) and not estimator.takes_missing:
        raise DatasetError(
            f"the metadata column {column!r} is unknown (NaN) for {len(unknown)} of {len(numbers)} tracks, e.g. "
            f"{track_ids[unknown[0]]!r}, which {estimator.kind} cannot take: leave the column or these tracks out, or "
            "choose the estimator gradient_boosting"
        )
    infinite = np.flatnonzero((np.abs(numbers) > np.finfo(np.float32).max).any(axis=1))
    if len(infinite):
        raise DatasetError(
            f"the metadata column {column!r} is beyond what float32 holds for {len(infinite)} of {len(numbers)} "
            f"tracks, e.g. {track_ids[infinite[0]]!r}: mend it, or leave the column or these tracks out"
        )
    return numbers


@dataclass(frozen=True)
class FittedBaseline:
    """A fitted baseline.

    Attributes
    ----------
    chosen
        What the estimator chose by itself or was given to choose from, by field.
    columns
        Of the design matrix.
    outputs
        Classes of the data set.
    present
        Indices of those that were among the training tracks.
    probabilities
        Of the estimator: (tracks, columns) to (tracks, present).
    """

    chosen: dict[str, float]
    columns: int
    outputs: int
    present: np.ndarray
    probabilities: PredictFunction

    def predict(self, x: FloatArray) -> FloatArray:
        """Probabilities of tracks.

        Parameters
        ----------
        x
            Of :func:`design_matrix`, (tracks, n).

        Returns
        -------
        float32 (tracks, classes), in the order of the class names; 0 for a class that was not among the training
        tracks.
        """
        if x.ndim != 2 or x.shape[1] != self.columns:
            raise TrainingError(
                f"the design matrix has the shape {x.shape}, the baseline learnt {self.columns} columns"
            )
        out = np.zeros((len(x), self.outputs), dtype=np.float32)
        out[:, self.present] = self.probabilities(x.astype(np.float64))
        return out


def fit_baseline(
    config: BaselineConfig, x: FloatArray, target: np.ndarray, groups: Sequence[str], outputs: int
) -> FittedBaseline:
    """Let the config's estimator learn.

    Parameters
    ----------
    x
        Of the training tracks, from :func:`design_matrix`.
    target
        Of the same tracks, as the task encodes it: class indices (tracks,), or multi-hot (tracks, classes), of which
        the first class counts.
    groups
        Of the same tracks, kept apart in any cross-validation within them.
    outputs
        Classes of the data set.

    Raises
    ------
    TrainingError
        If the target is none of classes, the numbers of tracks differ, or the estimator cannot learn from them.
    """
    classes = _classes(target, outputs)
    if not len(x) == len(classes) == len(groups):
        raise TrainingError(f"{len(x)} rows, {len(classes)} targets and {len(groups)} groups: give one a track of each")
    present, dense = np.unique(classes, return_inverse=True)
    estimator = config.estimator
    if len(present) < estimator.fewest_classes:
        raise TrainingError(
            f"the {len(x)} training tracks are of {len(present)} class(es), {estimator.kind} needs at least "
            f"{estimator.fewest_classes}: add tracks of others"
        )
    seed = derive_seed("baseline", config.seed) % 2**32  # the largest that numpy's old generator takes
    probabilities, chosen = estimator.fit(x.astype(np.float64), dense, groups, seed)
    return FittedBaseline(chosen, x.shape[1], outputs, present, probabilities)


def _classes(target: np.ndarray, outputs: int) -> np.ndarray:
    if target.ndim == 2 and target.shape[1] == outputs and np.isin(target, (0, 1)).all() and target.any(axis=1).all():
        first: np.ndarray = target.argmax(axis=1)
        return first
    if target.ndim == 1 and target.dtype.kind in "iu" and ((target >= 0) & (target < outputs)).all():
        return target.astype(np.int64)
    raise TrainingError(
        f"the target, {target.dtype} of shape {target.shape}, is no class of {outputs} for each track: an estimator "
        "learns classes, take a task such as single_label, tabular or playlists"
    )
