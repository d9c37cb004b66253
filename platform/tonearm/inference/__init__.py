"""From audio to an answer, with nothing but a bundle: what Serve calls, and MLflow's pyfunc. No Ray."""

from tonearm.inference.batch import predict_tracks
from tonearm.inference.classify import Classifier
from tonearm.inference.load import load
from tonearm.inference.recommend import Recommender, load_recommender

__all__ = ["Classifier", "Recommender", "load", "load_recommender", "predict_tracks"]
