"""Representations of audio: one config and one definition each, one engine for training and serving."""

from tonearm.features.base import Representation
from tonearm.features.contrast import Contrast
from tonearm.features.cqt import Chroma, Cqt
from tonearm.features.engine import extract
from tonearm.features.mel import Mel, Mfcc
from tonearm.features.presets import as_representation
from tonearm.features.raw import RawWaveform
from tonearm.features.stft import Stft, StftHalved

__all__ = [
    "Chroma",
    "Contrast",
    "Cqt",
    "Mel",
    "Mfcc",
    "RawWaveform",
    "Representation",
    "Stft",
    "StftHalved",
    "as_representation",
    "extract",
]
