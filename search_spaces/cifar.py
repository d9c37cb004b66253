"""CIFAR-100, the control: square kernels must still win when every model is tuned."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.fields import DROPOUT, Fields, optimiser
from search_spaces.genre import head
from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell import SINGLE
from tonearm.sweeps import Asha, Choice, SearchSpace, Tpe

EPOCHS = 40  # of fifty thousand pictures


def kernels(model: str) -> Fields:
    """Kernel shapes, widths and depth: the axes are 32 long."""
    if model == "simple":
        return {"model.width": Choice(4, 8, 16)}
    return {
        "model.divisors": Choice("3-10", "2,3,4,5,6,7", "4,5,6,8,10,16"),
        "model.long_width": Choice(1, 2, 4),
        "model.separable_length": Choice(3, 5, 9),
        "model.widths": Choice("16,32,64,128,256", "32,64,128,256,512", "32,64,128", "16,32,64,128,256,256"),
    }


def _control(model: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        return SearchSpace(
            base=RECIPES[f"{model}_cifar"]().replace({"optim.epochs": EPOCHS}),
            over={
                **kernels(model),
                **DROPOUT,
                **optimiser(1e-3, (16, 32, 64)),  # not SGD: its rates are some ten times Adam's
            },
            trials=40,
            search=Tpe(startup=12),
            scheduler=Asha(),
        )

    space.__doc__ = (
        f"Control, {model.capitalize()} on CIFAR-100: kernel shapes, dropout and optimiser; on photographs the square "
        "kernels must win, tuned or not."
    )
    return space


def time_freq_cifar() -> SearchSpace:
    """Control, TimeFreq on CIFAR-100: the layers on its frozen members; whether they really learn nothing there."""
    return SearchSpace(base=RECIPES["time_freq_cifar"](), over=head(1e-3, "256,128"), trials=24)


SPACES: dict[str, Callable[[], SearchSpace]] = {
    **{f"{model}_cifar": _control(model) for model in SINGLE},
    "time_freq_cifar": time_freq_cifar,
}
