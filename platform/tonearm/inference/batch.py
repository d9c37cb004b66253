"""Predictions for tracks whose features are stored: nothing is decoded or computed again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tonearm.core.types import Prediction
from tonearm.datasets.manifest import Track
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


def stored_track(member: Bundle, content: str, stores: dict[str, FeatureStore]) -> StoredTrack:
    """What a member hears of a track, by the digest of its file.

    Raises
    ------
    StoreError
        If it was never extracted.
    """
    key = track_key(content, member.config.clip)
    return {r.store_name(): stores[r.store_name()].read_clips(key) for r in member.config.audio_inputs().values()}
