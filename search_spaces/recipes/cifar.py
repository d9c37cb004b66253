"""Whitell 2019's control: on photographs the square kernels must win, on spectrograms the long ones."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.recipes.whitell import ONCE, SINGLE, SOURCE, trial
from tonearm.datasets import Cifar100Config
from tonearm.features.metadata import PictureFeature
from tonearm.models import ModelConfig
from tonearm.models.stacked import TimeFreqConfig
from tonearm.training.recipe import Recipe, Stage

#: F1 on CIFAR-100's test pictures (table 4). TimeFreq's is chance: the author found no reason, and it is his figure.
PUBLISHED = {"simple": "0.571", "time": "0.4540", "freq": "0.4684", "time_freq": "0.0100"}


def _stage(name: str, model: ModelConfig, patience: int = 20) -> Stage:
    return Stage(name, trial(PictureFeature(size=32), model, patience=patience).replace({"window": ONCE}))


def _control(model: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        stages = (_stage(f"{model}_cifar", SINGLE[model]),)
        return Recipe(Cifar100Config(), stages, SOURCE, f"F1 {PUBLISHED[model]}")

    recipe.__doc__ = f"Control: {model.capitalize()} on CIFAR-100, where square kernels must win."
    return recipe


def time_freq_cifar() -> Recipe:
    """Control: TimeFreq on CIFAR-100: Time and Freq, frozen, under dense layers."""
    parts = [_stage(f"{model}_cifar", SINGLE[model]) for model in ("time", "freq")]
    joined = _stage("time_freq_cifar", TimeFreqConfig(), patience=5)
    top = Stage(joined.name, joined.config, members={"time": "time_cifar", "freq": "freq_cifar"})
    return Recipe(Cifar100Config(), (*parts, top), SOURCE, f"F1 {PUBLISHED['time_freq']}")


RECIPES: dict[str, Callable[[], Recipe]] = {
    **{f"{model}_cifar": _control(model) for model in SINGLE},
    "time_freq_cifar": time_freq_cifar,
}
