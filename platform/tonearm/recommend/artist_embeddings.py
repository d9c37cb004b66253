"""Tables of artists' vectors: how well the neighbours in them are the related artists."""

from __future__ import annotations

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.seeding import derive_seed
from tonearm.datasets.manifest import Manifest
from tonearm.features.metadata import ArtistsFeature
from tonearm.models.artist_table import ArtistTable
from tonearm.tasks.pooling import unit_length
from tonearm.training.bundle import Bundle


def neighbour_overlap(vectors: np.ndarray, related: np.ndarray, rows_at_once: int = 1024) -> float:
    """The mean Jaccard overlap of each artist's related set with its equally many nearest neighbours by cosine.

    Parameters
    ----------
    vectors
        Float, (artists, dim).
    related
        Rows of the related artists, (artists, most), -1 where there are fewer.

    Returns
    -------
    float
        0..1, over the artists that have related ones; an artist is not its own neighbour (Whitell 2019's check).
    """
    unit = unit_length(vectors)
    counts = (related >= 0).sum(axis=1)
    overlaps = []
    for start in range(0, len(unit), rows_at_once):
        cosine = unit[start : start + rows_at_once] @ unit.T
        here = np.arange(len(cosine))
        cosine[here, start + here] = -np.inf
        most = min(int(counts.max()), cosine.shape[1] - 1)
        nearest = np.argpartition(-cosine, most - 1, axis=1)[:, :most]
        nearest = np.take_along_axis(nearest, np.argsort(-np.take_along_axis(cosine, nearest, 1), axis=1), 1)
        for row in here:
            n = int(counts[start + row])
            if n:
                own = set(related[start + row][related[start + row] >= 0].tolist())
                found = set(nearest[row, :n].tolist())
                overlaps.append(len(own & found) / len(own | found))
    return float(np.mean(overlaps)) if overlaps else 0.0


def overlap_of_table(bundle: Bundle, manifest: Manifest) -> dict[str, float]:
    """:func:`neighbour_overlap` of a trained table and of a random one of the same shape.

    Raises
    ------
    BundleError
        If the bundle holds no table of artists.
    """
    feature = bundle.config.feature
    if not isinstance(bundle.network, ArtistTable) or not isinstance(feature, ArtistsFeature):
        raise BundleError(f"a model of kind {bundle.config.model.kind!r} holds no table of artists")
    related = manifest.metadata.of(sorted(t.track_id for t in manifest.tracks), feature.column)
    vectors = bundle.network.table.weight.detach().cpu().numpy()
    chance = np.random.default_rng(derive_seed("random table", bundle.config.seed)).normal(size=vectors.shape)
    return {"table": neighbour_overlap(vectors, related), "random": neighbour_overlap(chance, related)}
