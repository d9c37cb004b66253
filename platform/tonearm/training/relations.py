"""Pairs of artists, related ones and random ones, for a table of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch

from tonearm.core.errors import DatasetError
from tonearm.core.seeding import derive_seed
from tonearm.datasets.manifest import Split, Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import ArtistsFeature
from tonearm.models.base import Inputs
from tonearm.training.batches import Batch
from tonearm.training.config import TrialConfig
from tonearm.training.readers import FittedTransform

ATTEMPTS = 20  # draws of a random artist who is not related; among so few artists that none is found, any other one
PAIRS_AT_ONCE = 4096


class RelationExamples:
    """Batches of some artists with all their related ones, and as many random ones.

    Every epoch draws other random artists; those of the evaluation stay. All pairs are trained on: the table
    itself is evaluated, which has no vector for an artist outside training, so both splits hold every related pair.

    Parameters
    ----------
    config
        Whose ``feature`` is :class:`ArtistsFeature` and whose ``batch_size`` counts artists.
    tracks
        One an artist.
    names
        Of the vector's numbers.
    metadata
        With the related artists of each.
    """

    def __init__(self, config: TrialConfig, tracks: Sequence[Track], names: Sequence[str], metadata: Metadata) -> None:
        if not isinstance(config.feature, ArtistsFeature):
            raise DatasetError(f"pairs of artists are made of the input 'artists', not of {config.feature.kind!r}")
        self.config, self._names = config, tuple(names)
        self.artists = sorted(t.track_id for t in tracks)
        self.related = metadata.of(self.artists, config.feature.column).astype(np.int64)
        if self.related.ndim != 2 or self.related.max() >= len(self.artists):
            raise DatasetError(
                f"the metadata column {config.feature.column!r} must list rows of the {len(self.artists)} artists, "
                "-1 for none"
            )
        self._some = np.flatnonzero((self.related >= 0).any(axis=1))
        if not len(self._some):
            raise DatasetError("no artist has a related one: there is nothing to learn from")

    @property
    def classes(self) -> tuple[str, ...]:
        return self._names

    @property
    def fitted(self) -> dict[str, FittedTransform]:
        return {}

    def steps(self, batch_size: int, least: int = 1) -> int:
        return -(-len(self._some) // batch_size)

    def train(self, epoch: int, batch_size: int = 0, least: int = 1) -> Iterator[Batch]:
        size = batch_size or self.config.optim.batch_size
        rng = np.random.default_rng(derive_seed("batches", self.config.seed, epoch))
        order = rng.permutation(self._some)
        for start in range(0, len(order), size):
            pairs, target = self._pairs(order[start : start + size], rng)
            names = [self.artists[i] for i in pairs[:, 0]]
            yield Batch(torch.from_numpy(pairs), torch.from_numpy(target), names)

    def evaluation(self, split: Split) -> Iterator[tuple[Inputs, int]]:
        pairs, _ = self._fixed
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            yield torch.from_numpy(pairs[start : start + PAIRS_AT_ONCE]), 1

    def targets(self, split: Split) -> np.ndarray:
        return self._fixed[1]

    def groups(self, split: Split) -> list[str]:
        return [self.artists[i] for i in self._fixed[0][:, 0]]

    def ids(self, split: Split) -> list[str]:
        return [f"{self.artists[a]} / {self.artists[b]}" for a, b in self._fixed[0]]

    @cached_property
    def _fixed(self) -> tuple[np.ndarray, np.ndarray]:
        return self._pairs(self._some, np.random.default_rng(derive_seed("random artists", self.config.seed)))

    def _pairs(self, of: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pairs int64 (2n, 2): all related ones of these artists, then as many random ones; targets float32 (2n,)."""
        rows, columns = np.nonzero(self.related[of] >= 0)
        left, right = of[rows], self.related[of[rows], columns]
        if len(self.artists) < 3:
            raise DatasetError(f"{len(self.artists)} artists: there is no unrelated one to tell apart, give at least 3")
        drawn = rng.integers(0, len(self.artists), len(left))
        for _ in range(ATTEMPTS):
            wrong = np.flatnonzero((drawn == left) | (self.related[left] == drawn[:, None]).any(axis=1))
            if not len(wrong):
                break
            drawn[wrong] = rng.integers(0, len(self.artists), len(wrong))
        drawn = np.where(drawn == left, (drawn + 1) % len(self.artists), drawn)  # related to all others: any but itself
        pairs = np.concatenate([np.stack([left, right], axis=1), np.stack([left, drawn], axis=1)])
        return pairs, np.repeat(np.array([1, 0], dtype=np.float32), len(left))
