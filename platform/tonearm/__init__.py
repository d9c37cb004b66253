"""Tonearm: content-based music classification and recommendation.

The way the data goes, one direction only::

    manifest rows     datasets --+
    bytes   audio --> features --+-> pipelines --> training --> ensembles --+
                      models, tasks ------------------^   +--> recommend ---+-> inference --> serve
                                       sweeps drives training; tracking records it

From a notebook or a program::

    import tonearm

    data = tonearm.prepare("folder", root="~/Music", label="genre", features=["mel"])

Importing it imports nothing else: what is used is loaded then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tonearm.audio.windows import ClipConfig as ClipConfig
    from tonearm.sweeps.find import spaces as spaces
    from tonearm.training.recipe import recipes as recipes
    from tonearm.workflows.prepare import prepare as prepare
    from tonearm.workflows.prepared import PreparedData as PreparedData

__version__ = "0.1.0"

_MODULES = {
    "ClipConfig": "tonearm.audio.windows",
    "PreparedData": "tonearm.workflows.prepared",
    "prepare": "tonearm.workflows.prepare",
    "recipes": "tonearm.training.recipe",
    "spaces": "tonearm.sweeps.find",
}
"""What ``tonearm`` offers by name, and the module that holds it; the imports above are for type checkers alone."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tonearm' has no attribute {name!r}; it offers {', '.join(sorted(_MODULES))}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
