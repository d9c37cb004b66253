"""Some hundreds of recordings: what their lack of data has to be made up by."""

from __future__ import annotations

from search_spaces.fields import AUGMENTATION, DROPOUT, GAIN, Fields, only
from tonearm.features.augment import AugmentConfig
from tonearm.models import FreqConfig, TimeConfig
from tonearm.sweeps import Asha, Choice, Full, LogUniform, Population, SearchSpace, Tpe, Uniform
from tonearm.training.recipe import Recipe

MORE_AUGMENTATION: Fields = {
    **AUGMENTATION,
    **GAIN,
    "augment.time_mask_share": Uniform(0.05, 0.25),
    "augment.freq_mask_share": Uniform(0.05, 0.25),
    "task.label_smoothing": Uniform(0.0, 0.2),
}


def _time() -> Recipe:
    """On more bands than the recipe has: Freq's kernels need them."""
    return only("time_augmented", "time_mel").replace({"feature.n_mels": 128})


def small_collection() -> SearchSpace:
    """A small collection: model, window, normalisation, masks, dropout, sampling, rate; then tonearm select."""
    return SearchSpace(
        base=_time(),
        over={
            "model": Choice(TimeConfig(), FreqConfig()),
            "feature.n_fft": Choice(2048, 4096),
            "feature.normalisation": Choice("frame", "track"),
            "augment": Choice(AugmentConfig(), AugmentConfig(time_masks=2, freq_masks=2, mixup_alpha=0.3)),
            "model.dropout": Uniform(0.0, 0.5),
            "optim.sampling": Choice("all", "balanced"),
            "optim.lr": LogUniform(1e-3, 5e-3),
        },
        trials=16,
        search=Tpe(startup=8),
        scheduler=Asha(grace=1 / 3),  # what is augmented learns late: nobody is judged before a third
        seeding="own",
    )


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
        seeding="own",
    )


KERNEL: Fields = {
    "model.width": LogUniform(0.3, 3.0),
    "model.ridge": LogUniform(0.01, 1.0),
    "model.class_balance": Uniform(0.0, 1.0),
}


def blocks() -> SearchSpace:
    """A small collection, the mean kernel of sixteen summaries: how wide, how smooth, how fair to small classes."""
    return SearchSpace(
        base=only("blocks", "blocks"),
        over={**KERNEL, "model.landmarks": Choice(500, 5000)},
        trials=16,
        scheduler=Full(),
    )


def blocks_pretrained() -> SearchSpace:
    """A small collection, the blocks and musicnn (tonearm weights musicnn): how much each counts, how smooth."""
    return SearchSpace(
        base=only("blocks_pretrained", "blocks_pretrained"),
        over={**KERNEL, "model.weights": Choice("musicnn=8", "musicnn=16", "musicnn=32")},
        trials=16,
        scheduler=Full(),
    )


SPACES = {
    "blocks": blocks,
    "blocks_pretrained": blocks_pretrained,
    "small_collection": small_collection,
    "small_collection_population": small_collection_population,
}
