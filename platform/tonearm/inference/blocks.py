"""Predictions of many tracks, a network and a block of tracks at a time: what is written down is not computed again.

A block is ``<root>/<network>/<tracks>.npz``, named by digests: of the network's bundle, and of its tracks' contents.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import StoreError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Track
from tonearm.inference.batch import TrackReader
from tonearm.inference.member import MemberPrediction, predict_member
from tonearm.training.bundle import DESCRIPTION, WEIGHTS, Bundle, load_bundle

BLOCK = 64  # tracks: seconds of work, and files of some hundreds of kilobytes


@dataclass(frozen=True)
class Block:
    """What one network predicts of some tracks, in one file.

    Attributes
    ----------
    member
        URI of the network's bundle.
    uri
        Of the file.
    tracks
        In the order of its rows.
    """

    member: str
    uri: str
    tracks: tuple[Track, ...]

    def is_there(self) -> bool:
        return storage.exists(self.uri)

    def read(self) -> list[MemberPrediction]:
        """What was written down, a track each.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        try:
            kept = np.load(io.BytesIO(storage.read_bytes(self.uri)), allow_pickle=False)
            rows = zip(self.tracks, kept["probabilities"], kept["embeddings"], strict=True)
            return [MemberPrediction(probabilities, embedding) for _, probabilities, embedding in rows]
        except (ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(f"{self.uri} is damaged ({error}): delete it, then it is predicted again") from None

    def to_item(self) -> dict[str, str]:
        """As it travels to a worker."""
        return {"member": self.member, "uri": self.uri,
                "tracks": json.dumps([[t.content, t.source] for t in self.tracks])}  # fmt: skip


def plan_blocks(member: str, tracks: Sequence[Track], root: str) -> list[Block]:
    """The blocks of a network's predictions of tracks, in their order."""
    files = [storage.read_bytes(storage.join(member, name)) for name in (DESCRIPTION, WEIGHTS)]
    folder = storage.join(root, digest(*files))
    parts = [tuple(tracks[first : first + BLOCK]) for first in range(0, len(tracks), BLOCK)]
    return [Block(member, storage.join(folder, f"{digest([t.content for t in p])}.npz"), p) for p in parts]


class BlockPredictor:
    """Predicts blocks and writes them down; a worker of Ray Data, or called here.

    Parameters
    ----------
    features, cache
        Folder or URI of the feature stores, and a local folder for copies of remote ones.
    device
        Where networks compute.
    allowed_modules
        That bundles may have imported.
    """

    def __init__(self, features: str, cache: str, device: str = "cpu", allowed_modules: Sequence[str] = ()) -> None:
        self._reader, self._device = TrackReader(features, cache), device
        self._allowed = tuple(allowed_modules)
        self._members: dict[str, Bundle] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Columns of :meth:`Block.to_item`; of each the number of its tracks, and of those computed from audio."""
        columns = zip(batch["member"], batch["uri"], batch["tracks"], strict=True)
        found = [self.predict(str(member), str(uri), json.loads(tracks)) for member, uri, tracks in columns]
        return {"tracks": np.array([n for n, _ in found]), "from_audio": np.array([n for _, n in found])}

    def predict(self, member_uri: str, uri: str, tracks: Sequence[Sequence[str]]) -> tuple[int, int]:
        """Write one block, unless it is there; how many tracks, and how many lacked features, so that their audio was
        read.

        Raises
        ------
        AudioError
            If a track without features is no usable audio any more, or its file holds something else now.
        """
        if storage.exists(uri):
            return len(tracks), 0
        member = self._member(member_uri)
        answers, from_audio = [], 0
        for content, source in tracks:
            stored, was_stored = self._reader.read(member, content, source)
            answers.append(predict_member(member, stored, self._device))
            from_audio += not was_stored
        buffer = io.BytesIO()
        np.savez(buffer, probabilities=np.stack([a.probabilities for a in answers]),
                 embeddings=np.stack([a.embedding for a in answers]))  # fmt: skip
        storage.write_bytes(uri, buffer.getvalue())
        return len(tracks), from_audio

    def _member(self, uri: str) -> Bundle:
        if uri not in self._members:
            self._members = {uri: load_bundle(uri, self._allowed)}  # one at a time: blocks come network by network
            self._members[uri].network.to(self._device)
        return self._members[uri]
