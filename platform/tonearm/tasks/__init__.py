"""Tasks: targets, loss, metrics, decoding, and the pooling of windows to tracks."""

from tonearm.tasks.base import Task
from tonearm.tasks.embedding import Embedding
from tonearm.tasks.metrics import Metric
from tonearm.tasks.multi_label import MultiLabel
from tonearm.tasks.playlists import Playlists
from tonearm.tasks.regression import Regression
from tonearm.tasks.relations import Relations
from tonearm.tasks.single_label import SingleLabel
from tonearm.tasks.tabular import Tabular

__all__ = [
    "Embedding",
    "Metric",
    "MultiLabel",
    "Playlists",
    "Regression",
    "Relations",
    "SingleLabel",
    "Tabular",
    "Task",
]
