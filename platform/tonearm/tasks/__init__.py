"""Tasks: what is learnt from a label. Loss, metrics, decoding, and windows pooled to tracks."""

from tonearm.tasks.base import Task
from tonearm.tasks.single_label import SingleLabel

__all__ = ["SingleLabel", "Task"]
