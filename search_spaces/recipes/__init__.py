"""Recipes: the systems of the literature and ours, each a function without arguments. Importing this registers them."""

from __future__ import annotations

from search_spaces.recipes import cifar, others, ours, whitell, whitell_artists
from tonearm.training.recipe import RECIPES, find_recipe

__all__ = ["RECIPES", "find_recipe"]

for _family in (whitell, cifar, whitell_artists, others, ours):
    for _name, _recipe in _family.RECIPES.items():
        RECIPES.add(_name, _recipe)
