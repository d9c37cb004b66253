"""Sweeps: a search space is data, a trial is a plain function, Ray Tune runs many of them."""

from tonearm.sweeps.domains import Choice, Integers, LogUniform, Uniform
from tonearm.sweeps.space import SearchSpace
from tonearm.sweeps.strategies import Asha, Full, Gp, Grid, Median, Population, Random, Tpe

__all__ = ["Asha", "Choice", "Full", "Gp", "Grid", "Integers", "LogUniform", "Median", "Population", "Random",
           "SearchSpace", "Tpe", "Uniform"]  # fmt: skip
