"""Predictions of many tracks, a network and a block of tracks at a time: what is written down is not computed again.

A block is ``<root>/<network>/<tracks>.npz``, named by digests: of the network's bundle and the versions of what it
hears, and of its tracks' contents.
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
from tonearm.core.errors import AudioError, StoreError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Track
from tonearm.inference.batch import TrackReader
from tonearm.inference.member import MemberPrediction, predict_member
from tonearm.training.bundle import DESCRIPTION, WEIGHTS, Bundle, load_bundle, read_config

PREDICTIONS_VERSION = 2  # 2: embeddings have a length
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

    def read(self) -> list[MemberPrediction | AudioError]:
        """What was written down, a track each; of one that the network cannot hear the reason.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        try:
            kept = np.load(io.BytesIO(storage.read_bytes(self.uri)), allow_pickle=False)
            problems = json.loads(str(kept["problems"])) if "problems" in kept else {}
            heard = [i for i in range(len(self.tracks)) if str(i) not in problems]
            rows = zip(heard, kept["probabilities"], kept["embeddings"], strict=True)
            found = {i: MemberPrediction(probabilities, embedding) for i, probabilities, embedding in rows}
            return [found[i] if i in found else AudioError(*problems[str(i)]) for i in range(len(self.tracks))]
        except (ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(f"{self.uri} is damaged ({error}): delete it, then it is predicted again") from None

    def to_item(self) -> dict[str, str]:
        """As it travels to a worker."""
        return {"member": self.member, "uri": self.uri,
                "tracks": json.dumps([[t.content, t.source] for t in self.tracks])}  # fmt: skip


def bundle_digest(member: str) -> str:
    """What a network answers by, as a name of predictions: its bundle, and the stores of what it hears, whose names
    change with the code that computes them; 16 hexadecimal characters. Modules that it needs are imported.

    Raises
    ------
    BundleError
        If it is missing, damaged or of another format version.
    """
    heard = sorted(r.store_name() for r in read_config(member).representations.values())
    return digest(*_bundle_files(member).values(), heard, PREDICTIONS_VERSION)


def _bundle_files(member: str) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(member, name)) for name in (DESCRIPTION, WEIGHTS)}


def share_bundle(member: str, root: str) -> str:
    """A copy of a network's bundle beside its predictions, where workers of all machines read it."""
    folder = storage.join(root, bundle_digest(member), "bundle")
    for name, data in _bundle_files(member).items():
        if not storage.exists(storage.join(folder, name)):
            storage.write_bytes(storage.join(folder, name), data)
    return folder


def plan_blocks(member: str, tracks: Sequence[Track], root: str) -> list[Block]:
    """The blocks of a network's predictions of tracks, in their order."""
    folder = storage.join(root, bundle_digest(member))
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
    keep_unusable
        Whether it is written down of a track that its audio cannot be used; else that is an error.
    """

    def __init__(
        self, features: str, cache: str, device: str = "cpu", allowed_modules: Sequence[str] = (),
        keep_unusable: bool = False,
    ) -> None:  # fmt: skip
        self._reader, self._device, self._keep_unusable = TrackReader(features, cache), device, keep_unusable
        self._allowed = tuple(allowed_modules)
        self._members: dict[str, Bundle] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Columns of :meth:`Block.to_item`; of each the number of its tracks, and of those computed from audio."""
        columns = zip(batch["member"], batch["uri"], batch["tracks"], strict=True)
        found = [self.predict(str(member), str(uri), json.loads(tracks)) for member, uri, tracks in columns]
        return {"tracks": np.array([n for n, _ in found]), "from_audio": np.array([n for _, n in found])}

    def predict(self, member_uri: str, uri: str, tracks: Sequence[Sequence[str]]) -> tuple[int, int]:
        """Write one block, unless it is there; how many tracks, and how many lacked features, so that their audio was
        read. Where such tracks are kept, the reason is written of a track whose audio cannot be used.

        Raises
        ------
        AudioError
            If they are not kept, and a track without features is no usable audio any more, or its file holds something
            else now.
        """
        if storage.exists(uri):
            return len(tracks), 0
        member = self._member(member_uri)
        answers, problems, from_audio = [], {}, 0
        for i, (content, source) in enumerate(tracks):
            try:
                stored, was_stored = self._reader.read(member, content, source)
                answers.append(predict_member(member, stored))
                from_audio += not was_stored
            except AudioError as error:
                if not self._keep_unusable:
                    raise
                problems[i] = (error.reason, error.detail)
        buffer, columns = io.BytesIO(), {}
        columns["probabilities"] = np.stack([a.probabilities for a in answers]) if answers else np.empty((0, 0))
        columns["embeddings"] = np.stack([a.embedding for a in answers]) if answers else np.empty((0, 0))
        if problems:
            columns["problems"] = np.array(json.dumps(problems))
        np.savez(buffer, **columns)  # type: ignore[arg-type]
        storage.write_bytes(uri, buffer.getvalue())
        return len(tracks), from_audio

    def _member(self, uri: str) -> Bundle:
        if uri not in self._members:
            self._members = {uri: load_bundle(uri, self._allowed)}  # one at a time: blocks come network by network
            self._members[uri].network.to(self._device)
        return self._members[uri]
