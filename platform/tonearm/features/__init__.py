"""Representations of audio: one config and one definition each, one engine for training and serving."""

from tonearm.features.base import Representation
from tonearm.features.engine import extract, resolve
from tonearm.features.mel import Mel

__all__ = ["Mel", "Representation", "extract", "resolve"]
