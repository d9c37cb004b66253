"""Tables of artists' vectors: how well the neighbours in them are the related artists."""

from __future__ import annotations

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.seeding import derive_seed
from tonearm.core.unit_length import unit_length
from tonearm.datasets.manifest import Manifest
from tonearm.features.metadata import ArtistsFeature
from tonearm.models.artist_table import ArtistTable, Distance
from tonearm.training.bundle import Bundle
from tonearm.training.relations import RelationExamples


def neighbour_overlap(
    vectors: np.ndarray, related: np.ndarray, rows_at_once: int = 1024, distance: Distance = "cosine"
) -> float:
    """The mean Jaccard overlap of each artist's related set with its equally many nearest neighbours.

    Parameters
    ----------
    vectors
        Float, (artists, dim).
    related
        Rows of the related artists, (artists, most), -1 where there are fewer.
    distance
        By which artists are near.

    Returns
    -------
    float
        0..1, over the artists that have related ones; an artist is not its own neighbour (Whitell 2019's check).
    """
    space = unit_length(vectors) if distance == "cosine" else vectors
    half_squares = np.square(space).sum(axis=1) / 2 if distance == "euclidean" else None
    counts = (related >= 0).sum(axis=1)
    overlaps = []
    for start in range(0, len(space), rows_at_once):
        near = space[start : start + rows_at_once] @ space.T
        if half_squares is not None:  # then in the order of distances
            near = near - half_squares
        here = np.arange(len(near))
        near[here, start + here] = -np.inf
        most = min(int(counts.max()), near.shape[1] - 1)
        nearest = np.argpartition(-near, most - 1, axis=1)[:, :most]
        nearest = np.take_along_axis(nearest, np.argsort(-np.take_along_axis(near, nearest, 1), axis=1), 1)
        for row in here:
            n = int(counts[start + row])
            if n:
                own = set(related[start + row][related[start + row] >= 0].tolist())
                found = set(nearest[row, :n].tolist())
                overlaps.append(len(own & found) / len(own | found))
    return float(np.mean(overlaps)) if overlaps else 0.0


def overlap_of_table(bundle: Bundle, manifest: Manifest) -> dict[str, float]:
    """:func:`neighbour_overlap` of a trained table and of a random one of the same shape, by the table's own distance;
    where that is no cosine, of its directions, too, which are what later stages learn. It is that of the artists whose
    vectors were learned, among each other.

    Raises
    ------
    BundleError
        If the bundle holds no table of artists.
    """
    feature = bundle.config.feature
    if not isinstance(bundle.network, ArtistTable) or not isinstance(feature, ArtistsFeature):
        raise BundleError(f"a model of kind {bundle.config.model.kind!r} holds no table of artists")
    examples = RelationExamples(bundle.config, manifest.tracks, (), manifest.metadata)
    known = np.flatnonzero(examples.known)
    place = np.full(len(examples.artists) + 1, -1)  # the last is that of -1
    place[known] = np.arange(len(known))
    related = place[examples.learned[known]]
    vectors = bundle.network.table.weight.detach().cpu().numpy()[known]
    chance = np.random.default_rng(derive_seed("random table", bundle.config.seed)).normal(size=vectors.shape)
    own = bundle.network.distance
    found = {"table": neighbour_overlap(vectors, related, distance=own)}
    if own != "cosine":
        found["its directions"] = neighbour_overlap(vectors, related)
    return {**found, "random": neighbour_overlap(chance, related, distance=own)}
