"""Whitell 2019, *Content-Based Music Recommendation using Deep Learning*: genres of the Free Music Archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tonearm.datasets import FmaConfig
from tonearm.features.base import Feature
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.presets import PRESETS, THESIS_PRESETS
from tonearm.models import FreqConfig, GenreEnsembleConfig, ModelConfig, RnnConfig, SimpleConfig, TimeConfig
from tonearm.models.stacked import TimeFreqConfig
from tonearm.tasks import MultiLabel, SingleLabel, Task
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.recipe import Recipe, Stage

SOURCE = "Whitell 2019"
WHOLE_CLIP = WindowConfig(frames=643, train_per_track=1, per_track=1)
ONCE = WindowConfig(frames=1, train_per_track=1, per_track=1)  # of what is no audio
MAX_EPOCHS = 200
#: F1 micro on the test split of FMA medium.
PUBLISHED: dict[str, Mapping[str, float]] = {
    "simple": {"stft": 0.611, "stft_halved": 0.595, "mel": 0.609, "cqt": 0.584, "mfcc": 0.550, "chroma": 0.493},
    "time": {"stft": 0.613, "stft_halved": 0.598, "mel": 0.620, "cqt": 0.616, "mfcc": 0.549, "chroma": 0.495},
    "freq": {"stft": 0.585, "stft_halved": 0.582, "mel": 0.585, "cqt": 0.545, "mfcc": 0.507, "chroma": 0.479},
    "time_freq": {"stft": 0.627, "stft_halved": 0.630, "mel": 0.628, "cqt": 0.619, "mfcc": 0.551, "chroma": 0.537},
}
MULTI_LABEL = ("stft_halved", "mel", "cqt")  # the representations on which several labels were learnt
SINGLE: dict[str, ModelConfig] = {"simple": SimpleConfig(), "time": TimeConfig(), "freq": FreqConfig()}


def medium() -> FmaConfig:
    """FMA medium, one of 16 genres a track, split as published."""
    return FmaConfig(subset="medium", labels="top")


def trial(feature: Feature, model: ModelConfig, task: Task | None = None, lr: float = 1e-3, patience: int = 20
          ) -> TrialConfig:  # fmt: skip
    """A trial as the thesis ran it: whole clips of 30 s, Adam, batches of 8, the best epoch kept."""
    return TrialConfig(
        dataset=DatasetRef(name="fma"),
        feature=feature,
        model=model,
        task=task or SingleLabel(),
        window=WHOLE_CLIP,
        optim=OptimConfig(lr=lr, batch_size=8, epochs=MAX_EPOCHS, patience=patience),
    )


def pair(name: str, task: Task | None = None, patience: int = 20) -> tuple[Stage, Stage]:
    """Time and Freq on one representation."""
    return (
        Stage(f"time_{name}", trial(PRESETS[name], TimeConfig(), task, patience=patience)),
        Stage(f"freq_{name}", trial(PRESETS[name], FreqConfig(), task, patience=patience)),
    )


def published(model: str, name: str) -> str:
    """The thesis' figure."""
    return f"F1 micro {PUBLISHED[model][name]:.3f}"


def _single(model: str, name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        stage = Stage(f"{model}_{name}", trial(PRESETS[name], SINGLE[model]))
        return Recipe(medium(), (stage,), SOURCE, published(model, name))

    recipe.__doc__ = f"Genre: {model.capitalize()} on {name}."
    return recipe


def _stacked(name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        top = Stage(
            f"time_freq_{name}",
            trial(PRESETS[name], TimeFreqConfig(), patience=5),
            members={"time": f"time_{name}", "freq": f"freq_{name}"},
        )
        return Recipe(medium(), (*pair(name), top), SOURCE, published("time_freq", name))

    recipe.__doc__ = f"Genre: TimeFreq on {name}: Time and Freq, frozen, under dense layers."
    return recipe


def _average(name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        return Recipe(medium(), pair(name), SOURCE, ensemble=True)

    recipe.__doc__ = f"Genre: TimeFreqAvg on {name}: the mean of Time and Freq."
    return recipe


def _recurrent(name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        return Recipe(medium(), (Stage(f"rnn_{name}", trial(PRESETS[name], RnnConfig(), patience=5)),), SOURCE)

    recipe.__doc__ = f"Genre: three recurrent layers on {name}."
    return recipe


def genre_ensemble() -> Recipe:
    """Genre: Time and Freq on three spectrograms and RNN on chroma and mfcc, frozen, under dense layers."""
    spectrograms, sequences = ("stft_halved", "mel", "cqt"), ("chroma", "mfcc")
    inputs = CompositeFeature(
        inputs=tuple(NamedFeature(name=n, feature=PRESETS[n]) for n in (*spectrograms, *sequences))
    )
    stages = [stage for name in spectrograms for stage in pair(name)]
    stages += [Stage(f"rnn_{n}", trial(PRESETS[n], RnnConfig(), patience=5)) for n in sequences]
    top = Stage(
        "genre_ensemble",
        trial(inputs, GenreEnsembleConfig(), lr=1e-4, patience=5),
        members={s.name: s.name for s in stages},
    )
    return Recipe(medium(), (*stages, top), SOURCE, "F1 micro 0.655")


def large() -> FmaConfig:
    """FMA large, all of a track's 161 genres, split as published."""
    return FmaConfig(subset="large", labels="all")


def multi_label() -> Recipe:
    """All 161 genres: the mean of Time and Freq on stft_halved, mel and cqt."""
    stages = [stage for name in MULTI_LABEL for stage in pair(name, MultiLabel(), patience=10)]
    return Recipe(large(), tuple(stages), SOURCE, "MSE 0.014926, Hamming loss 0.018012", ensemble=True)


def _multi_label_single(model: str, name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        config = trial(PRESETS[name], SINGLE[model], MultiLabel(), patience=10)
        return Recipe(large(), (Stage(f"{model}_{name}", config),), SOURCE)

    recipe.__doc__ = f"All 161 genres: {model.capitalize()} on {name}."
    return recipe


def _multi_label_average(name: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        return Recipe(large(), pair(name, MultiLabel(), patience=10), SOURCE, ensemble=True)

    recipe.__doc__ = f"All 161 genres: TimeFreqAvg on {name}: the mean of Time and Freq."
    return recipe


RECIPES: dict[str, Callable[[], Recipe]] = {
    **{f"{model}_{name}": _single(model, name) for model in SINGLE for name in THESIS_PRESETS},
    **{f"time_freq_{name}": _stacked(name) for name in THESIS_PRESETS},
    **{f"time_freq_avg_{name}": _average(name) for name in THESIS_PRESETS},
    **{f"rnn_{name}": _recurrent(name) for name in ("chroma", "mfcc")},
    "genre_ensemble": genre_ensemble,
    "multi_label": multi_label,
    **{f"multi_label_{model}_{name}": _multi_label_single(model, name) for model in SINGLE for name in MULTI_LABEL},
    **{f"multi_label_time_freq_avg_{name}": _multi_label_average(name) for name in MULTI_LABEL},
}
