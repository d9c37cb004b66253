"""Genre from Spotify's audio features: minutes a trial, so many trials."""

from __future__ import annotations

from search_spaces.fields import DROPOUT, optimiser, scheduled
from search_spaces.recipes import RECIPES
from tonearm.sweeps import Choice, Full, LogUniform, SearchSpace, Tpe, Uniform


def tabular() -> SearchSpace:
    """Genre from a table: layers, embedding, scaling, schedule and optimiser; what ten hidden units leave behind."""
    return SearchSpace(
        base=RECIPES["tabular"](),
        over={
            "feature.scaling": Choice("minmax", "standard"),
            "model.hidden": Choice("10", "32", "128", "128,64", "384,384"),
            "model.embedding": Choice("none", "periodic"),
            "model.activation": Choice("relu", "tanh"),
            "model.batch_norm": Choice(False, True),
            **DROPOUT,
            **optimiser(1e-4, (5, 16, 64)),
            "optim.lr": LogUniform(1e-5, 3e-3),
            "optim.schedule": Choice("staircase", "exponential", "cosine"),
            "optim.halve_every": Choice(5.0, 10.0, 20.0),
        },
        trials=50,
        search=Tpe(startup=12),
        scheduler=Full(),  # as below
    )


def tabular_wide() -> SearchSpace:
    """Genre from a table, the wide network: layers, embedding, dropout and optimiser; how rough it may be."""
    return SearchSpace(
        base=RECIPES["tabular_wide"](),
        over={
            "model.hidden": Choice("384,384", "256,256,256", "512,512", "768"),
            "model.frequencies": Choice(12, 24, 48),
            "model.frequency_scale": LogUniform(0.01, 1.0),
            "model.embedding_dim": Choice(6, 12, 24),
            "model.dropout": Uniform(0.1, 0.6),
            "task.class_weights": Choice("none", "balanced"),
            **scheduled(5e-4, (128, 256, 512)),
        },
        trials=50,
        search=Tpe(startup=12),
        scheduler=Full(),  # a cosine schedule is compared at its end, and a trial takes minutes
    )


SPACES = {"tabular": tabular, "tabular_wide": tabular_wide}
