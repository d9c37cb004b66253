"""Search spaces: each is a function without arguments that returns data. Importing this registers them.

A space is registered by standing in ``SPACES`` of its module: name to function. Every module here has one.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from tonearm.sweeps.find import SPACES, find_space

__all__ = ["SPACES", "find_space"]

HELPERS = ("fields", "recipes")  # modules that hold no spaces

for _found in pkgutil.iter_modules(__path__):
    if _found.name not in HELPERS:
        _family = import_module(f"{__name__}.{_found.name}")
        if not hasattr(_family, "SPACES"):
            raise ImportError(
                f"{_family.__name__} has no SPACES: end it with SPACES = {{'name': function}}, or list it in "
                f"HELPERS of {__name__} if it holds no spaces"
            )
        for _name, _space in _family.SPACES.items():
            SPACES.add(_name, _space)
