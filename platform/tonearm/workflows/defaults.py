"""Defaults that functions and command lines share; importing them imports nothing else."""

MAX_REJECTED = 0.2
"""The largest share of a data set's recordings that may be unusable."""
