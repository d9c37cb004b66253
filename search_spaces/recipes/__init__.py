"""Recipes: the systems of the literature and ours, each a function without arguments. Found by name here."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.recipes import cifar, others, ours, whitell, whitell_artists
from tonearm.core.registry import Registry
from tonearm.training.recipe import Recipe

RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")
for _family in (whitell, cifar, whitell_artists, others, ours):
    for _name, _recipe in _family.RECIPES.items():
        RECIPES.add(_name, _recipe)
