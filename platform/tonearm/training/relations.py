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
from tonearm.tasks.relations import Relations
from tonearm.training.batches import Batch
from tonearm.training.config import TrialConfig
from tonearm.training.readers import FittedTransform

ATTEMPTS = 20  # draws of a random artist who is not related; among so few artists that none is found, any other one
PAIRS_AT_ONCE = 4096
POPULARITY = 0.75  # power of how often artists are related to others, by which random ones may be drawn


class RelationExamples:
    """Batches of some artists with all their related ones, and random ones, as the task draws them.

    Every epoch draws other random artists; those of the evaluation stay. All pairs are trained on: the table
    itself is evaluated, which has no vector for an artist outside training, so both splits hold every related pair.
    Where the task holds artists of the test split out, these are all pairs of the others.

    Parameters
    ----------
    config
        Whose ``feature`` is :class:`ArtistsFeature`, whose ``task`` says how random artists are drawn (others than
        :class:`Relations` draw one, evenly), and whose ``batch_size`` counts artists.
    tracks
        One an artist.
    names
        Of the vector's numbers.
    metadata
        With the related artists of each.

    Attributes
    ----------
    artists
        Their ids, sorted: the rows of the table.
    related
        Rows of the artists that are related to each, int64 (artists, most), -1 where there are fewer.
    learned
        The same without those that are not learned from: all but those of artists who are held out.
    known
        Whether an artist's vector is learned, bool (artists,): all are, unless some are held out; then those that are
        not, and are related to another who is not.
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
        task = config.task if isinstance(config.task, Relations) else Relations()
        self.learned, self.known = self.related, np.ones(len(self.artists), dtype=bool)
        if task.held_out:
            tested = {t.track_id for t in tracks if t.split == "test"}
            self.learned, self.known = _without(self.related, np.array([i in tested for i in self.artists]))
        self._some, self._pool = np.flatnonzero((self.learned >= 0).any(axis=1)), np.flatnonzero(self.known)
        if not len(self._some):
            of = ", without those of the test split" if task.held_out else ""
            raise DatasetError(f"no artist has a related one{of}: there is nothing to learn from")
        self._negatives, self._drawn = task.negatives, None
        if task.sampling == "popularity":
            often = np.bincount(self.learned[self.learned >= 0], minlength=len(self.artists))[self._pool]
            popularity = often**POPULARITY
            self._drawn = np.cumsum(popularity / popularity.sum())

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
            pairs, target = self._pairs(order[start : start + size], rng, self._negatives, self._drawn)
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

    def _pairs(
        self, of: np.ndarray, rng: np.random.Generator, negatives: int = 1, shares: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs int64 (n, 2): all related ones of these artists, then ``negatives`` random ones for each; targets
        float32 (n,). ``shares`` add up to how often each artist is drawn, up to 1; None: evenly."""
        rows, columns = np.nonzero(self.learned[of] >= 0)
        left, right = of[rows], self.learned[of[rows], columns]
        many = len(self._pool)
        if many < 3:
            raise DatasetError(f"{many} artists: there is no unrelated one to tell apart, give at least 3")

        def draw(count: int) -> np.ndarray:
            if shares is None:
                return self._pool[rng.integers(0, many, count)]
            return self._pool[np.minimum(np.searchsorted(shares, rng.random(count), side="right"), many - 1)]

        asked = np.tile(left, negatives)
        drawn = draw(len(asked))
        for _ in range(ATTEMPTS):
            wrong = np.flatnonzero((drawn == asked) | (self.learned[asked] == drawn[:, None]).any(axis=1))
            if not len(wrong):
                break
            drawn[wrong] = draw(len(wrong))
        other = self._pool[(np.searchsorted(self._pool, drawn) + 1) % many]
        drawn = np.where(drawn == asked, other, drawn)  # related to all others: any but itself
        pairs = np.concatenate([np.stack([left, right], axis=1), np.stack([asked, drawn], axis=1)])
        target = np.zeros(len(pairs), dtype=np.float32)
        target[: len(left)] = 1
        return pairs, target


def _without(related: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The relations between artists that are not held out, -1 for all others; and the artists that have such."""
    kept = (related >= 0) & ~held_out[related] & ~held_out[:, None]
    known = kept.any(axis=1)
    known[related[kept]] = True
    return np.where(kept, related, -1), known


def places_of_artists(examples: RelationExamples, table: np.ndarray) -> np.ndarray:
    """Each artist's direction in a table, of unit length, (artists, dim).

    An artist whose vector was not learned, since those of the test split were held out, is folded in: it gets the mean
    direction of the known artists that it is related to. So a network's prediction has something to be compared with,
    and the table knows nothing of it. NaN where it is related to no known one.

    Parameters
    ----------
    table
        The rows, float (artists, dim).
    """
    rows: np.ndarray = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    for row in np.flatnonzero(~examples.known):
        others = examples.related[row]
        mean = rows[others[(others >= 0) & examples.known[others]]].sum(axis=0)
        length = np.linalg.norm(mean)
        rows[row] = mean / length if length > 0 else np.nan
    return rows
