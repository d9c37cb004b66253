"""Inference: from audio to predictions, with nothing but a bundle. Serve and MLflow's pyfunc call it. No Ray.

Importing it imports nothing else: who answers by id alone (:mod:`tonearm.inference.recommending`) needs no torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tonearm.inference.batch import predict_tracks as predict_tracks
    from tonearm.inference.classification import Classification as Classification
    from tonearm.inference.classify import Classifier as Classifier
    from tonearm.inference.explain import Explanation as Explanation
    from tonearm.inference.loading import load as load
    from tonearm.inference.loading import load_recommender as load_recommender
    from tonearm.inference.model import Model as Model
    from tonearm.inference.recommend import Recommender as Recommender
    from tonearm.inference.recommendation import Recommendation as Recommendation

PYFUNC_CODE = Path(__file__).with_name("pyfunc_model.py")
"""What MLflow runs to load a registered model."""

_MODULES = {
    "Classification": "classification",
    "Classifier": "classify",
    "Explanation": "explain",
    "Model": "model",
    "Recommendation": "recommendation",
    "Recommender": "recommend",
    "load": "loading",
    "load_recommender": "loading",
    "predict_tracks": "batch",
}
"""What it offers, and the module that holds it; the imports above are for type checkers alone."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(_MODULES))}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({"PYFUNC_CODE", *_MODULES})
