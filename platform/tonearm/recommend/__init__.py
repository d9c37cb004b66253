"""Recommendation by what music sounds like: neighbours in the space of a model's embeddings."""

from tonearm.recommend.index import CatalogueIndex
from tonearm.recommend.library import Found, Library
from tonearm.recommend.neighbours import Neighbour

__all__ = ["CatalogueIndex", "Found", "Library", "Neighbour"]
