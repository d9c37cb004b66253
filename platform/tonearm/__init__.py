"""Tonearm: content-based music classification and recommendation.

The way the data goes, one direction only::

    manifest rows     datasets --+
    bytes   audio --> features --+-> pipelines --> training --> ensembles --+
                      models, tasks ------------------^   +--> recommend ---+-> inference --> serve
                                       sweeps drives training; tracking records it

From a notebook or a program::

    import tonearm

    data = tonearm.prepare("folder", root="~/Music", label="genre", features=["mel"])
    sweep = tonearm.sweep(space, data)
    tonearm.select(sweep)
    tonearm.compare(sweep).save("report.html")
    data = tonearm.load_data("music")  # another day
    tonearm.load("models:/tonearm-music@champion").classify("song.mp3")

Importing it imports nothing else: what is used is loaded then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tonearm.audio.windows import ClipConfig as ClipConfig
    from tonearm.inference.loading import load as load
    from tonearm.sweeps.find import spaces as spaces
    from tonearm.sweeps.space import SearchSpace as SearchSpace
    from tonearm.training.recipe import recipes as recipes
    from tonearm.workflows.classify import classify as classify
    from tonearm.workflows.compare import compare as compare
    from tonearm.workflows.compare import compare_outputs as compare_outputs
    from tonearm.workflows.factors import fit_artist_factors as fit_artist_factors
    from tonearm.workflows.index import index_library as index_library
    from tonearm.workflows.load_data import load_data as load_data
    from tonearm.workflows.map import map_catalogue as map_catalogue
    from tonearm.workflows.prepare import prepare as prepare
    from tonearm.workflows.prepared import PreparedData as PreparedData
    from tonearm.workflows.recommend import compare_recommenders as compare_recommenders
    from tonearm.workflows.recommend import evaluate_recommender as evaluate_recommender
    from tonearm.workflows.select import select as select
    from tonearm.workflows.sweep import sweep as sweep
    from tonearm.workflows.sweep_result import find_sweep as find_sweep
    from tonearm.workflows.train import train as train
    from tonearm.workflows.training_report import TrainingResult as TrainingResult

__version__ = "0.1.0"

_MODULES = {
    "ClipConfig": "tonearm.audio.windows",
    "PreparedData": "tonearm.workflows.prepared",
    "SearchSpace": "tonearm.sweeps.space",
    "TrainingResult": "tonearm.workflows.training_report",
    "classify": "tonearm.workflows.classify",
    "compare": "tonearm.workflows.compare",
    "compare_outputs": "tonearm.workflows.compare",
    "compare_recommenders": "tonearm.workflows.recommend",
    "evaluate_recommender": "tonearm.workflows.recommend",
    "find_sweep": "tonearm.workflows.sweep_result",
    "fit_artist_factors": "tonearm.workflows.factors",
    "index_library": "tonearm.workflows.index",
    "load": "tonearm.inference.loading",
    "load_data": "tonearm.workflows.load_data",
    "map_catalogue": "tonearm.workflows.map",
    "prepare": "tonearm.workflows.prepare",
    "recipes": "tonearm.training.recipe",
    "select": "tonearm.workflows.select",
    "spaces": "tonearm.sweeps.find",
    "sweep": "tonearm.workflows.sweep",
    "train": "tonearm.workflows.train",
}
"""What ``tonearm`` offers by name, and the module that holds it; the imports above are for type checkers alone."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tonearm' has no attribute {name!r}; it offers {', '.join(sorted(_MODULES))}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({"__version__", *_MODULES})
