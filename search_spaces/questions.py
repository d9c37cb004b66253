"""What the thesis left open, as grids with three seeds each, small enough for a laptop.

A grid compares like with like: whatever else varies is equal on both sides, and three seeds show
what varies by seed alone.
Each function names the command that shows its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.fields import Fields
from tonearm.features.augment import AugmentConfig
from tonearm.features.presets import PRESETS, THESIS_PRESETS
from tonearm.models import FreqConfig, ModelConfig, SimpleConfig, TimeConfig
from tonearm.sweeps import Choice, Full, Grid, SearchSpace
from tonearm.tasks import SingleLabel
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig

THESIS_MODELS: tuple[ModelConfig, ...] = (TimeConfig(), FreqConfig(), SimpleConfig())
#: 12 s: the least frames, in round numbers, on which all models exist on all representations.
WINDOW = WindowConfig(frames=260, train_per_track=3, per_track=3)
MASKS = AugmentConfig(time_masks=2, freq_masks=2)
MIXUP = AugmentConfig(mixup_alpha=0.3)


def question(over: Fields, changes: Mapping[str, Any] | None = None) -> SearchSpace:
    """A grid over a trial that a laptop trains in minutes."""
    base = TrialConfig(
        dataset=DatasetRef(name="scores"),
        feature=PRESETS["mel"],
        model=TimeConfig(),
        task=SingleLabel(),
        window=WINDOW,
        optim=OptimConfig(lr=2e-3, batch_size=8, epochs=24, patience=24, schedule="cosine"),
    )
    return SearchSpace(base=base.replace(changes or {}), over=over, search=Grid(), scheduler=Full(), seeds=3)


def time_or_simple() -> SearchSpace:
    """Long kernels or square ones, on each of the six representations; the thesis had no test of significance.

    ``tonearm compare SWEEP --by model --within feature.kind``
    """
    return question({
        "feature": Choice(*(PRESETS[name] for name in THESIS_PRESETS)),
        "model": Choice(*THESIS_MODELS),
    })  # fmt: skip


def window_length() -> SearchSpace:
    """Does a longer Fourier window help Freq, which hears harmony, and a shorter one Time, which hears attacks?

    ``tonearm compare SWEEP --by feature.n_fft --within model``
    """
    return question({
        "feature.n_fft": Choice(1024, 2048, 4096, 8192),
        "model": Choice(TimeConfig(), FreqConfig()),
    })  # fmt: skip


#: All have about 55 000 weights, the long ones as many in the first layer: kernels half as long, twice as many.
SHAPES: tuple[ModelConfig, ...] = (
    TimeConfig(divisors="2-48", long_width=1),
    TimeConfig(),
    TimeConfig(divisors="8-192", long_width=4),
    FreqConfig(),
    SimpleConfig(width=2),
)


def kernel_shape() -> SearchSpace:
    """Is it the kernels' shape or the number of weights? Five shapes in networks of one size, on mel and cqt.

    ``tonearm compare SWEEP --top 10``, and ``--by model --within feature.kind`` for Time, Freq and Simple
    """
    return question({"feature": Choice(PRESETS["mel"], PRESETS["cqt"]), "model": Choice(*SHAPES)})


def normalisation() -> SearchSpace:
    """Was scaling each frame by itself, a side effect in the thesis, a help or a loss? For Time and Simple.

    ``tonearm compare SWEEP --by feature.normalisation --within model``
    """
    return question({
        "feature": Choice(PRESETS["mel"], PRESETS["cqt"]),
        "feature.normalisation": Choice("frame", "track", "none"),
        "model": Choice(TimeConfig(), SimpleConfig()),
    })  # fmt: skip


def octave_resolution() -> SearchSpace:
    """How many bins an octave are worth their cost, for Time and for Freq?

    ``tonearm compare SWEEP --by feature.bins_per_octave --within model``
    """
    options = (PRESETS["cqt"].replace({"bins_per_octave": bins, "n_bins": 7 * bins}) for bins in (12, 24, 36))
    return question({"feature": Choice(*options), "model": Choice(TimeConfig(), FreqConfig())})


def seconds_heard() -> SearchSpace:
    """How long must a window be? 7.4, 15 and 30 of 30 s, with equally many seconds in all.

    ``tonearm compare SWEEP --by window.frames --within model``
    """
    windows = tuple(
        WindowConfig(frames=frames, train_per_track=parts, per_track=parts)
        for frames, parts in ((160, 4), (320, 2), (640, 1))
    )
    over: Fields = {"window": Choice(*windows), "model": Choice(TimeConfig(), SimpleConfig())}
    return question(over, {"window": windows[-1]})  # so that only tracks are taken that are long enough for all


def hop_length() -> SearchSpace:
    """How finely must time be seen? 12, 23 and 46 ms a frame, in windows of 12 s, of one Fourier window.

    ``tonearm compare SWEEP --by feature.hop --within model``
    """
    over: Fields = {"feature.hop": Choice(256, 512, 1024), "model": Choice(TimeConfig(), SimpleConfig())}
    changes = {"feature.frames": None, "window": WindowConfig(seconds=12.0, train_per_track=3, per_track=3)}
    return question(over, changes)


def augmentation() -> SearchSpace:
    """What do masks and mixup add, apart and together? No author of the sources had any.

    ``tonearm compare SWEEP --by augment.mixup_alpha --within model``, and ``--by augment.time_masks``
    """
    both = MASKS.replace({"mixup_alpha": MIXUP.mixup_alpha})
    return question({
        "augment": Choice(AugmentConfig(), MASKS, MIXUP, both),
        "model": Choice(TimeConfig(), SimpleConfig()),
    })  # fmt: skip


def batch_normalisation() -> SearchSpace:
    """Is Keras' batch normalisation, which the thesis had, better than torch's, which the recipes have?

    ``tonearm compare SWEEP --by model``
    """
    models = (model.replace({"batch_norm": name}) for model in THESIS_MODELS for name in ("torch", "keras"))
    return question({"model": Choice(*models)})


SPACES = {
    space.__name__: space
    for space in (
        time_or_simple, window_length, kernel_shape, normalisation, octave_resolution, seconds_heard, hop_length,
        augmentation, batch_normalisation,
    )
}  # fmt: skip
