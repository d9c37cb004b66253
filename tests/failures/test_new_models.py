"""A network that somebody writes: what torch says of a wrong or too small input becomes what to do about it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, one_input
from tonearm.models.blocks import HeadedNetwork


class Small(HeadedNetwork):
    """Normalisation first, then convolutions and pools; its config would have to refuse what they leave nothing of."""

    def __init__(self, *more: nn.Module) -> None:
        super().__init__(4, 3, 0.0)
        self.layers = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), *more)

    def embed(self, x: Inputs) -> Tensor:
        maps: Tensor = self.layers(one_input(x))
        return maps.mean(dim=(2, 3))


def built_for(spec: InputSpec, *more: nn.Module) -> Small:
    network = Small(*more)
    network.specs = spec
    return network


@pytest.mark.parametrize("training", [True, False])
def test_an_axis_too_few_is_told_with_both_shapes(training: bool) -> None:
    network = built_for(InputSpec(1, 20, 30)).train(training)
    for x in (torch.randn(20, 30), torch.randn(1, 20, 30), torch.randn(20)):
        with pytest.raises(TrainingError, match=r"the network was built for \(1, 20, 30\): give it such examples"):
            network(x)


@pytest.mark.parametrize(
    "shape, more, reason",
    [
        ((1, 2, 30), (), "Kernel size can't be greater than actual input size"),
        ((1, 3, 30), (), "Output size is too small"),
        ((1, 6, 6), (nn.Conv2d(4, 4, 2), nn.BatchNorm2d(4)), "Expected more than 1 value per channel"),
    ],
)
def test_too_small_an_input_says_so_and_where_to_refuse_it(
    shape: tuple[int, int, int], more: tuple[nn.Module, ...], reason: str
) -> None:
    network = built_for(InputSpec(*shape), *more).train()
    with pytest.raises(TrainingError) as error:
        network(torch.randn(1, *shape))
    said = str(error.value)
    assert said.startswith(f"1 example(s) of the shape {shape} are too few or too small for the network's layers")
    assert reason in said and "shape_problems" in said


def test_other_value_errors_stay() -> None:
    class Broken(Small):
        def embed(self, x: Inputs) -> Tensor:
            raise ValueError("of the author's own")

    network = Broken()
    network.specs = InputSpec(1, 20, 30)
    with pytest.raises(ValueError, match="of the author's own"):
        network(torch.randn(2, 1, 20, 30))
