"""Neighbours of audio that the catalogue has never seen."""

from __future__ import annotations

from collections.abc import Collection

from tonearm.audio.sources import Source
from tonearm.core import storage
from tonearm.core.errors import BundleError
from tonearm.core.types import Prediction
from tonearm.inference.classify import Classifier
from tonearm.inference.load import fetch_model, load
from tonearm.recommend.index import DESCRIPTION, CatalogueIndex, Neighbour

CATALOGUE = "catalogue"  # folder in a bundle


class Recommender:
    """A classifier's embedding space with a catalogue in it."""

    def __init__(self, classifier: Classifier, index: CatalogueIndex) -> None:
        self.classifier, self.index = classifier, index

    def recommend(self, source: Source, k: int = 5) -> tuple[Prediction, list[Neighbour]]:
        """Classify encoded audio and find its neighbours.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        """
        prediction = self.classifier.predict(source)
        return prediction, self.index.search(prediction.embedding, k)


def load_recommender(uri: str, allowed_modules: Collection[str] = ()) -> Recommender:
    """Load a bundle that has a catalogue; ``allowed_modules`` as :func:`load` has them.

    Raises
    ------
    BundleError
        If it has none.
    """
    folder = fetch_model(uri)
    classifier = load(folder, allowed_modules)
    catalogue = storage.join(folder, CATALOGUE)
    if not storage.exists(storage.join(catalogue, DESCRIPTION)):
        raise BundleError(f"the model {uri} has no catalogue to recommend from: run the recommend job on it")
    return Recommender(classifier, CatalogueIndex.load(catalogue))
