"""Collaborative factors from audio (Dieleman 2014)."""

from __future__ import annotations

from search_spaces.fields import AUGMENTATION, DROPOUT, GAIN, optimiser
from search_spaces.recipes import RECIPES
from tonearm.sweeps import Asha, Choice, SearchSpace, Tpe
from tonearm.training.config import WindowConfig


def temporal_pooling() -> SearchSpace:
    """Factors from audio: bands, windows, filters, pools, norm, dropout and optimiser; the source gives no reasons."""
    return SearchSpace(
        base=RECIPES["temporal_pooling"](),
        over={
            "feature.n_fft": Choice(1024, 2048, 4096),
            "feature.n_mels": Choice(64, 128, 256),
            "feature.normalisation": Choice("frame", "track", "training"),
            "window": Choice(
                WindowConfig(frames=599, train_per_track=1, per_track=1),
                WindowConfig(frames=299, train_per_track=2, per_track=2),
            ),
            "model.kernel": Choice(2, 4, 8),
            "model.pools": Choice("4,2,2,1", "2,2,2,1"),
            "model.widths": Choice("256,256,256,512", "128,128,128,256", "256,256,512,1024"),
            "model.hidden": Choice("2048,2048", "1024,1024", "512"),
            "model.norm": Choice("l2", "rms"),
            **DROPOUT,
            **AUGMENTATION,
            **GAIN,
            **optimiser(1e-3, (16, 32, 64)),
        },
        trials=40,
        search=Tpe(startup=12),
        scheduler=Asha(),
    )


SPACES = {"temporal_pooling": temporal_pooling}
