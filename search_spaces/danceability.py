"""Danceability, or any other number of a song: two networks on waveforms, two on spectrograms."""

from __future__ import annotations

from search_spaces.fields import DROPOUT, Fields, optimiser
from search_spaces.recipes import RECIPES
from tonearm.sweeps import Choice, Median, SearchSpace, Tpe
from tonearm.training.config import WindowConfig

OPTIMISER: Fields = {
    **optimiser(1e-3, (4, 8, 16, 32)),  # the source tried SGD, too, whose rates are some ten times Adam's
    "task.loss_kind": Choice("mse", "mae", "huber"),
}
HIDDEN = Choice("256,64", "128", "512,128")
MASKS: Fields = {"augment.time_masks": Choice(0, 1, 2), "augment.mixup_alpha": Choice(0.0, 0.2, 0.4)}


def _windows(whole: int) -> Choice:
    """All of 30 s, or three parts of 10 s whose predictions are pooled, as the source wished."""
    third = WindowConfig(frames=whole // 3, train_per_track=3, per_track=3)
    return Choice(WindowConfig(frames=whole, train_per_track=1, per_track=1), third)


def _of_samples(name: str, over: Fields) -> SearchSpace:
    """What both networks on waveforms vary."""
    return SearchSpace(
        base=RECIPES[name](),
        over={
            "window": _windows(661_500),
            **over,
            "model.widths": Choice("8,16", "16,32", "4,8"),
            "model.hidden": HIDDEN,
            **DROPOUT,
            "augment.gain_db": Choice(0.0, 6.0),
            "augment.mixup_alpha": Choice(0.0, 0.3),
            **OPTIMISER,
        },
        trials=24,
        search=Tpe(),
        scheduler=Median(),
    )


def wav1d() -> SearchSpace:
    """Danceability, 1DWav: window, stride, widths, dropout, loss and optimiser; what samples alone can tell."""
    return _of_samples("wav1d", {"model.stride": Choice(4, 8, 16)})


def wav2d() -> SearchSpace:
    """Danceability, 2DWav: rows that the samples are folded to, window, widths, dropout, loss and optimiser."""
    return _of_samples("wav2d", {"model.rows": Choice(50, 100, 150), "model.stride": Choice(4, 8)})


def spec2d() -> SearchSpace:
    """Danceability, 2DSpec: bands, window lengths, widths, dropout, augmentation, loss and optimiser."""
    return SearchSpace(
        base=RECIPES["spec2d"](),
        over={
            "feature.n_fft": Choice(1024, 2048, 4096),
            "feature.n_mels": Choice(24, 48, 96),
            "feature.normalisation": Choice("frame", "track", "training"),
            "window": _windows(2584),
            "model.widths": Choice("16,16,16,16,32,32,32", "8,8,8,8,16,16,16", "32,32,32,32,64,64,64"),
            "model.hidden": Choice("128,64,32", "64", "256,64"),
            **DROPOUT,
            **MASKS,
            **OPTIMISER,
        },
        trials=40,
        search=Tpe(startup=12),
        scheduler=Median(),
    )


def spec3d() -> SearchSpace:
    """Danceability, 3DSpec: slices that time is folded to, bands, widths, dropout, loss and optimiser."""
    return SearchSpace(
        base=RECIPES["spec3d"](),
        over={
            "feature.n_fft": Choice(1024, 2048, 4096),
            "feature.n_mels": Choice(24, 48),
            "feature.normalisation": Choice("frame", "track", "training"),
            "model.slices": Choice(34, 38, 68),
            "model.widths": Choice("16,16,16,32,32,32", "8,8,8,16,16,16", "32,32,32,64,64,64"),
            "model.hidden": Choice("128,64,32", "64", "256,64"),
            **DROPOUT,
            **MASKS,
            **OPTIMISER,
        },
        trials=40,
        search=Tpe(startup=12),
        scheduler=Median(),
    )


SPACES = {"wav1d": wav1d, "wav2d": wav2d, "spec2d": spec2d, "spec3d": spec3d}
