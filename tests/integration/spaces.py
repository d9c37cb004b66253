"""Search spaces for tests: trials that take seconds, on 12 s recordings."""

from __future__ import annotations

from tonearm.audio.windows import ClipConfig
from tonearm.datasets import FolderConfig
from tonearm.features import Mel
from tonearm.features.metadata import TableFeature
from tonearm.models.simple import SimpleConfig
from tonearm.models.stacked import TimeFreqConfig
from tonearm.models.tabular import TabularMlpConfig
from tonearm.models.time_freq import FreqConfig, TimeConfig
from tonearm.sweeps import Asha, Choice, Full, Grid, LogUniform, Population, SearchSpace, Tpe
from tonearm.tasks import SingleLabel
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.recipe import Recipe, Stage

BASE = TrialConfig(
    dataset=DatasetRef(name="music"),
    feature=Mel(n_mels=32, n_fft=1024, hop=512, frames=None),
    model=SimpleConfig(variant="chroma", width=1),
    task=SingleLabel(),
    clip=ClipConfig(seconds=10.0),
    window=WindowConfig(frames=100, train_per_track=2, per_track=2),
    optim=OptimConfig(lr=3e-3, batch_size=8, epochs=6),
)


def quick() -> SearchSpace:
    """Four trials, all to their end."""
    over = {"optim.lr": Choice(1e-3, 5e-3), "feature.normalisation": Choice("frame", "track")}
    return SearchSpace(BASE, over, search=Grid(), scheduler=Full())


def half_of_quick() -> SearchSpace:
    """Two of those four."""
    over = {"optim.lr": Choice(5e-3), "feature.normalisation": Choice("frame", "track")}
    return SearchSpace(BASE, over, search=Grid(), scheduler=Full())


def alike() -> SearchSpace:
    """One configuration: trials that differ in their seed only."""
    return SearchSpace(BASE, {"optim.lr": Choice(3e-3)}, search=Grid(), scheduler=Full())


def too_large() -> SearchSpace:
    """The second of three trials asks for more memory than any machine has."""
    over = {"model": Choice(*(SimpleConfig(variant="chroma", width=width) for width in (1, 200_000, 2)))}
    return SearchSpace(BASE.replace({"optim.epochs": 1}), over, search=Grid(), scheduler=Full())


def learning() -> SearchSpace:
    """Optuna chooses."""
    over = {"optim.lr": LogUniform(1e-4, 1e-1), "optim.batch_size": Choice(4, 8)}
    return SearchSpace(BASE.replace({"optim.epochs": 2}), over, trials=5, search=Tpe(startup=3), scheduler=Full())


def population() -> SearchSpace:
    """Four members, two generations."""
    over = {"optim.lr": LogUniform(1e-4, 1e-1)}
    return SearchSpace(
        BASE.replace({"optim.epochs": 4}), over, trials=4, search=Population(generations=2), scheduler=Full()
    )


def stacked() -> SearchSpace:
    """Time and Freq, trained before, under dense layers that vary."""
    member = {"divisors": "2,3", "widths": "4,6", "separable_length": 3}
    time, freq = TimeConfig.from_dict(member), FreqConfig.from_dict(member)
    short = BASE.replace({"optim.epochs": 2})
    top = short.replace({"model": TimeFreqConfig(time=time, freq=freq, hidden="8,4")})
    recipe = Recipe(
        FolderConfig(),
        (
            Stage("time", short.replace({"model": time})),
            Stage("freq", short.replace({"model": freq})),
            Stage("time_freq", top, members={"time": "time", "freq": "freq"}),
        ),
        "a test",
    )
    return SearchSpace(recipe, {"model.dropout": Choice(0.0, 0.5)}, search=Grid(), scheduler=Full())


def clips() -> SearchSpace:
    """Clips of two lengths, each extracted once."""
    over = {"clip.seconds": Choice(8.0, 10.0), "optim.lr": Choice(1e-3, 5e-3)}
    return SearchSpace(BASE.replace({"optim.epochs": 1}), over, search=Grid(), scheduler=Full())


def no_space() -> str:
    """A mistake."""
    return "a sentence"


def halving() -> SearchSpace:
    """Six trials, of which poor ones are stopped early."""
    over = {"optim.lr": Choice(1e-5, 3e-3, 1e-4, 5e-3, 1e-1, 1e-3)}
    return SearchSpace(BASE, over, search=Grid(), scheduler=Asha(grace=1 / 6, reduction=2))


def with_vectors() -> SearchSpace:
    """A network that learns what another one has made of every track."""
    short = BASE.replace({"optim.epochs": 1})
    below = Stage("below", short)
    feature = TableFeature(columns=("said",), width=3, missing="keep")
    above = short.replace(
        {"feature": feature, "model": TabularMlpConfig(hidden="8"), "window": WindowConfig(frames=1, per_track=1)}
    )
    recipe = Recipe(FolderConfig(), (below, Stage("above", above, vectors={"said": "below"})), "a test")
    return SearchSpace(recipe, {"optim.lr": Choice(1e-3, 1e-2)}, search=Grid(), scheduler=Full())


def recipe() -> Recipe:
    """One stage, on the features of the others."""
    return Recipe(FolderConfig(), (Stage("tiny", BASE.replace({"optim.epochs": 2})),), "a test")
