"""A candidate's predictions of a split's tracks: folds put together, seeds side by side."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tonearm.comparison.candidates import Candidate, TrialRun
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split
from tonearm.tasks import Embedding, Relations
from tonearm.tasks.base import Task
from tonearm.tracking.query import artifact_bytes
from tonearm.training.predictions import TrackPredictions, parse_predictions


@dataclass(frozen=True)
class Predictions:
    """Predictions of the same tracks by every seed of a candidate.

    Attributes
    ----------
    label
        A letter, by which plots and sentences name it.
    groups
        The group of each track.
    seeds
        Of each seed the predictions (tracks, outputs) and the target, which may be learned and so another one in each.
    """

    candidate: Candidate
    label: str
    task: Task
    classes: tuple[str, ...]
    track_ids: tuple[str, ...]
    groups: tuple[str, ...]
    seeds: tuple[tuple[FloatArray, np.ndarray], ...]
    _seen: dict[str, dict[str, float]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def target(self) -> np.ndarray:
        return self.seeds[0][1]

    @cached_property
    def scores(self) -> np.ndarray:
        """Each track's share of the task's figure of merit, the mean over the seeds: float64 (tracks,)."""
        each: np.ndarray = np.mean([self.task.track_scores(p, t) for p, t in self.seeds], axis=0)
        return each

    @cached_property
    def mean_predictions(self) -> FloatArray:
        """The mean over the seeds, (tracks, outputs)."""
        mean: FloatArray = np.stack([p for p, _ in self.seeds]).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def _group_array(self) -> np.ndarray:
        return np.array(self.groups, dtype=object)

    def metrics_of(self, draw: np.ndarray, wanted: Sequence[str]) -> dict[str, float]:
        """Metrics of the tracks of these indices, the mean over the seeds.

        All pairs and metrics of a report ask for the same draws: each is looked at once.
        """
        key = digest(draw.tobytes())
        lacking = [name for name in wanted if name not in self._seen.setdefault(key, {})]
        if lacking:
            groups = self._group_array[draw].tolist()
            runs = [self.task.selected_metrics(lacking, p[draw], t[draw], groups) for p, t in self.seeds]
            self._seen[key] |= {name: float(np.mean([run[name] for run in runs])) for name in lacking}
        return self._seen[key]

    def take(self, track_ids: Sequence[str]) -> Predictions:
        """The same of some of the tracks, in the given order."""
        if tuple(track_ids) == self.track_ids:
            return self
        place = {track: i for i, track in enumerate(self.track_ids)}
        rows = np.array([place[track] for track in track_ids], dtype=np.int64)
        groups = tuple(self.groups[i] for i in rows.tolist())
        return dataclasses.replace(self, track_ids=tuple(track_ids), groups=groups, _seen={},
                                   seeds=tuple((p[rows], t[rows]) for p, t in self.seeds))  # fmt: skip


def load_predictions(candidate: Candidate, label: str, split: Split, notes: list[str]) -> Predictions | None:
    """What a candidate's runs predicted of a split; None if one of them kept no such predictions.

    Parameters
    ----------
    notes
        Gets a sentence where seeds were evaluated on different tracks; those that all have are used.

    Raises
    ------
    ConfigError
        If its seeds have no track in common, or different targets.
    """
    folds: dict[int, list[TrackPredictions]] = {}
    for run in candidate.runs:
        found = _predictions(run, split)
        if found is None:
            return None
        folds.setdefault(run.config.seed, []).append(found)
    seeds = [_together(folds[seed]) for seed in sorted(folds)]
    ids = common_tracks([s.track_ids for s in seeds])
    if not ids:
        raise ConfigError(f"the seeds of {label} ({candidate.name}) have no {split} track in common: compare one seed")
    most = max(len(s.track_ids) for s in seeds)
    if len(ids) < most:
        notes.append(f"{label}: of {most} tracks only {len(ids)} were predicted with every seed; these are used")
    parts = [
        Predictions(candidate, label, candidate.task, s.classes, tuple(s.track_ids), tuple(s.groups),
                ((s.probabilities, s.target),)).take(ids)
        for s in seeds
    ]  # fmt: skip
    for part in parts[1:]:
        check_same_truth(parts[0], part)
    return dataclasses.replace(parts[0], seeds=tuple(part.seeds[0] for part in parts), _seen={})


def _predictions(run: TrialRun, split: Split) -> TrackPredictions | None:
    if run.ending not in ("completed", "stopped"):
        return None
    data = artifact_bytes(run.summary.run_id, f"predictions/{split}.parquet")
    return None if data is None else parse_predictions(data)


def _together(folds: Sequence[TrackPredictions]) -> TrackPredictions:
    """The tracks of all folds of one seed; a pair of artists that was drawn twice is two rows of different names."""
    ids, seen = [], Counter[str]()
    for track in (i for f in folds for i in f.track_ids):
        seen[track] += 1
        ids.append(track if seen[track] == 1 else f"{track} ({seen[track]})")
    return TrackPredictions(
        ids, [g for f in folds for g in f.groups], np.concatenate([f.target for f in folds]),
        np.concatenate([f.probabilities for f in folds]), folds[0].classes,
    )  # fmt: skip


def common_tracks(ids: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Those that all have, in the order of the first."""
    others = [set(i) for i in ids[1:]]
    return tuple(track for track in ids[0] if all(track in other for other in others))


def aligned(predictions: Sequence[Predictions]) -> list[Predictions]:
    """Several candidates' predictions of the tracks that all of them have.

    Raises
    ------
    ConfigError
        If they have none in common, other classes, or other targets of the same tracks.
    """
    first = predictions[0]
    for other in predictions[1:]:
        if other.classes != first.classes:
            differing = sorted(set(first.classes) ^ set(other.classes))[:5]
            raise ConfigError(
                f"{first.label} ({first.candidate.name}) and {other.label} ({other.candidate.name}) predict different "
                f"classes, e.g. {differing}: compare runs on one version of the data set"
            )
    ids = common_tracks([a.track_ids for a in predictions])
    if not ids:
        named = " and ".join(f"{a.label} ({a.candidate.name})" for a in predictions[:3])
        raise ConfigError(
            f"{named} have no track in common, so that they cannot be compared on the same tracks: run them on one "
            "split of one data set (the same folds, split-seed and manifest)"
        )
    taken = [a.take(ids) for a in predictions]
    for other in taken[1:]:
        check_same_truth(taken[0], other)
    return taken


def check_same_truth(first: Predictions, second: Predictions) -> None:
    """Raise if targets of the same tracks differ; learned ones, such as artists' vectors, may."""
    if isinstance(first.task, Embedding):
        return
    a, b = first.target, second.target
    if a.shape != b.shape:
        raise ConfigError(f"the targets of {first.label} and {second.label} have shapes {a.shape} and {b.shape}")
    differ = np.flatnonzero((a != b).reshape(len(a), -1).any(axis=1))
    if len(differ):
        what = "pairs" if isinstance(first.task, Relations) else "tracks"
        raise ConfigError(
            f"{len(differ)} of {len(a)} {what} have another target in {second.label} ({second.candidate.name}) than in "
            f"{first.label} ({first.candidate.name}), e.g. {first.track_ids[differ[0]]!r}: they were labelled anew "
            "between the runs; train both on one version of the data set"
        )
