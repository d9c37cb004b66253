"""The corpus of the demo: music rendered from scores, in parallel; nothing is downloaded."""

from tonearm.examples.scores import ScoresConfig

__all__ = ["ScoresConfig"]
