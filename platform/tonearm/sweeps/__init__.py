"""Sweeps: a search space is data, a trial is a plain function, Ray Tune runs many of them."""

from tonearm.sweeps.space import Choice, LogUniform, SearchSpace, Uniform

__all__ = ["Choice", "LogUniform", "SearchSpace", "Uniform"]
