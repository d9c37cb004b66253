"""Data set ``scores``, rendered in parallel. Pieces that are already rendered are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import AudioError, DatasetError
from tonearm.core.progress import Progress
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Reject, Track
from tonearm.examples.scores import PIECES_PER_REPERTOIRE, Piece, catalogue_pieces, piece_track, render, to_midi
from tonearm.pipelines.workers import WorkerStage, run_workers

RENDER_VERSION = 1  # raise it when rendering changes: everything is then made again


class Renderer:
    """A worker: writes ``<piece>.flac``, then ``<piece>.json``, which makes it complete."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.pieces = {p.piece_id: p for p in catalogue_pieces()}

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        ids = [str(i) for i in batch["piece_id"]]
        for piece_id in ids:
            self._make(self.pieces[piece_id])
        return {"piece_id": ids}

    def _make(self, piece: Piece) -> None:
        outcome: dict[str, Any] = {"recipe": _render_signature(piece)}
        try:
            midi = to_midi([piece])[piece.piece_id]
            if isinstance(midi, Exception):
                raise midi
            rendered = render(midi)
            audio = storage.join(self.folder, f"{piece.piece_id}.flac")
            storage.write_bytes(audio, rendered.audio)
            outcome |= {"content": digest(rendered.audio, size=16), "looped": rendered.looped}
        except AudioError as error:
            outcome |= {"reason": error.reason, "detail": error.detail}
        storage.write_json(storage.join(self.folder, f"{piece.piece_id}.json"), outcome)


def make_scores(folder: str, start: Callable[[], None] = lambda: None) -> tuple[list[Track], list[Reject]]:
    """Render what is missing and list the data set.

    Parameters
    ----------
    folder
        Any URI that all workers reach.
    start
        Called before workers are needed: where all is rendered, Ray need not be started.

    Returns
    -------
    Tracks without splits, :data:`~tonearm.examples.scores.PIECES_PER_REPERTOIRE` of each repertoire; and the pieces
    that failed, for which the catalogue's next ones were taken.

    Raises
    ------
    DatasetError
        If a repertoire runs out of spares.
    """
    queues: dict[str, list[Piece]] = defaultdict(list)
    for piece in catalogue_pieces():
        queues[piece.repertoire].append(piece)
    tracks: list[Track] = []
    rejects: list[Reject] = []
    have = dict.fromkeys(queues, 0)
    while open_repertoires := [r for r in queues if have[r] < PIECES_PER_REPERTOIRE]:
        chosen = []
        for repertoire in open_repertoires:
            needed = PIECES_PER_REPERTOIRE - have[repertoire]
            if len(queues[repertoire]) < needed:
                raise DatasetError(
                    f"repertoire {repertoire!r}: {have[repertoire]} of {PIECES_PER_REPERTOIRE} pieces rendered and "
                    f"{len(queues[repertoire])} spares left; rejects: {[r.detail for r in rejects][:3]}"
                )
            chosen += [queues[repertoire].pop(0) for _ in range(needed)]
        _render(folder, chosen, start)
        for piece in chosen:
            outcome = storage.read_json(storage.join(folder, f"{piece.piece_id}.json"))
            if "reason" in outcome:
                rejects.append(Reject(track_id=piece.piece_id, source=piece.collection, stage="render",
                                      reason=outcome["reason"], detail=outcome["detail"]))  # fmt: skip
            else:
                tracks.append(piece_track(piece, storage.join(folder, f"{piece.piece_id}.flac"), outcome["content"]))
                have[piece.repertoire] += 1
    return tracks, rejects


def _render(folder: str, pieces: Iterable[Piece], start: Callable[[], None]) -> None:
    done = {n.removesuffix(".json") for n in storage.list_files(folder, ".json")}
    missing = [p for p in pieces if p.piece_id not in done or not _is_current(folder, p)]
    if not missing:
        return
    start()
    # Neighbours in the catalogue take about equally long; dealt out, no worker is left with the long ones.
    items = [{"piece_id": p.piece_id} for p in sorted(missing, key=lambda p: digest(p.piece_id))]
    with Progress("pieces rendered", len(items)) as progress:
        for _ in run_workers(items, WorkerStage(Renderer, {"folder": folder}, batch_size=4)):
            progress.add()


def _is_current(folder: str, piece: Piece) -> bool:
    return bool(
        storage.read_json(storage.join(folder, f"{piece.piece_id}.json")).get("recipe") == _render_signature(piece)
    )


def _render_signature(piece: Piece) -> str:
    return digest(RENDER_VERSION, piece.collection, piece.number)
