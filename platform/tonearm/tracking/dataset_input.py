"""What MLflow shows of a run's data set: name, digest, place, and how many tracks each split has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tonearm.core import storage
from tonearm.tracking import names

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from tonearm.datasets.manifest import Track

MAX_DATASET_DIGEST = 36  # characters


def split_sizes(tracks: Iterable[Track]) -> dict[str, int]:
    """The tracks of each split that has any, in the order training, validation, test."""
    from tonearm.datasets.manifest import SPLITS  # lazy: it brings NumPy, and a wrong name is told before

    counts = Counter(t.split for t in tracks)
    return {split: counts[split] for split in SPLITS if counts[split]}


def dataset_input(name: str, signature: str, folder: str, splits: Mapping[str, int]) -> DatasetInput:
    """What a run is logged to have read: MLflow's column Dataset shows its name, digest and splits.

    Parameters
    ----------
    signature
        Of the data, of which MLflow keeps 36 characters.
    folder
        URI.
    splits
        The tracks of each.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind, source = "local" if storage.is_local(folder) else "remote", json.dumps({"uri": folder})
    given = Dataset(name, signature[:MAX_DATASET_DIGEST], kind, source, profile=json.dumps(dict(splits)))
    sizes = ", ".join(f"{split} {count}" for split, count in splits.items())
    return DatasetInput(given, [InputTag(names.CONTEXT, sizes)] if sizes else [])
