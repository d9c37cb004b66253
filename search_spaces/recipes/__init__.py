"""Recipes: the systems of the literature and ours, each a function without arguments. Importing this registers them.

A recipe is registered by standing in ``RECIPES`` of its module: name to function. Every module here has one.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from tonearm.training.recipe import RECIPES, find_recipe

__all__ = ["RECIPES", "find_recipe"]

for _found in pkgutil.iter_modules(__path__):
    _family = import_module(f"{__name__}.{_found.name}")
    if not hasattr(_family, "RECIPES"):
        raise ImportError(f"{_family.__name__} has no RECIPES: end it with RECIPES = {{'name': function}}")
    for _name, _recipe in _family.RECIPES.items():
        RECIPES.add(_name, _recipe)
