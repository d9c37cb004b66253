"""Predictions for tracks whose features are stored: nothing is decoded or computed again."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core.types import Prediction
from tonearm.datasets.manifest import Track
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.features.store_copy import copy_to_node
from tonearm.inference.classify import Classifier


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
    stores = {
        name: FeatureStore(copy_to_node(store_uri(features, config), cache))
        for name, config in classifier.features.items()
    }
    return [
        classifier.predict_stored(
            {name: store.read_clips(track_key(t.content, classifier.clip)) for name, store in stores.items()}
        )
        for t in tracks
    ]
