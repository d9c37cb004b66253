"""The corpus of the demo: music rendered from scores, in parallel; nothing is downloaded."""

from tonearm.examples.dataset import ScoresConfig

__all__ = ["ScoresConfig"]
