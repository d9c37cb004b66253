"""Recipes and search spaces by name; a wrong name is told before they, and torch with them, are imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tonearm.core.known_names import remember_names, require_name

if TYPE_CHECKING:
    from tonearm.sweeps import SearchSpace
    from tonearm.training.recipe import Recipe


def find_recipe(name: str) -> Recipe:
    """A recipe by its registered name, or by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    require_name("recipe", name)
    from search_spaces.recipes import RECIPES, find_recipe

    remember_names("recipe", RECIPES)
    return find_recipe(name)


def find_space(name: str) -> SearchSpace:
    """A search space by its registered name, or by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    require_name("search space", name)
    from search_spaces import SPACES, find_space

    remember_names("search space", SPACES)
    return find_space(name)
