"""Neighbours of audio that the catalogue has never seen."""

from __future__ import annotations

from tonearm.audio.sources import Source
from tonearm.core.types import Prediction
from tonearm.inference.classify import Classifier
from tonearm.recommend.index import CatalogueIndex
from tonearm.recommend.neighbours import Neighbour


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
