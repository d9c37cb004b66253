"""What no document describes: baselines, and what we train on a small collection of recordings."""

from __future__ import annotations

from collections.abc import Callable

from tonearm.datasets import FolderConfig
from tonearm.features import Chroma, Contrast, Mel, Mfcc
from tonearm.features.augment import AugmentConfig
from tonearm.features.base import Representation
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.presets import BLOCKS, as_representation
from tonearm.features.weights import registered_names
from tonearm.models import ModelConfig, TimeConfig
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


def listened() -> Recipe:
    """What the demo trains before its sweep: the stronger of the two for which all is there."""
    return blocks_pretrained() if "musicnn" in registered_names() else blocks()


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


def small_collection() -> Recipe:
    """For some hundreds of recordings: the blocks, and Time on 64 bands and windows of 10 s, much augmented.

    Each is calibrated on the validation split, and weighted by what their mixture loses there. Each epoch of Time takes
    three windows from anywhere in a clip; in evaluation five that cover it are averaged. What it lacks in data, masks,
    mixup and dropout have to make up for.
    """
    stages = (_blocks(), _windowed("time_mel", TimeConfig(dropout=0.3)))
    return Recipe(FolderConfig(), stages, "a recipe of our own", ensemble=True, weighted=True)


def _windowed(name: str, model: ModelConfig) -> Stage:
    config = TrialConfig(
        dataset=FOLDER,
        feature=Mel(n_mels=64),
        model=model,
        task=SingleLabel(),
        window=WindowConfig(seconds=10.0, train_per_track=3, per_track=5),
        optim=OptimConfig(lr=2e-3, batch_size=16, epochs=16, patience=20, schedule="cosine"),
        augment=AugmentConfig(time_masks=2, freq_masks=2, mixup_alpha=0.3),
    )
    return Stage(name, config)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "blocks": blocks,
    "blocks_pretrained": blocks_pretrained,
    "handcrafted": handcrafted,
    "majority": majority,
    "small_collection": small_collection,
}
