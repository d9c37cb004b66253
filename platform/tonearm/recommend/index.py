"""The catalogue that a model is registered with: unit vectors and metadata of a data set's tracks.

::

    vectors.npy            float32 (tracks, dim), unit length
    tracks.json            a row a track, in the order of the vectors
    catalogue.json         format version and counts; written last

Earlier ones hold a graph beside, which is not read any more, and vectors of zeros where the model had no place for a
track: these are kept, but nothing finds them.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.descriptions import read_description
from tonearm.core.errors import BundleError
from tonearm.core.seeding import digest
from tonearm.core.text import list_examples
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.datasets.manifest import Track
from tonearm.recommend.library import BoolArray
from tonearm.recommend.memory import MemoryLibrary
from tonearm.recommend.neighbours import Neighbour, neighbours_of

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
DESCRIPTION = "catalogue.json"
TRACK_FIELDS = ("track_id", "title", "artist", "album", "label", "year", "place", "group", "split", "licence",
                "content", "recording", "source")  # fmt: skip


def catalogue_rows(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """What a catalogue says of tracks."""
    rows = [{k: v for k, v in asdict(t).items() if k in TRACK_FIELDS and v is not None} for t in tracks]
    return [row if row["recording"] else {k: v for k, v in row.items() if k != "recording"} for row in rows]


class CatalogueIndex:
    """Nearest neighbours by cosine among a data set's tracks.

    Attributes
    ----------
    placed
        bool (tracks,), whether a vector is not zero.
    library
        The same for recommenders, but for what has no place.

    Parameters
    ----------
    vectors
        float32 of shape (tracks, dim), unit length or zeros.
    tracks
        Metadata of each, in the same order.
    data
        Digest of the tracks' metadata and contents; "" if it is not known.
    """

    def __init__(self, vectors: FloatArray, tracks: Sequence[dict[str, Any]], data: str = "") -> None:
        self.vectors, self.tracks, self._data = vectors, list(tracks), data
        self.placed: BoolArray = np.any(vectors, axis=1)
        placed = [track for track, has in zip(self.tracks, self.placed, strict=True) if has]
        self.library = MemoryLibrary(vectors[self.placed], placed)

    @classmethod
    def build(
        cls, vectors: FloatArray, tracks: Sequence[Track], said: Sequence[Mapping[str, Any]] = ()
    ) -> CatalogueIndex:
        """Index tracks by their embeddings, (tracks, dim). Those that a network maps to zeros are left out, and told:
        nothing is near them. ``said``: what else is known of each, by the names of columns."""
        if len(vectors) != len(tracks) or len(tracks) == 0:
            raise BundleError(f"{len(vectors)} vectors for {len(tracks)} tracks: give one vector a track, at least one")
        nowhere = [t.track_id for t, vector in zip(tracks, vectors, strict=True) if not vector.any()]
        if nowhere:
            logger.warning(f"  {len(nowhere)} of {len(tracks)} tracks are left out of the catalogue, the model maps "
                           f"them to zeros: {list_examples(nowhere)}")  # fmt: skip
            placed: BoolArray = np.any(vectors, axis=1)
            vectors, tracks = vectors[placed], [t for t, has in zip(tracks, placed, strict=True) if has]
            said = [more for more, has in zip(said, placed, strict=True) if has] if said else ()
        rows = catalogue_rows(tracks)
        whole = [{**row, **more} for row, more in zip(rows, said, strict=True)] if said else rows
        return cls(unit_length(vectors), whole, data=_digest(rows, tracks))

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
            If the vector is of another model, or not finite.
        """
        return neighbours_of(self.library, vector, k, exclude)

    def save(self, uri: str) -> None:
        """Write the catalogue to a folder or URI."""
        vectors = io.BytesIO()
        np.save(vectors, self.vectors, allow_pickle=False)
        storage.write_bytes(storage.join(uri, "vectors.npy"), vectors.getvalue())
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
            index = cls(vectors, storage.read_json(storage.join(uri, "tracks.json")), described.get("data", ""))
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise BundleError(
                describe_unreadable(f"the catalogue at {uri}", error, "run the recommend job again")
            ) from error
        nowhere = [str(track["track_id"]) for track, has in zip(index.tracks, index.placed, strict=True) if not has]
        if nowhere:
            logger.warning(f"  {len(nowhere)} of {len(index.tracks)} tracks of the catalogue {uri} are never found: "
                           f"the model maps them to zeros, {list_examples(nowhere)}")  # fmt: skip
        return index


def _digest(rows: Sequence[dict[str, Any]], tracks: Sequence[Track]) -> str:
    return digest(_described(rows), [t.content for t in tracks])


def _described(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of tracks, but for their splits, their places, and their contents, which earlier rows lack."""
    return [{k: v for k, v in row.items() if k not in ("split", "group", "content", "source")} for row in rows]
