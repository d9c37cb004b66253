"""Models that cannot be built: every reason is named before anything runs."""

from __future__ import annotations

import copy

import pytest
import torch

from tonearm.core.errors import ConfigError, TrainingError, UnknownNameError
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, TimeConfig, create

SMALL = InputSpec(1, 163, 139)


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        TimeConfig(divisors="4-97", widths="16", long_width=0, separable_length=0, dropout=1.0)
    assert len(error.value.problems) == 5
    assert "'4-97'" in str(error.value) and "4-96" in str(error.value)


@pytest.mark.parametrize("divisors", ["", "0,4", "4,-8", "4,,8", "a,b", "2.5"])
def test_bad_divisors(divisors: str) -> None:
    with pytest.raises(ConfigError, match="divisors"):
        TimeConfig(divisors=divisors)


def test_kernels_longer_than_the_axis() -> None:
    problems = TimeConfig().shape_problems(InputSpec(1, 256, 20), 3)
    assert any("divisor 96 is larger than the time axis of 20" in p for p in problems)
    assert any("kernel of 9 is longer than the time axis of 20" in p for p in problems)
    with pytest.raises(ConfigError, match="freq: kernel of 9 is longer than the frequency axis of 64"):
        create("freq", InputSpec(1, 64, 215), 3, divisors="4,8")
    with pytest.raises(ConfigError, match="kernel of 3 is longer than what is left, 1, of the frequency axis of 24"):
        create("simple", InputSpec(1, 24, 215), 3, representation="mel")


@pytest.mark.parametrize("model, variant, shortest", [("simple", "mel", 133), ("time", "mel", 96), ("freq", "mel", 65)])
def test_the_shortest_shape_without_problems_builds_and_runs(model: str, variant: str, shortest: int) -> None:
    config = ModelConfig.registry[model](variant=variant)
    assert config.shape_problems(InputSpec(1, shortest - 1, shortest - 1), 2)
    assert not config.shape_problems(InputSpec(1, shortest, shortest), 2)
    network = config.build(InputSpec(1, shortest, shortest), 2).eval()
    assert network(torch.randn(2, 1, shortest, shortest)).shape == (2, 2)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'time'"):
        create("tmie", SMALL, 2)
    with pytest.raises(ConfigError, match="no field 'divisor'"):
        create("time", SMALL, 2, divisor="4-96")
    with pytest.raises(ConfigError, match="no variant for the representation 'waveform'"):
        create("time", SMALL, 2, representation="waveform")


def test_a_variant_that_was_set_stays() -> None:
    assert TimeConfig(variant="cqt").for_representation("mel").variant == "cqt"
    assert TimeConfig().for_representation("mel").variant == "mel"


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("model, axis", [("time", 2), ("freq", 3)])
@pytest.mark.parametrize("other", [-1, -40, 1, 8, 400])
def test_another_length_of_the_axis_that_is_flattened_is_refused(
    model: str, axis: int, other: int, fused: bool
) -> None:
    network, shape = create(model, SMALL, 3), [2, *SMALL.shape]
    shape[axis] += other
    name = {2: "frequency", 3: "time"}[axis]
    said = f"the {name} axis is {shape[axis]} long, the network was built for {shape[axis] - other}"
    with pytest.raises(TrainingError, match=said):
        network(torch.randn(shape, requires_grad=not fused))  # whose gradient only the plain layers give


@pytest.mark.parametrize("model, axis", [("time", 3), ("freq", 2)])
def test_the_axis_along_the_kernels_may_be_longer_or_shorter_but_not_too_short(model: str, axis: int) -> None:
    network, shape = create(model, SMALL, 3).eval(), [1, *SMALL.shape]
    plain = copy.deepcopy(network)
    plain.features = plain.plain_features
    for length in (300, 65):  # 65 halves to 33, of which four kernels of 9 leave one step
        shape[axis] = length
        x = torch.randn(shape)
        torch.testing.assert_close(network(x), plain(x), rtol=1e-4, atol=1e-5)
    shape[axis] = 64
    with pytest.raises(TrainingError, match=r"nothing is left of the (time|frequency) axis of 64"):
        network(torch.randn(shape))


@pytest.mark.parametrize(
    "shape, said",
    [((2, 2, 163, 139), r"examples have 2 channel\(s\), the network was built for 1"),
     ((1, 163, 139), r"the batch has the shape \(1, 163, 139\)")],
)  # fmt: skip
def test_other_channels_and_a_missing_axis_are_refused(shape: tuple[int, ...], said: str) -> None:
    for model in ("time", "freq"):
        with pytest.raises(TrainingError, match=said):
            create(model, SMALL, 3)(torch.randn(shape))


@pytest.mark.parametrize("name", ["cifar100", "picture"])
def test_pictures_go_by_several_names(name: str) -> None:
    for model in ("simple", "time", "freq"):
        assert ModelConfig.registry[model]().for_representation(name).variant == "cifar"
    joined = ModelConfig.registry["time_freq"]().for_representation(name)
    assert joined.time.variant == joined.freq.variant == "cifar"
