"""What no document describes: baselines, and what we train on a small collection of recordings."""

from __future__ import annotations

from collections.abc import Callable

from tonearm.core.errors import ConfigError
from tonearm.datasets import FolderConfig
from tonearm.features import Chroma, Contrast, Mel, Mfcc
from tonearm.features.augment import AugmentConfig
from tonearm.features.base import Representation
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.presets import BLOCKS, as_representation
from tonearm.features.weights import require_weights
from tonearm.models import TimeConfig
from tonearm.models.mean_kernel import MeanKernelConfig
from tonearm.tasks import SingleLabel
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.estimators import Majority, Svm
from tonearm.training.recipe import Recipe, Stage

FOLDER = DatasetRef(name="folder")


def handcrafted() -> Recipe:
    """Baseline: means and deviations of MFCC, spectral contrast and chroma in a support-vector machine."""
    return Recipe(FolderConfig(), (_handcrafted(),), "a baseline of our own")


def _handcrafted() -> Stage:
    features = (Mfcc(n_mfcc=21, frames=643), Contrast(frames=643), Chroma(frames=643))
    return Stage("handcrafted", BaselineConfig(dataset=FOLDER, features=features, estimator=Svm(), task=SingleLabel()))


def blocks() -> Recipe:
    """Sixteen summaries of a clip (timbre, attacks, fluctuation, harmony) and the mean of their kernels: solved in a
    moment, and stronger on some hundreds of recordings than networks that learn what to listen to."""
    return Recipe(FolderConfig(), (_blocks(),), "a recipe of our own")


def blocks_pretrained() -> Recipe:
    """The sixteen summaries and musicnn, a network that was trained to tag others' music, half the kernel each.

    It needs the network's weights: ``tonearm weights musicnn``.
    """
    return Recipe(FolderConfig(), (_blocks("musicnn"),), "a recipe of our own")


def small_collection() -> Recipe:
    """For some hundreds of recordings: the blocks, and musicnn with them where its weights are here.

    A network that learns what to listen to, such as ``time_augmented``, adds nothing to them that could be shown.
    """
    try:
        require_weights([as_representation("musicnn")])
    except ConfigError:
        return blocks()
    return blocks_pretrained()


def _blocks(encoder: str = "") -> Stage:
    """The blocks, and with them an encoder of the home's weights, which counts as much as all of them."""
    inputs: dict[str, Representation] = dict(BLOCKS)
    if encoder:
        inputs[encoder] = as_representation(f"{encoder}_moments")
    config = TrialConfig(
        dataset=FOLDER,
        feature=CompositeFeature(inputs=tuple(NamedFeature(name=name, feature=f) for name, f in inputs.items())),
        model=MeanKernelConfig(weights=f"{encoder}={len(BLOCKS)}" if encoder else ""),
        task=SingleLabel(),
        window=WindowConfig(train_per_track=1, per_track=1),
        optim=OptimConfig(epochs=1),
    )
    return Stage("blocks_pretrained" if encoder else "blocks", config)


def majority() -> Recipe:
    """Baseline: always the most frequent class."""
    config = BaselineConfig(dataset=FOLDER, features=(Mfcc(frames=643),), estimator=Majority(), task=SingleLabel())
    return Recipe(FolderConfig(), (Stage("majority", config),), "a baseline of our own")


def time_augmented() -> Recipe:
    """Time on 64 bands and windows of 10 s: what it lacks in data, masks, mixup and dropout have to make up for.

    Each epoch takes three windows from anywhere in a clip; in evaluation five that cover it are averaged.
    """
    config = TrialConfig(
        dataset=FOLDER,
        feature=Mel(n_mels=64),
        model=TimeConfig(dropout=0.3),
        task=SingleLabel(),
        window=WindowConfig(seconds=10.0, train_per_track=3, per_track=5),
        optim=OptimConfig(lr=2e-3, batch_size=16, epochs=16, patience=20, schedule="cosine"),
        augment=AugmentConfig(time_masks=2, freq_masks=2, mixup_alpha=0.3),
    )
    return Recipe(FolderConfig(), (Stage("time_mel", config),), "a recipe of our own")


RECIPES: dict[str, Callable[[], Recipe]] = {
    "blocks": blocks,
    "blocks_pretrained": blocks_pretrained,
    "handcrafted": handcrafted,
    "majority": majority,
    "small_collection": small_collection,
    "time_augmented": time_augmented,
}
