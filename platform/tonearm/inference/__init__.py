"""Inference: from audio to predictions, with nothing but a bundle. Serve and MLflow's pyfunc call it. No Ray."""

from pathlib import Path

from tonearm.inference.batch import predict_tracks
from tonearm.inference.classify import Classifier
from tonearm.inference.load import load, load_recommender
from tonearm.inference.model import Classification, Model, Recommendation
from tonearm.inference.recommend import Recommender

PYFUNC_CODE = Path(__file__).with_name("pyfunc_model.py")
"""What MLflow runs to load a registered model."""

__all__ = [
    "PYFUNC_CODE",
    "Classification",
    "Classifier",
    "Model",
    "Recommendation",
    "Recommender",
    "load",
    "load_recommender",
    "predict_tracks",
]
