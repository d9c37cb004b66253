"""Whitell 2019's control: on photographs the square kernels must win, on spectrograms the long ones."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.recipes.whitell import ONCE, SINGLE, SOURCE, trial
from tonearm.datasets import Cifar100Config
from tonearm.features.metadata import PictureFeature
from tonearm.training.recipe import Recipe, Stage

PUBLISHED = {"simple": 0.571, "time": 0.468, "freq": 0.454}


def _control(model: str) -> Callable[[], Recipe]:
    def recipe() -> Recipe:
        config = trial(PictureFeature(size=32), SINGLE[model]).replace({"window": ONCE})
        return Recipe(Cifar100Config(), (Stage(f"{model}_cifar", config),), SOURCE, f"F1 {PUBLISHED[model]:.3f}")

    recipe.__doc__ = f"Control: {model.capitalize()} on CIFAR-100, where square kernels must win."
    return recipe


RECIPES: dict[str, Callable[[], Recipe]] = {f"{model}_cifar": _control(model) for model in SINGLE}
