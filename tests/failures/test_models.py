"""Models that cannot be built: every reason is named before anything runs."""

from __future__ import annotations

import pytest
import torch

from tonearm.core.errors import ConfigError, UnknownNameError
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
