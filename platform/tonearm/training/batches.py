"""Training batches and evaluation windows of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from tonearm.core.seeding import derive_seed
from tonearm.core.types import GroundTruth
from tonearm.datasets.manifest import Split, Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.augment import augment, draw_gains, step_seed
from tonearm.features.base import Representation
from tonearm.features.store import FeatureStore
from tonearm.models.base import WINDOWS_AT_ONCE, Inputs
from tonearm.tasks.base import Task
from tonearm.training.config import TrialConfig
from tonearm.training.readers import FittedTransform, Reader, StoreReader, WindowPosition, make_reader

__all__ = ["Batch", "Batches", "Examples", "truth_of"]

MADE_AT_ONCE = 8192  # tracks, of whose vectors something is made


@dataclass(frozen=True)
class Batch:
    """Examples, targets (batch, ...), and which tracks they are of.

    Where mixup is on, example i is ``mix`` of track i and ``1 - mix`` of one whose target is ``mixed_targets[i]``.
    """

    inputs: Inputs
    targets: torch.Tensor
    track_ids: Sequence[str]
    mixed_targets: torch.Tensor | None = None
    mix: float = 1.0


class Examples(Protocol):
    """What the loop and a trial need of a data set."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What the network's outputs stand for."""

    @property
    def fitted(self) -> dict[str, FittedTransform]:
        """What was fitted to each input's training split; kept in the bundle."""

    def ids(self, split: Split) -> list[str]:
        """The tracks of a split, in the order of :meth:`evaluation`."""

    def steps(self, batch_size: int, least: int) -> int:
        """Batches an epoch; a last one with fewer than ``least`` examples is left out."""

    def train(self, epoch: int, batch_size: int, least: int) -> Iterator[Batch]:
        """The training batches of an epoch, a function of seed and epoch alone."""

    def evaluation(self, split: Split) -> Iterator[tuple[Inputs, int]]:
        """The windows of all tracks of a split, in their order, and how many each of these tracks has."""

    def targets(self, split: Split) -> np.ndarray:
        """The targets of a split's tracks."""

    def groups(self, split: Split) -> list[str]:
        """The groups of a split's tracks."""


class TrackValues(Mapping[str, np.ndarray]):
    """Metadata of some tracks; a column is read when it is asked for."""

    def __init__(self, metadata: Metadata, tracks: Sequence[Track]) -> None:
        self._metadata, self._rows = metadata, metadata.rows(t.track_id for t in tracks)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._metadata:
            raise KeyError(name)
        return self._metadata.column(name).take(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._metadata)

    def __len__(self) -> int:
        return len(self._metadata.columns)


def truth_of(tracks: Sequence[Track], metadata: Metadata | None = None) -> GroundTruth:
    """What a task makes targets of."""
    values = TrackValues(metadata, tracks) if metadata is not None and len(metadata) else {}
    return GroundTruth([t.all_labels for t in tracks], [t.group for t in tracks], values)


def by_tracks(
    task: Task, tracks: Sequence[Track], metadata: Metadata, made: Callable[[GroundTruth], np.ndarray]
) -> np.ndarray:
    """What is made of the truth of each track by itself; of vectors some at a time, since that takes several copies."""
    if task.uses_labels or len(tracks) <= MADE_AT_ONCE:
        return made(truth_of(tracks, metadata))
    first = made(truth_of(tracks[:MADE_AT_ONCE], metadata))
    found = np.empty((len(tracks), *first.shape[1:]), first.dtype)
    found[: len(first)] = first
    for start in range(MADE_AT_ONCE, len(tracks), MADE_AT_ONCE):
        some = tracks[start : start + MADE_AT_ONCE]
        found[start : start + len(some)] = made(truth_of(some, metadata))
    return found


