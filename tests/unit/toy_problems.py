"""Problems that can be worked by hand: a line through the origin, fitted to given points in a given order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.builders import tiny_config, track
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Split, Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.base import Feature
from tonearm.features.metadata import TableFeature
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.tabular import TabularMlpConfig
from tonearm.tasks import Regression
from tonearm.training.batches import Batch, Batches
from tonearm.training.config import TrialConfig
from tonearm.training.fit import State
from tonearm.training.readers import FittedTransform
from tonearm.training.trial import TrialFolder

#: The loss is the mean of (prediction - y)^2.
SQUARES = Regression(target="y", squash="none", loss_kind="mse")


class Line(Network):
    """y = x . weight; of one weight w and the point x = 1, y = 0 the loss is w^2, its gradient 2 w.

    Attributes
    ----------
    types
        Of the outputs of every pass, with whether the network was learning.
    """

    def __init__(self, *weight: float, l2: float = 0.0) -> None:
        super().__init__()
        self.embedding_dim, self.l2 = len(weight), l2
        self.weight = nn.Parameter(torch.tensor(weight))
        self.types: list[tuple[bool, torch.dtype]] = []

    def embed(self, x: Inputs) -> Tensor:
        return one_input(x)

    def forward(self, x: Inputs) -> Tensor:
        out = one_input(x) @ self.weight[:, None]
        self.types.append((self.training, out.dtype))
        return out

    def penalty(self) -> Tensor | None:
        return self.l2 * self.weight.square().sum() if self.l2 else None


class Points:
    """Points in the same order every epoch; both splits hold all of them.

    Attributes
    ----------
    asked
        Epoch, batch size and fewest examples of every call.
    """

    classes = ("y",)

    def __init__(self, x: Sequence[Sequence[float]], y: Sequence[float]) -> None:
        self.x, self.y = torch.tensor(x), torch.tensor(y)[:, None]
        self.asked: list[tuple[int, int, int]] = []

    @property
    def fitted(self) -> dict[str, FittedTransform]:
        return {}

    def ids(self, split: Split) -> list[str]:
        return [f"point{i}" for i in range(len(self.y))]

    def groups(self, split: Split) -> list[str]:
        return self.ids(split)

    def targets(self, split: Split) -> np.ndarray:
        return self.y.numpy()

    def starts(self, size: int, least: int) -> list[int]:
        return [s for s in range(0, len(self.y), size) if len(self.y) - s >= least]

    def steps(self, batch_size: int, least: int) -> int:
        return len(self.starts(batch_size, least))

    def train(self, epoch: int, batch_size: int, least: int) -> Iterator[Batch]:
        self.asked.append((epoch, batch_size, least))
        for start in self.starts(batch_size, least):
            part = slice(start, start + batch_size)
            yield Batch(self.x[part], self.y[part], self.ids("train")[part])

    def evaluation(self, split: Split) -> Iterator[tuple[Inputs, int]]:
        yield self.x, 1


ONE_POINT = ([[1.0]], [0.0])


class Scripted(Regression):
    """Epochs are better as the script says, one letter each: ``+`` or ``-``."""

    script: str

    def metrics(
        self, predictions: FloatArray, target: np.ndarray, groups: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Also the number of the call, which stands for the epoch."""
        calls.append(self.script)
        return {**super().metrics(predictions, target), "call": float(len(calls))}

    def better(self, candidate: dict[str, float], incumbent: dict[str, float] | None) -> bool:
        return self.script[int(candidate["call"]) - 1] == "+"


calls: list[str] = []


def scripted(script: str) -> Scripted:
    """The squared error, with epochs that improve as told; the script begins anew."""
    calls.clear()
    return Scripted(target="y", squash="none", script=script)


def table_config(changes: dict[str, Any]) -> TrialConfig:
    """A trial on three numbers a track, an epoch of which takes milliseconds."""
    config = tiny_config({"feature": TableFeature(columns=("a", "b", "c")), "model": TabularMlpConfig(hidden="6")})
    return config.replace(changes)


def table_batches(config: TrialConfig, counts: tuple[int, ...] = (9, 6, 3)) -> Batches:
    """Noisy points around a centre of each class; of each class so many tracks for training, and two to validate."""
    tracks: list[Track] = []
    rows = []
    rng = np.random.default_rng(0)
    for c, count in enumerate(counts):
        for i in range(count + 2):
            tracks.append(track(f"{'xyz'[c]}{i:02d}", "xyz"[c], split="train" if i < count else "validation"))
            rows.append(np.eye(3)[c] + rng.normal(0, 0.7, 3))
    metadata = Metadata([t.track_id for t in tracks], dict(zip("abc", np.array(rows).T, strict=True)))
    return Batches(config, tracks, sorted({t.label for t in tracks}), metadata=metadata)


def through_a_file(root: Path, state: State) -> State:
    """What a trial that was killed finds of the state."""
    folder = TrialFolder(str(root / "state"))
    folder.save(state, [])
    found = folder.state()
    assert found is not None and found.pop("history") == []
    return found


#: Tracks without audio whose metadata are all that is known.
TRAIN, VALIDATION = ("t0", "t1", "t2"), ("v0",)
TRACKS = [track(i, split="train") for i in TRAIN] + [track(i, split="validation") for i in VALIDATION]


class AnyInput(TabularMlpConfig):
    """A model that refuses no shape: no network is built here."""

    def problems_with(self, inputs: Any, outputs: int) -> list[str]:
        return []


def metadata_batches(feature: Feature, columns: Mapping[str, Any], per_track: int = 1, seed: int = 0) -> Batches:
    """Three tracks to train with and one to validate, their metadata in this order."""
    config: TrialConfig = table_config(
        {"feature": feature, "model": AnyInput(), "window.train_per_track": per_track, "seed": seed}
    )
    return Batches(config, TRACKS, ["a"], metadata=Metadata([*TRAIN, *VALIDATION], columns))
