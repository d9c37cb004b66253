"""Fields that many spaces vary, over the ranges that one would try first."""

from __future__ import annotations

from typing import Any

from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell import WHOLE_CLIP
from tonearm.features.base import Representation
from tonearm.features.presets import PRESETS
from tonearm.sweeps import Choice, LogUniform, Uniform
from tonearm.sweeps.domains import Domain, round_significant
from tonearm.training.config import WindowConfig
from tonearm.training.recipe import Recipe

Fields = dict[str, Domain]

DROPOUT: Fields = {"model.dropout": Uniform(0.0, 0.6)}
NORMALISATION: Fields = {"feature.normalisation": Choice("frame", "track", "training", "none")}  # extracts nothing anew
#: What any representation of audio bears; a gain only those in decibels or amplitudes.
AUGMENTATION: Fields = {
    "augment.time_masks": Choice(0, 1, 2),
    "augment.freq_masks": Choice(0, 1, 2),
    "augment.shift_share": Choice(0.0, 0.5),
    "augment.mixup_alpha": Choice(0.0, 0.2, 0.4),
}
GAIN: Fields = {"augment.gain_db": Choice(0.0, 3.0, 6.0)}
#: All of 30 s, and parts of it, at hop 1024; windows are frames, so that none of these spaces varies the hop as well.
#: Below 257 frames nothing would be left of Simple's maps on stft, below 241 of Time's on chroma and mfcc.
WINDOWS: Fields = {
    "window": Choice(
        WHOLE_CLIP,
        WindowConfig(frames=430, train_per_track=1, per_track=2),
        WindowConfig(frames=260, train_per_track=2, per_track=3),
    )
}
SWEPT_EPOCHS = 60
"""Of networks that are published with 200 and a patience of 20, at a constant rate: enough to rank them."""


def rates(published: float, decades: float = 0.7) -> LogUniform:
    """Learning rates so many decades below and above the published one: by default a fifth to five times as much.

    A scheduler judges after a share of the steps, at which far lower rates have learnt nothing yet.
    """
    factor = 10**decades
    return LogUniform(round_significant(published / factor), round_significant(published * factor))


def optimiser(lr: float, batch_sizes: tuple[int, ...], decades: float = 0.7) -> Fields:
    """Rate, batch size, optimiser and weight decay, around what was published; the schedule stays the base's."""
    return {
        "optim.lr": rates(lr, decades),
        "optim.batch_size": Choice(*batch_sizes),
        "optim.optimizer": Choice("adam", "adamw"),
        "optim.weight_decay": LogUniform(1e-6, 1e-2),
    }


def scheduled(lr: float, batch_sizes: tuple[int, ...], decades: float = 0.7) -> Fields:
    """The same, and the schedule of the rate: for trials that are trained to their end, as a cosine needs."""
    return {**optimiser(lr, batch_sizes, decades), "optim.schedule": Choice("constant", "cosine", "plateau")}


def changed(name: str, **changes: Any) -> Representation:
    """A representation by name with fields changed, and all of its frames."""
    return PRESETS[name].replace({"frames": None, **changes})


def only(recipe: str, *stages: str) -> Recipe:
    """A recipe without its other stages, the last of which is varied: of a mean of networks one is swept at a time."""
    whole = RECIPES[recipe]()
    kept = {s.name: s for s in whole.stages}
    return Recipe(
        whole.data, tuple(kept[name] for name in stages), whole.source, folds=whole.folds, grouped=whole.grouped,
        fractions=whole.fractions,
    )  # fmt: skip
