"""The sweep of ``make demo``: small enough for a laptop, over everything that the thesis asks about."""

from __future__ import annotations

from tonearm.features import Mel
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import FreqConfig, TimeConfig
from tonearm.sweeps import Choice, LogUniform, SearchSpace
from tonearm.sweeps.space import Asha
from tonearm.tasks import SingleLabel
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig


def demo() -> SearchSpace:
    """Long kernels against square ones, on mel spectrograms of three window lengths, 10 s windows."""
    return SearchSpace(
        base=TrialConfig(
            dataset=DatasetRef(name="scores"),
            feature=Mel(n_mels=256),
            model=TimeConfig(),
            task=SingleLabel(),
            window=WindowConfig(frames=215, train_per_track=4, per_track=3),
            optim=OptimConfig(epochs=18, schedule="cosine"),
        ),
        over={
            "model": Choice(
                TimeConfig(),
                TimeConfig(divisors="2-48"),
                FreqConfig(),
                FreqConfig(divisors="3-32"),
                SimpleConfig(),
            ),
            "feature.n_fft": Choice(1024, 2048, 4096),
            "feature.normalisation": Choice("frame", "track"),  # costs no extraction: it is applied on reading
            "optim.lr": LogUniform(1e-3, 5e-3),
            "optim.batch_size": Choice(8, 16),
        },
        trials=10,
        scheduler=Asha(grace=2, reduction=3),
    )
