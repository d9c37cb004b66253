"""What a model answers of files, kept by their contents: a file that was heard once is not heard again.

The answers are a table of rows by content (:mod:`tonearm.features.row_store`) in a folder that is named by a digest of
the model and of the versions of the code that it hears with: another model has another table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tonearm.audio.decoders import DECODER_VERSION
from tonearm.core import storage
from tonearm.core.errors import AudioError, TonearmError
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combination import Combination
from tonearm.features.row_store import join_rows, read_rows, scan_rows, write_rows
from tonearm.inference.batch import TrackReader, same_throughout
from tonearm.inference.blocks import bundle_digest
from tonearm.inference.classify import Classifier
from tonearm.inference.member import combine_members, predict_member
from tonearm.pipelines.decoding import attempts_folder, decoding_attempt
from tonearm.pipelines.extract import TRANSIENT_REASONS
from tonearm.training.bundle import load_bundle

TABLE = "answers"
ROWS_AT_ONCE = 64  # that are taken out of Arrow's memory
FILES_AT_ONCE = 16  # that a worker hears before it writes: a kill loses so many


@dataclass(frozen=True)
class Answer:
    """What a model answers of a file, or why it cannot.

    Attributes
    ----------
    probabilities
        float32 (outputs,), in the order of the model's classes; empty of a file that it cannot hear.
    embedding
        float32 (dim,), as a prediction has it; empty of a file that it cannot hear.
    reason, detail
        Why it cannot hear the file; "" if it can.
    """

    probabilities: FloatArray
    embedding: FloatArray
    reason: str = ""
    detail: str = ""


class AnswerTable:
    """The answers of one model.

    Parameters
    ----------
    root
        Folder or URI of all predictions.
    members
        URIs of the model's bundles, a network each.
    combined
        How the networks are combined: :meth:`tonearm.ensembles.bundle.Ensemble.identity`.
    """

    def __init__(self, root: str, members: Sequence[str], combined: Sequence[Any]) -> None:
        model = digest([bundle_digest(m) for m in members], *combined, DECODER_VERSION)
        self.uri = storage.join(root, model)

    def read(self, contents: Iterable[str], embeddings: bool = True) -> dict[str, Answer]:
        """The answers that are there for files, by their contents; without embeddings these are empty.

        A failure that may be gone the next time (a file that could not be read, too little memory) is an answer, too.

        Raises
        ------
        StoreError
            If the table is damaged.
        """
        columns = [f.name for f in fields(Answer) if embeddings or f.name != "embedding"]
        return {content: _answer(row) for content, row in read_rows(self.uri, TABLE, contents, columns).items()}

    def lasting(self, contents: Iterable[str]) -> set[str]:
        """The contents whose answer would be the same if the file were heard again."""
        rows = read_rows(self.uri, TABLE, contents, ["reason"])
        return {content for content, row in rows.items() if row["reason"] not in TRANSIENT_REASONS}

    def embeddings(self, contents: Iterable[str]) -> Iterator[tuple[list[str], FloatArray]]:
        """Contents and embeddings (files, dim) of those that could be heard, some at a time, in no order; of a content
        perhaps more than once, the same."""
        for rows in scan_rows(self.uri, TABLE, contents, ["embedding"]):
            for batch in rows.to_batches(ROWS_AT_ONCE):
                heard = [(row["track_key"], row["embedding"]) for row in batch.to_pylist() if row["embedding"]]
                if heard:
                    yield [key for key, _ in heard], np.stack([np.frombuffer(data, np.float32) for _, data in heard])

    def join(self) -> None:
        """Join the small files that workers have written."""
        join_rows(self.uri, TABLE)


def _answer(row: Mapping[str, Any]) -> Answer:
    probabilities, embedding = (np.frombuffer(row.get(n, b""), np.float32) for n in ("probabilities", "embedding"))
    return Answer(probabilities, embedding, row["reason"], row["detail"])


def file_items(files: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Files, each its content, its path or URI, and its stamp or "", as they travel to workers, some at once."""
    parts = [files[first : first + FILES_AT_ONCE] for first in range(0, len(files), FILES_AT_ONCE)]
    return [{"files": json.dumps(part)} for part in parts]


class FilePredictor:
    """Hears files and writes the answers into a model's table; a worker of Ray Data, or called here.

    Parameters
    ----------
    members
        URIs of the model's bundles, a network each.
    weights, temperatures, combination
        As :class:`~tonearm.ensembles.bundle.Ensemble` has them, the combination as JSON has it.
    uri
        Of the table.
    features, cache
        Folder or URI of the feature stores, from which a file is taken that was extracted, and a local folder for
        copies of remote ones.
    attempts
        Identifier of this run, see :func:`tonearm.pipelines.decoding.attempts_folder`.
    allowed_modules
        That bundles may have imported.
    """

    def __init__(
        self, members: Sequence[str], weights: Sequence[float], temperatures: Sequence[float],
        combination: Mapping[str, Any], uri: str, features: str, cache: str, attempts: str,
        allowed_modules: Sequence[str] = (),
    ) -> None:  # fmt: skip
        bundles = tuple(load_bundle(member, tuple(allowed_modules)) for member in members)
        how = Combination.from_dict(combination)
        self._classifier = Classifier(Ensemble(bundles, tuple(weights), {}, tuple(temperatures), how))
        self._reader, self._uri, self._attempts = TrackReader(features, cache), uri, attempts_folder(attempts)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of :func:`file_items`; of each the number of its files."""
        counts = []
        for item in batch["files"]:
            rows = [self._row(*file) for file in json.loads(str(item))]
            write_rows(self._uri, TABLE, rows)
            counts.append(len(rows))
        return {"tracks": np.array(counts), "from_audio": np.zeros(len(counts), np.int64)}

    def _row(self, content: str, source: str, stamp: str) -> dict[str, Any]:
        """One odd file must not cost the answers of the others: whatever fails on it is its reason."""
        row: dict[str, Any] = {"track_key": content, "reason": "", "detail": "", "probabilities": b"", "embedding": b""}
        try:
            probabilities, embedding = self._predict(content, source, stamp)
            row |= {"probabilities": probabilities.tobytes(), "embedding": embedding.tobytes()}
        except AudioError as error:
            row |= {"reason": error.reason, "detail": error.detail}
        except TonearmError:
            raise  # of the model or the stores: no file could be classified
        except MemoryError as error:
            row |= {"reason": "out_of_memory", "detail": str(error) or "the decoded clip does not fit into memory"}
        except Exception as error:
            row |= {"reason": "unexpected_error", "detail": f"{type(error).__name__}: {error}"}
        return row

    def _predict(self, content: str, source: str, stamp: str) -> tuple[FloatArray, FloatArray]:
        """Probabilities and embedding; features that are stored are not computed again."""
        ensemble = self._classifier.ensemble
        stored = [self._reader.stored(member, content) for member in ensemble.members]
        if any(clips is None for clips in stored):
            with same_throughout(source, content, stamp), decoding_attempt(self._attempts, content):
                heard = self._classifier.hear(source)
            stored = [heard[member.config.clip] for member in ensemble.members]
        pairs = zip(ensemble.members, stored, strict=True)
        answer = combine_members(ensemble, [predict_member(m, clips) for m, clips in pairs if clips is not None])
        return answer.probabilities.astype(np.float32), answer.embedding.astype(np.float32)
