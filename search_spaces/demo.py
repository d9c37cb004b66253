"""The sweep of ``make demo``, small enough for a laptop, and two that ``make bench NAME=sweeps`` measures."""

from __future__ import annotations

import dataclasses

from tonearm.features import Mel
from tonearm.features.augment import AugmentConfig
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps import Asha, Choice, Full, Grid, LogUniform, SearchSpace
from tonearm.tasks import SingleLabel
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig


def demo() -> SearchSpace:
    """Kernels long in time, on two lengths of Fourier windows, always masked and mixed; each to its end.

    For some hundreds of recordings, beside the model of summaries that the demo trains before: what stops early there
    stops what is augmented, which learns late, and a few dozen validation tracks tell little at that point.
    """
    return SearchSpace(
        base=TrialConfig(
            dataset=DatasetRef(name="scores"),
            feature=Mel(n_mels=64),
            model=TimeConfig(),
            task=SingleLabel(),
            window=WindowConfig(seconds=10.0, train_per_track=3, per_track=5),
            optim=OptimConfig(lr=2e-3, batch_size=16, epochs=16, patience=16, schedule="cosine"),
            augment=AugmentConfig(time_masks=2, freq_masks=2, mixup_alpha=0.3),
        ),
        over={
            "feature.n_fft": Choice(2048, 4096),
            "model.dropout": Choice(0.0, 0.3),
            "optim.lr": LogUniform(1e-3, 4e-3),
        },
        trials=4,
        scheduler=Full(),
        seeding="own",
    )


def demo_grid() -> SearchSpace:
    """32 cheap trials as a grid, each trained to its end: what stopping early is measured against."""
    return SearchSpace(
        base=TrialConfig(
            dataset=DatasetRef(name="scores"),
            feature=Mel(n_mels=64, frames=643),
            model=TimeConfig(),
            task=SingleLabel(),
            window=WindowConfig(frames=107, train_per_track=2, per_track=3),
            optim=OptimConfig(epochs=12, patience=12, schedule="cosine"),
        ),
        over={
            # Of 64 bands the layers that Simple has for mel would leave nothing.
            "model": Choice(TimeConfig(widths="8,16,32,64"), SimpleConfig(variant="chroma", width=2)),
            "feature.n_fft": Choice(1024, 4096),
            "feature.normalisation": Choice("frame", "track"),
            "optim.lr": Choice(1e-3, 4e-3),
            "optim.batch_size": Choice(8, 16),
        },
        search=Grid(),
        scheduler=Full(),
    )


def demo_asha() -> SearchSpace:
    """The same 32 trials, of which poor ones are stopped early: does it find as good a one, in how much less time?"""
    return dataclasses.replace(demo_grid(), scheduler=Asha(grace=1 / 12, reduction=4))


SPACES = {"demo": demo, "demo_grid": demo_grid, "demo_asha": demo_asha}
