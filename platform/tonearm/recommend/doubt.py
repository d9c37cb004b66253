"""Whether a recording sounds like what a model has learned from, by its nearest training tracks.

A model answers whatever it hears, a tone or speech as well. What it learned from lies near other such tracks in its
embedding; what lies farther from them than nearly every training track lies from those of other groups was never heard.
Nearness is the product of embeddings: the cosine, or of a mean kernel the kernel, which falls to 0 far from all tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray

FILE = "heard.safetensors"  # in a bundle
FORMAT_VERSION = "1"
NEIGHBOURS = 5
MOST = 20_000  # tracks, which are drawn of more: 40 MB at 1 024 numbers a track
DOUBTFUL = "doubtful: it sounds like nothing that the model has learned from"
UNHEARD = 0.01  # of the training tracks, and no more, are as far: such a recording is doubted
ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class HeardTracks:
    """The training tracks of a model in its embedding.

    Attributes
    ----------
    vectors
        float32 (tracks, dim), of length 1 or less.
    nearness
        Of each track the mean product with the nearest tracks of other groups, float32 (tracks,), ascending.
    """

    vectors: FloatArray
    nearness: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, groups: Sequence[str], seed: int = 0) -> HeardTracks:
        """Measure training tracks.

        Parameters
        ----------
        vectors
            (tracks, dim), as the model embeds them.
        groups
            Of the tracks; those of one group do not make each other near.

        Raises
        ------
        ConfigError
            If there is no vector, one is not finite, or all are of one group.
        """
        if len(vectors) != len(groups) or len(set(groups)) < 2:
            raise ConfigError(f"{len(vectors)} vectors of {len(set(groups))} groups: give one a track, of two groups")
        if not np.isfinite(vectors).all():
            raise ConfigError("a training track's vector is not finite: train the model again")
        chosen = np.sort(np.random.default_rng(derive_seed("heard", seed)).permutation(len(vectors))[:MOST])
        # As they are kept, so that a model that was loaded measures the same.
        kept = vectors[chosen].astype(np.float16).astype(np.float32)
        place = np.unique(np.asarray(groups)[chosen], return_inverse=True)[1]
        return cls(kept, np.sort(_nearness(kept, kept, place)))

    def heard(self, vectors: FloatArray) -> FloatArray:
        """Of recordings the share of training tracks that are no nearer to the others, float32 (recordings,), 0..1.

        Of music like the training tracks it is spread evenly; near 0 the recording sounds like none of them.

        Parameters
        ----------
        vectors
            (recordings, dim), as the model embeds them.

        Raises
        ------
        BundleError
            If the vector is of another model.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.vectors.shape[1]:
            raise BundleError(
                f"vectors of shape {vectors.shape} for training tracks of {self.vectors.shape[1]} numbers each: they "
                "are of another model; select it again"
            )
        near = _nearness(vectors.astype(np.float32), self.vectors)
        share: FloatArray = (np.searchsorted(self.nearness, near, side="right") / len(self.nearness)).astype(np.float32)
        return share

    def save(self, folder: str) -> None:
        """Write them into a bundle."""
        from safetensors.numpy import save

        tensors: dict[str, np.ndarray] = {"vectors": self.vectors.astype(np.float16), "nearness": self.nearness}
        storage.write_bytes(storage.join(folder, FILE), save(tensors, metadata={"format": FORMAT_VERSION}))


def read_heard_tracks(folder: str) -> HeardTracks | None:
    """Those of a bundle; None of one that does not know them: a trial's own, or of an earlier version.

    Raises
    ------
    BundleError
        If the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    uri = storage.join(folder, FILE)
    if not storage.exists(uri):
        return None
    try:
        found = load(storage.read_bytes(uri))
        vectors, nearness = found["vectors"].astype(np.float32), found["nearness"].astype(np.float32)
        if vectors.ndim != 2 or nearness.shape != vectors.shape[:1] or not len(vectors):
            raise ValueError(f"vectors of shape {vectors.shape}, nearness of shape {nearness.shape}")
        if not (np.isfinite(vectors).all() and np.isfinite(nearness).all()):
            raise ValueError("its numbers are not finite")
    except (KeyError, ValueError, SafetensorError) as error:
        raise BundleError(f"{uri} is damaged: {error}. Select the model again, or delete the file") from error
    return HeardTracks(vectors, np.sort(nearness))


def is_doubted(heard: float | None) -> bool | None:
    """Whether an answer is to be doubted, by what :meth:`HeardTracks.heard` says; None where nothing is known."""
    return None if heard is None else heard < UNHEARD


def _nearness(queries: FloatArray, vectors: FloatArray, groups: np.ndarray | None = None) -> FloatArray:
    """Of each query the mean product with its nearest vectors, (queries,); of other groups, where these are given."""
    found = []
    for first in range(0, len(queries), ROWS_AT_ONCE):
        products = queries[first : first + ROWS_AT_ONCE] @ vectors.T
        if groups is not None:
            products[groups[first : first + ROWS_AT_ONCE, None] == groups[None]] = np.nan
        nearest = -np.sort(-products, axis=1)[:, :NEIGHBOURS]  # NaN comes last
        found.append(np.nanmean(nearest, axis=1))
    means: FloatArray = np.concatenate(found).astype(np.float32)
    return means
