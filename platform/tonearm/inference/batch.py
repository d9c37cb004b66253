"""Predictions for tracks whose features are stored: nothing is decoded or computed again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tonearm.audio.unchanged import require_unchanged
from tonearm.core import storage
from tonearm.core.errors import AudioError
from tonearm.core.types import Prediction
from tonearm.datasets.content import is_content
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble
from tonearm.features.base import Representation
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.features.store_copy import copy_to_node
from tonearm.inference.classify import Classifier
from tonearm.inference.member import StoredTrack, combine_members, predict_member
from tonearm.training.bundle import Bundle


def predict_tracks(classifier: Classifier, tracks: Sequence[Track], features: str, cache: str) -> list[Prediction]:
    """Classify and embed tracks from the feature stores.

    Parameters
    ----------
    features
        Folder or URI of the stores.
    cache
        Local folder for copies of remote stores.

    Raises
    ------
    StoreError
        If a representation of a track was never extracted.
    """
    stores = open_stores(classifier.features.values(), features, cache)
    members = classifier.ensemble.members
    return [
        combine_members(classifier.ensemble, [predict_member(m, stored_track(m, t.content, stores)) for m in members])
        for t in tracks
    ]


def open_stores(chosen: Iterable[Representation], features: str, cache: str) -> dict[str, FeatureStore]:
    """The stores of representations by their names, remote ones copied to this machine."""
    return {r.store_name(): FeatureStore(copy_to_node(store_uri(features, r), cache)) for r in chosen}


def is_store(uri: str) -> bool:
    """Whether anything was ever extracted there."""
    return storage.exists(storage.join(uri, "representation.json"))


class TrackReader:
    """What networks hear of tracks: as it is stored, else from their audio.

    Parameters
    ----------
    features, cache
        Folder or URI of the feature stores, of which any may be absent, and a local folder for copies of remote ones.
    """

    def __init__(self, features: str, cache: str) -> None:
        self._features, self._cache = features, cache
        self._stores: dict[str, FeatureStore] = {}

    def read(self, member: Bundle, content: str, source: str) -> tuple[StoredTrack, bool]:
        """What a member hears of a track, and whether it was stored.

        Raises
        ------
        AudioError
            If a track without features is no usable audio any more, or its file holds something else now.
        """
        stored = self.stored(member, content)
        if stored is not None:
            return stored, True
        alone = Classifier(Ensemble((member,), (1.0,), {}, (1.0,)))
        with same_throughout(source, content):
            return alone.hear(source)[member.config.clip], False

    def stored(self, member: Bundle, content: str) -> StoredTrack | None:
        """What a member hears of a track, if all of it is stored."""
        needed = {r.store_name(): r for r in member.config.audio_inputs().values()}
        for name, representation in needed.items():
            if name not in self._stores and is_store(store_uri(self._features, representation)):
                self._stores |= open_stores([representation], self._features, self._cache)
        key = track_key(content, member.config.clip)
        if all(name in self._stores and key in self._stores[name] for name in needed):
            return stored_track(member, content, self._stores)
        return None


@contextmanager
def same_throughout(source: str, content: str, stamp: str = "") -> Iterator[None]:
    """Check that a file holds what a content says before it is heard, and that it is the same one afterwards.

    Parameters
    ----------
    stamp
        Of a file elsewhere that the content was read of; "" where it is not known, so that only what is written
        meanwhile is seen.

    Raises
    ------
    AudioError
        ``changed`` if it does not, ``missing`` if it cannot be read.
    """
    if storage.is_local(source) or not stamp:
        stamp = storage.stamp(source)
    require_same(source, content)
    yield
    require_unchanged(source, stamp)


def require_same(source: str, content: str) -> None:
    """Check that a file on this machine holds what a content says; what lies elsewhere is not looked at.

    Raises
    ------
    AudioError
        ``changed`` if it does not, ``missing`` if it cannot be read.
    """
    if not storage.is_local(source):
        return
    try:
        same = is_content(storage.local_path(source), content)
    except OSError as error:
        raise AudioError("missing", f"{source} cannot be read: {error.strerror or error}") from None
    if not same:
        raise AudioError(
            "changed", f"{source} holds other audio than when its data set was prepared: prepare it again, or put the "
            "file back"
        )  # fmt: skip


def stored_track(member: Bundle, content: str, stores: dict[str, FeatureStore]) -> StoredTrack:
    """What a member hears of a track, by the digest of its file.

    Raises
    ------
    StoreError
        If it was never extracted.
    """
    key = track_key(content, member.config.clip)
    return {r.store_name(): stores[r.store_name()].read_clips(key) for r in member.config.audio_inputs().values()}
