"""Some hundreds of recordings: what their lack of data has to be made up by."""

from __future__ import annotations

from search_spaces.fields import AUGMENTATION, DROPOUT, GAIN, NORMALISATION, Fields, only, optimiser
from tonearm.models import FreqConfig, SimpleConfig, TimeConfig
from tonearm.sweeps import Asha, Choice, Full, LogUniform, Population, SearchSpace, Tpe, Uniform
from tonearm.training.config import WindowConfig
from tonearm.training.recipe import Recipe

MORE_AUGMENTATION: Fields = {
    **AUGMENTATION,
    **GAIN,
    "augment.time_mask_share": Uniform(0.05, 0.25),
    "augment.freq_mask_share": Uniform(0.05, 0.25),
    "task.label_smoothing": Uniform(0.0, 0.2),
}


def _time() -> Recipe:
    return only("small_collection", "time_mel")


def small_collection() -> SearchSpace:
    """A small collection: model, seconds, window length, hop, augmentation and optimiser; then tonearm select."""
    return SearchSpace(
        base=_time().replace({"feature.frames": None, "window.frames": 320}),  # the longest: who has it has all
        over={
            "clip.seconds": Choice(15.0, 30.0),
            "feature.n_fft": Choice(1024, 2048, 4096),
            "feature.hop": Choice(512, 1024),
            **NORMALISATION,
            # The longest fits 15 s at hop 1024; of fewer than 133 frames Simple would leave nothing.
            "window": Choice(*(
                WindowConfig(frames=f, train_per_track=3, per_track=5) for f in (160, 215, 320)
            )),
            "model": Choice(TimeConfig(), FreqConfig(), SimpleConfig()),
            **DROPOUT,
            **MORE_AUGMENTATION,
            "task.class_weights": Choice("none", "balanced"),
            "optim.sampling": Choice("all", "balanced"),
            **optimiser(2e-3, (8, 16, 32)),
        },
        trials=60,
        search=Tpe(startup=16),
        scheduler=Asha(),
    )  # fmt: skip


def small_collection_population() -> SearchSpace:
    """A small collection, a population of Time on mel: rates, dropout and augmentation change while it trains."""
    return SearchSpace(
        base=_time().replace({"optim.schedule": "constant", "optim.epochs": 32}),
        over={
            "optim.lr": LogUniform(3e-4, 1e-2),
            "optim.weight_decay": LogUniform(1e-6, 1e-2),
            "optim.batch_size": Choice(8, 16, 32),
            **DROPOUT,
            **MORE_AUGMENTATION,
        },
        trials=8,
        search=Population(generations=4),
        scheduler=Full(),
    )


SPACES = {"small_collection": small_collection, "small_collection_population": small_collection_population}