class Batches:
    """The batches of one data set for one trial.

    Order and positions of training windows are a function of seed, epoch and track id alone, so that a resumed trial
    sees what an undisturbed one would.

    Parameters
    ----------
    config
        Of the trial.
    tracks
        All tracks, with splits.
    names
        What the network's outputs stand for: see :meth:`Task.names`.
    stores
        Of the representation, or of each of them by its input's name; none where no input is audio.
    metadata
        Of the tracks.
    """

    def __init__(
        self,
        config: TrialConfig,
        tracks: Sequence[Track],
        names: Sequence[str],
        stores: FeatureStore | Mapping[str, FeatureStore] | None = None,
        metadata: Metadata | None = None,
    ) -> None:
        self.config, self._names, self.metadata = config, tuple(names), metadata if metadata is not None else Metadata()
        self._tracks: dict[str, list[Track]] = {}
        for t in sorted(tracks, key=lambda t: t.track_id):
            self._tracks.setdefault(t.split or "", []).append(t)
        by_name = {"": stores} if isinstance(stores, FeatureStore) else dict(stores or {})
        ordered = [t for split in self._tracks.values() for t in split]
        self.readers: dict[str, Reader] = {
            name: make_reader(feature, config, ordered, by_name.get(name), self.metadata)
            for name, feature in config.feature.named_inputs().items()
        }
        audio = [r for r in self.readers.values() if isinstance(r, StoreReader)]
        for reader in audio:
            reader.beside = [other for other in audio if other is not reader]
        # Windows are drawn in what has times: what sums a clip up is read whole.
        self._audio_reader = min(audio, key=lambda reader: reader.feature.is_whole) if audio else None
        self._targets: dict[str, np.ndarray] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    def ids(self, split: Split) -> list[str]:
        return [t.track_id for t in self.tracks(split)]

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, sorted by id."""
        return self._tracks.get(split, [])

    @property
    def fitted(self) -> dict[str, FittedTransform]:
        return {name: reader.fitted for name, reader in self.readers.items()}

    def targets(self, split: Split) -> np.ndarray:
        if split not in self._targets:
            task = self.config.task
            self._targets[split] = by_tracks(
                task, self.tracks(split), self.metadata, lambda truth: task.encode(truth, self.classes)
            )
        return self._targets[split]

    def groups(self, split: Split) -> list[str]:
        return [t.group for t in self.tracks(split)]

    def steps(self, batch_size: int, least: int = 2) -> int:
        return len(self._starts(batch_size, least))

    def train(self, epoch: int, batch_size: int = 0, least: int = 2) -> Iterator[Batch]:
        config, size = self.config, batch_size or self.config.optim.batch_size
        rng = np.random.default_rng(derive_seed("batches", config.seed, epoch))
        tracks, targets = self.tracks("train"), self.targets("train")
        order = self._order(rng)
        for step, start in enumerate(self._starts(size, least)):
            chosen = order[start : start + size]
            seed = step_seed(config.seed, epoch, step)
            gains = draw_gains(config.augment, len(chosen), seed)
            of = [tracks[i] for i in chosen]
            positions = [self._audio_reader.draw(t, rng) if self._audio_reader else WindowPosition() for t in of]
            inputs = {name: reader.read(of, positions, gains, seed) for name, reader in self.readers.items()}
            truth, ids = torch.from_numpy(targets[chosen]), [t.track_id for t in of]
            if not isinstance(config.feature, Representation):
                yield Batch(inputs.get("", inputs), truth, ids)
                continue
            augmented, mix = augment(inputs[""], config.augment, seed)
            yield Batch(augmented, truth, ids, truth[mix.partners], mix.weight) if mix else Batch(augmented, truth, ids)

    def evaluation(self, split: Split) -> Iterator[tuple[Inputs, int]]:
        waiting: list[dict[str, torch.Tensor]] = []
        for track in self.tracks(split):
            own = {name: reader.windows(track) for name, reader in self.readers.items()}
            if waiting and (_windows(own) != _windows(waiting[0]) or len(waiting) * _windows(own) >= WINDOWS_AT_ONCE):
                yield _joined(waiting)
                waiting = []
            waiting.append(own)
        if waiting:
            yield _joined(waiting)

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of the training tracks, one an example of the epoch."""
        repeated = np.repeat(np.arange(len(self.tracks("train"))), self.config.window.train_per_track)
        if self.config.optim.sampling == "all":
            return rng.permutation(repeated)
        strata = self.config.task.strata(self.targets("train"))
        names, index, counts = np.unique(strata, return_inverse=True, return_counts=True)
        share = 1.0 / (len(names) * counts[index])
        return rng.choice(len(strata), size=len(repeated), p=share / share.sum())

    def _starts(self, size: int, least: int) -> list[int]:
        examples = len(self.tracks("train")) * self.config.window.train_per_track
        return [s for s in range(0, examples, size) if examples - s >= least]


def _windows(own: Mapping[str, torch.Tensor]) -> int:
    return len(next(iter(own.values())))


def _joined(waiting: Sequence[Mapping[str, torch.Tensor]]) -> tuple[Inputs, int]:
    together = {name: torch.cat([own[name] for own in waiting]) for name in waiting[0]}
    return (together.get("", together)), _windows(waiting[0])
