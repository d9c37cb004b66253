"""Stern's playlists: what its author did not try."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.fields import Fields, optimiser
from search_spaces.recipes import RECIPES
from tonearm.sweeps import Asha, Choice, LogUniform, SearchSpace, Tpe, Uniform

MINUTE = 5168  # frames at hop 512 and 44 100 Hz
#: Any hop and clip leaves a minute, and no window is longer; evaluation hears two of them.
INPUT = {"feature.frames": None, "window.frames": MINUTE, "window.per_track": 2}


def playlist_cnn() -> SearchSpace:
    """Playlists: seconds of audio, bands, kernels, depth, class balance, optimiser; all fixed in the source."""
    kernels: Fields = {
        "model.blocks": Choice(3, 4),
        "model.channels": Choice(8, 16, 32),
        "model.kernel": Choice(3, 5),
        "model.padding": Choice(1, 2),
        "model.batch_norm": Choice(False, True),
        "model.dropout": Uniform(0.0, 0.5),
    }
    return SearchSpace(
        base=RECIPES["playlist_cnn"]().replace(INPUT),
        over={
            "clip.seconds": Choice(60.0, 120.0, 180.0),
            "feature.n_fft": Choice(1024, 2048),
            "feature.n_mels": Choice(64, 128),
            "feature.normalisation": Choice("frame", "track", "training"),
            **kernels,
            "task.training": Choice("softmax", "multi_hot"),
            "task.class_weights": Choice("none", "balanced"),
            "augment.time_masks": Choice(0, 2),
            "augment.mixup_alpha": Choice(0.0, 0.3),
            **optimiser(1e-5, (8, 16, 32)),
            "optim.lr": LogUniform(1e-5, 5e-4),  # the source's is the least: batch normalisation allows far more
        },
        trials=40,
        search=Tpe(startup=12),
        scheduler=Asha(),
    )


SPACES: dict[str, Callable[[], SearchSpace]] = {"playlist_cnn": playlist_cnn}
