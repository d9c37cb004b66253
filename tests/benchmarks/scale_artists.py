"""A table of artists' vectors: steps by rows and by PyTorch's Adam, and what an epoch costs beside them.

``--part artists --tracks 109883`` is the published size: 800 numbers, rounds of 32, 16 and 1 artists a batch. Twenty
related artists each (made). Minutes an epoch are of CPU time, from some steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.scale import Step
from tests.builders import track
from tonearm.core.types import InputSpec
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import ArtistsFeature
from tonearm.models import ArtistTableConfig
from tonearm.models.base import Network
from tonearm.tasks import Relations
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.fit import State, fit
from tonearm.training.logits import on_device, predict_split
from tonearm.training.optim import build_optimizer, settle
from tonearm.training.relations import RelationExamples
from tonearm.training.trial import TrialFolder

DIMENSION, RELATED = 800, 20
SIZES = {32: 20, 16: 30, 1: 200}  # artists a batch: steps
DENSE_STEPS = 3


def steps(tracks: int, folder: Path) -> Iterator[Step]:
    """Learn so many artists' vectors."""
    config = TrialConfig(
        dataset=DatasetRef(name="artists"), feature=ArtistsFeature(artists=tracks), model=ArtistTableConfig(),
        task=Relations(dimension=DIMENSION), window=WindowConfig(frames=1), optim=OptimConfig(lr=1e-3),
    )  # fmt: skip
    examples = examples_of(config, tracks)
    network = config.model.build(InputSpec(1, tracks, 1), DIMENSION)
    dense = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for size in (32, 1):
        yield f"{size} a batch, dense", partial(trained, network, dense, examples, size, DENSE_STEPS)
    del dense
    by_rows = build_optimizer(network, config.optim)
    for size, count in SIZES.items():
        yield f"{size} a batch, by rows", partial(trained, network, by_rows, examples, size, count)
    yield "rows that wait", partial(settle, by_rows)
    yield "evaluation", partial(evaluated, network, examples)
    del by_rows
    few = FewSteps(config, examples)
    kept: list[State] = []
    yield "an epoch of 20 steps", partial(one_epoch, network, few, config, kept)
    yield "its state to disk", partial(TrialFolder(str(folder / "trial")).save, kept[0], [])


def examples_of(config: TrialConfig, artists: int) -> RelationExamples:
    """Artists with random related ones."""
    names = [f"artist {i:06d}" for i in range(artists)]
    related = np.random.default_rng(0).integers(0, artists, (artists, RELATED))
    made = [track(name, "", group=name) for name in names]
    return RelationExamples(config, made, ("vector",), Metadata(names, {"related": related}))


def trained(
    network: Network, optimizer: torch.optim.Optimizer, examples: RelationExamples, size: int, count: int
) -> Mapping[str, float]:
    """Some steps as ``training/fit.py`` makes them."""
    batches = examples.train(1, size)
    task, started = examples.config.task, 0.0
    for i, batch in enumerate(islice(batches, count + 2)):
        if i == 2:  # the first ones make the moments
            started = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        task.loss(network(on_device(batch.inputs, "cpu")), batch.targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    seconds = (time.process_time() - started) / count
    return {"ms_a_step": 1e3 * seconds, "minutes_an_epoch": seconds * examples.steps(size) / 60}


def evaluated(network: Network, examples: RelationExamples) -> Mapping[str, float]:
    """The predictions of all pairs and their metrics."""
    task = examples.config.task
    predictions = predict_split(network, task, examples, "validation")
    task.metrics(predictions, examples.targets("validation"), examples.groups("validation"))
    return {"pairs": len(predictions)}


class FewSteps(RelationExamples):
    """The first batches of an epoch, and the first pairs of the evaluation."""

    def __init__(self, config: TrialConfig, whole: RelationExamples) -> None:
        self.__dict__.update(whole.__dict__)
        pairs = whole._fixed[0]
        self.__dict__["_fixed"] = (pairs[:4096], np.resize(np.array([1.0, 0.0], dtype=np.float32), 4096))

    def steps(self, batch_size: int, least: int = 1) -> int:
        return 20

    def train(self, epoch: int, batch_size: int = 0, least: int = 1):  # type: ignore[no-untyped-def]
        return islice(super().train(epoch, batch_size, least), 20)


def one_epoch(network: Network, few: FewSteps, config: TrialConfig, kept: list[State]) -> None:
    """The loop with all that it keeps."""
    optim = OptimConfig(lr=1e-3, batch_size=32, epochs=1)
    kept += [report.state for report in fit(network, config.task, few, optim)]
