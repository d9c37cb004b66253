"""Data set ``scores``: the pieces that were rendered, as tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tonearm.core import home, storage
from tonearm.core.errors import DatasetError
from tonearm.core.text import command
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.manifest import Reject
from tonearm.examples.scores import PIECES_PER_REPERTOIRE, catalogue_pieces, piece_track


class ScoresConfig(DatasetConfig, kind="scores"):
    """The pieces that were rendered below ``root``, a folder or any URI; "" is a folder of the home."""

    def default_root(self) -> str:
        return storage.join(home.data_home("scores"), "audio")

    def make(self, start: Callable[[], None]) -> None:
        """Render the pieces that are missing, in parallel."""
        from tonearm.examples.render import make_scores  # which needs Ray

        make_scores(self.root or self.default_root(), start)

    def catalogue(self) -> Catalogue:
        """The first pieces of each repertoire; those that could not be rendered are rejected, spares in their place.

        Raises
        ------
        DatasetError
            If pieces are not rendered yet.
        """
        folder = self.root or self.default_root()
        there = set(storage.list_files(folder, ".json"))
        have: Counter[str] = Counter()
        tracks, rejects, lacking = [], [], 0
        for piece in catalogue_pieces():
            if have[piece.repertoire] == PIECES_PER_REPERTOIRE:
                continue
            have[piece.repertoire] += 1
            if f"{piece.piece_id}.json" not in there:
                lacking += 1
                continue
            made = storage.read_json(storage.join(folder, f"{piece.piece_id}.json"))
            if "reason" in made:
                have[piece.repertoire] -= 1
                rejects.append(Reject(track_id=piece.piece_id, source=piece.collection, stage="render",
                                      reason=made["reason"], detail=made["detail"]))  # fmt: skip
            else:
                tracks.append(piece_track(piece, storage.join(folder, f"{piece.piece_id}.flac"), made["content"]))
        if lacking:
            raise DatasetError(
                f"{lacking} pieces are not rendered in {folder}: run {command('extract', '--dataset', 'scores')} first"
            )
        return Catalogue("scores", "repertoire", tracks, rejects)
