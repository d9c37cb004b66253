"""A searchable catalogue: unit vectors, metadata of each track, and Spotify's voyager for near neighbours.

::

    vectors.npy            float32 (tracks, dim), unit length
    tracks.json            a row a track, in the order of the vectors
    neighbours.voyager     the HNSW graph
    catalogue.json         format version and counts; written last
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import BundleError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Track
from tonearm.tasks.pooling import unit_length
from tonearm.training.bundle import read_description

FORMAT_VERSION = 1
DESCRIPTION = "catalogue.json"
TRACK_FIELDS = ("track_id", "title", "artist", "album", "label", "year", "place", "group", "split", "licence")


@dataclass(frozen=True)
class Neighbour:
    """A track with its cosine similarity (-1..1) to the query, and its metadata."""

    similarity: float
    track: dict[str, Any]


def catalogue_rows(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """What a catalogue says of tracks."""
    return [{k: v for k, v in asdict(t).items() if k in TRACK_FIELDS and v is not None} for t in tracks]


class CatalogueIndex:
    """Nearest neighbours by cosine.

    Parameters
    ----------
    vectors
        float32 of shape (tracks, dim), unit length.
    tracks
        Metadata of each, in the same order.
    graph
        As it was saved; None: it is built.
    data
        Digest of the tracks' metadata and contents; "" if it is not known.
    """

    def __init__(
        self, vectors: FloatArray, tracks: Sequence[dict[str, Any]], graph: bytes | None = None, data: str = ""
    ) -> None:
        import voyager

        self.vectors, self.tracks, self._data = vectors, list(tracks), data
        if graph is not None:
            self._graph = voyager.Index.load(io.BytesIO(graph))
        else:
            # Queries on a small catalogue may ask for all of it, so the graph is built wide.
            self._graph = voyager.Index(
                voyager.Space.Cosine, num_dimensions=vectors.shape[1], M=24, ef_construction=200, random_seed=1
            )
            self._graph.add_items(vectors, ids=list(range(len(vectors))), num_threads=1)  # one thread: reproducible

    @classmethod
    def build(cls, vectors: FloatArray, tracks: Sequence[Track]) -> CatalogueIndex:
        """Index tracks by their embeddings, (tracks, dim)."""
        if len(vectors) != len(tracks) or len(tracks) == 0:
            raise BundleError(f"{len(vectors)} vectors for {len(tracks)} tracks: give one vector a track, at least one")
        rows = catalogue_rows(tracks)
        return cls(unit_length(vectors), rows, data=_digest(rows, tracks))

    def is_of(self, tracks: Sequence[Track]) -> bool:
        """Whether it is of these tracks as they are: the same recordings, described alike, in this order.

        In which split they are does not matter: a champion of a cross-validation has others than the data set.
        """
        rows = catalogue_rows(tracks)
        return self._data == _digest(rows, tracks) if self._data else _described(self.tracks) == _described(rows)

    def search(self, vector: FloatArray, k: int = 5, exclude: str | None = None) -> list[Neighbour]:
        """The ``k`` nearest tracks, nearest first.

        Parameters
        ----------
        vector
            (dim,), of any length; zeros resemble nothing.
        exclude
            A track id to leave out: the query itself, when it is in the catalogue.

        Raises
        ------
        BundleError
            If the vector is of another model.
        """
        if vector.shape != (self.vectors.shape[1],):
            raise BundleError(
                f"the query has shape {vector.shape}, the catalogue {self.vectors.shape[1]} dimensions: "
                "use the model that it was made with"
            )
        if not vector.any():
            return []
        count = min(len(self.tracks), k + (exclude is not None))
        ids, distances = self._graph.query(vector, k=count, query_ef=min(len(self.tracks), max(100, 4 * count)))
        found = [Neighbour(1.0 - float(d), self.tracks[int(i)]) for i, d in zip(ids, distances, strict=True)]
        return [n for n in found if n.track["track_id"] != exclude][:k]

    def save(self, uri: str) -> None:
        """Write the catalogue to a folder or URI."""
        vectors, graph = io.BytesIO(), io.BytesIO()
        np.save(vectors, self.vectors, allow_pickle=False)
        self._graph.save(graph)
        storage.write_bytes(storage.join(uri, "vectors.npy"), vectors.getvalue())
        storage.write_bytes(storage.join(uri, "neighbours.voyager"), graph.getvalue())
        storage.write_json(storage.join(uri, "tracks.json"), self.tracks)
        storage.write_json(
            storage.join(uri, DESCRIPTION), {"format": FORMAT_VERSION, "tracks": len(self.tracks), "data": self._data}
        )

    @classmethod
    def load(cls, uri: str) -> CatalogueIndex:
        """Read a catalogue.

        Raises
        ------
        BundleError
            If it is missing, damaged or of another format version.
        """
        described = read_description(uri, DESCRIPTION, (FORMAT_VERSION,), "run the recommend job again")
        try:
            vectors = np.load(io.BytesIO(storage.read_bytes(storage.join(uri, "vectors.npy"))), allow_pickle=False)
            graph = storage.read_bytes(storage.join(uri, "neighbours.voyager"))
            return cls(vectors, storage.read_json(storage.join(uri, "tracks.json")), graph, described.get("data", ""))
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise BundleError(
                describe_unreadable(f"the catalogue at {uri}", error, "run the recommend job again")
            ) from error


def _digest(rows: Sequence[dict[str, Any]], tracks: Sequence[Track]) -> str:
    return digest(_described(rows), [t.content for t in tracks])


def _described(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of tracks, but for how they were split."""
    return [{k: v for k, v in row.items() if k not in ("split", "group")} for row in rows]
