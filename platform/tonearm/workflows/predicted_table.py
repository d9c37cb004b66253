"""The table of a back catalogue's answers, made a part at a time: no embedding is kept, and no cell but once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.recommend.doubt import is_doubted
from tonearm.recommend.neighbours import Neighbour
from tonearm.workflows.answer_table import Columns, answer_columns

if TYPE_CHECKING:
    from tonearm.inference.answers import Answer, AnswerTable
    from tonearm.recommend.doubt import HeardTracks
    from tonearm.recommend.library import IntArray, Library
    from tonearm.tasks.base import Task

CONTENT = "content"  # column of a library
ROWS = 1024  # of a part


@dataclass(frozen=True)
class Placed:
    """What the embeddings of some recordings say.

    Attributes
    ----------
    row_of
        By content the row of what follows.
    library
        In which neighbours were looked for; None: in none.
    places
        (recordings, k) in the library, nearest first; -1 where there are fewer.
    similarities
        float32 (recordings, k).
    heard
        Of each the share of training tracks that are no nearer to the others, float32 (recordings,); None: not known.
    """

    row_of: Mapping[str, int]
    library: Library | None
    places: IntArray
    similarities: FloatArray
    heard: FloatArray | None

    @property
    def most(self) -> int:
        """The most neighbours that one has."""
        return int((self.places >= 0).sum(axis=1).max(initial=0))

    def of(self, content: str) -> dict[str, Any]:
        """Of one recording its ``neighbours``, and where they are known ``heard`` and ``doubt``."""
        row, told, near = self.row_of[content], dict[str, Any](), list[Neighbour]()
        if self.library is not None:
            pairs = zip(self.places[row].tolist(), self.similarities[row].tolist(), strict=True)
            near = [Neighbour(similarity, self.library.row(place)) for place, similarity in pairs if place >= 0]
        if self.heard is not None:
            share = float(self.heard[row])
            told = {"heard": share, "doubt": "yes" if is_doubted(share) else "no"}
        return {"neighbours": near, **told}


def place_recordings(
    table: AnswerTable, contents: Sequence[str], library: Library | None, k: int, known: HeardTracks | None
) -> Placed:
    """Look for recordings that a model could hear among its training tracks, and for their neighbours.

    Parameters
    ----------
    contents
        Of the recordings.
    library
        Where it says the content of its rows, the same recording is no neighbour.
    k
        Neighbours of each.
    known
        The training tracks.
    """
    row_of = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    places, similarities = np.full((len(row_of), k), -1), np.zeros((len(row_of), k), np.float32)
    heard = None if known is None else np.zeros(len(row_of), np.float32)
    own = _own_places(library, row_of)
    batches = table.embeddings(row_of) if library is not None or known is not None else ()
    for keys, embeddings in batches:
        rows = [row_of[key] for key in keys]
        if known is not None and heard is not None:
            heard[rows] = known.heard(embeddings)
        if library is None:
            continue
        for key, row, embedding in zip(keys, rows, embeddings, strict=True):
            found = library.search(embedding, k + len(own[key])) if np.isfinite(embedding).all() else []
            near = [f for f in found if f.place not in own[key]][:k]
            places[row, : len(near)] = [f.place for f in near]
            similarities[row, : len(near)] = [f.similarity for f in near]
    return Placed(row_of, library, places, similarities, heard)


def _own_places(library: Library | None, contents: Collection[str]) -> Mapping[str, set[int]]:
    """By content where a library holds the same recording."""
    own: dict[str, set[int]] = defaultdict(set)
    held = library.column(CONTENT) if library is not None else None
    for place, content in enumerate(held if held is not None else ()):
        if content in contents:
            own[content].add(place)
    return own


def table_parts(
    files: Sequence[tuple[str, str]], tags: Mapping[str, Mapping[str, str | None]], answers: Mapping[str, Answer],
    task: Task, classes: Sequence[str], placed: Placed,
) -> Iterator[Columns]:  # fmt: skip
    """The table's rows, some at a time, all with the same columns.

    Parameters
    ----------
    files
        Of each row the file and its content.
    tags
        Title and artist of files that say them.
    answers, placed
        By contents.
    """
    nothing: dict[str, str | None] = {"title": None, "artist": None}
    for first in range(0, len(files), ROWS):
        part = files[first : first + ROWS]
        rows: list[dict[str, Any]] = [
            {"file": file, **placed.of(content), **tags.get(file, nothing)} for file, content in part
        ]
        values = np.stack([answers[content].probabilities for _, content in part])
        yield answer_columns(rows, task, classes, values, placed.most)
