"""Recommendation by what music sounds like: neighbours in the space of a model's embeddings."""

from tonearm.recommend.index import CatalogueIndex, Neighbour

__all__ = ["CatalogueIndex", "Neighbour"]
