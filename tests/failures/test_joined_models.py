"""Stacked, joined and folded models that cannot be built or run: every reason is named."""

from __future__ import annotations

import pytest
import torch

from tests.unit.model_examples import EXAMPLES
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, RecommendationConfig, TimeFreqConfig, create

AUDIO = {name: InputSpec(1, 800, 1) for name in RecommendationConfig.needed}
NUMBER = InputSpec(1, 1, 1)


def problems(name: str, inputs: InputSpec | dict[str, InputSpec], **fields: object) -> list[str]:
    """What building says, without the model's name in front."""
    with pytest.raises(ConfigError) as error:
        create(name, inputs, 4, **fields)
    return [p.removeprefix(f"{name}: ") for p in error.value.problems]


# --- stacked


@pytest.mark.parametrize("name", ["time_freq", "genre_ensemble"])
def test_all_that_is_wrong_with_the_layers_on_top_is_named(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        ModelConfig.registry[name](hidden="256,,128", dropout=1.0, l2=-0.1)
    assert len(error.value.problems) == 3
    assert all(word in str(error.value) for word in ("hidden is '256,,128'", "dropout is 1.0", "l2 is -0.1"))


def test_fields_of_a_member_are_checked() -> None:
    with pytest.raises(ConfigError, match="time: divisors is 'many'"):
        create("time_freq", InputSpec(1, 256, 643), 4, time={"divisors": "many"})
    with pytest.raises(ConfigError, match="time: 'freq' is a FreqConfig"):
        create("time_freq", InputSpec(1, 256, 643), 4, time={"kind": "freq"})
    with pytest.raises(ConfigError, match="no variant for the representation 'waveform'"):
        TimeFreqConfig().for_representation("waveform")


def test_a_shape_that_a_member_cannot_take_names_the_member() -> None:
    found = problems("time_freq", InputSpec(1, 40, 60))
    assert any(p.startswith("time: divisor 64 is larger than the time axis of 60") for p in found)
    assert any(p.startswith("freq: divisor 64 is larger than the frequency axis of 40") for p in found)
    specs = EXAMPLES["genre_ensemble"].specs
    assert not isinstance(specs, InputSpec)
    found = problems("genre_ensemble", {**specs, "cqt": InputSpec(1, 18, 4)}, **EXAMPLES["genre_ensemble"].fields)
    assert found and all(p.startswith("time_cqt: kernel of 3 is longer than the time axis of 4") for p in found)


@pytest.mark.parametrize("name", ["genre_ensemble", "recommendation"])
def test_missing_and_unknown_inputs_are_named(name: str) -> None:
    specs = EXAMPLES[name].specs
    assert not isinstance(specs, InputSpec)
    given = {("tempo" if key == "mfcc" else key): value for key, value in specs.items()}
    found = problems(name, given)
    assert len(found) == 2
    assert found[0].startswith("it lacks the input 'mfcc'") and found[1].startswith("it knows no input 'tempo'")


@pytest.mark.parametrize("name", ["genre_ensemble", "recommendation"])
def test_a_batch_that_lacks_an_input_is_refused(name: str) -> None:
    network, batch = EXAMPLES[name].build(name), EXAMPLES[name].batch(2)
    assert not isinstance(batch, torch.Tensor)
    with pytest.raises(TrainingError, match="the batch lacks chroma, mfcc"):
        network({key: value for key, value in batch.items() if key not in ("mfcc", "chroma")})
    with pytest.raises(TrainingError, match="several inputs by name"):
        network(batch["mfcc"])


@pytest.mark.parametrize("name", ["time_freq", "wav1d", "spec2d"])
def test_several_batches_for_one_input_are_refused(name: str) -> None:
    network, batch = EXAMPLES[name].build(name), EXAMPLES[name].batch(2)
    assert isinstance(batch, torch.Tensor)
    with pytest.raises(TrainingError, match="takes one input, it was given 2"):
        network({"left": batch, "right": batch})


# --- recommendation


@pytest.mark.parametrize("given", ["latitude", "longitude"])
def test_half_a_place_is_refused(given: str) -> None:
    found = problems("recommendation", {**AUDIO, given: NUMBER})
    assert found == [
        f"only {given} is given: a place needs latitude and longitude; give both or neither",
    ]


def test_what_is_no_vector_is_named_with_its_shape() -> None:
    inputs = {**AUDIO, "chroma": InputSpec(1, 12, 643), "year": InputSpec(1, 3, 1), "lyrics": InputSpec(2, 800, 1)}
    found = problems("recommendation", inputs)
    assert len(found) == 3
    assert any(p.startswith("chroma: the input's shape is (1, 12, 643)") for p in found)
    assert any(p.startswith("lyrics: the input's shape is (2, 800, 1)") for p in found)
    assert "year: the input's shape is (1, 3, 1): it is one number, (1, 1, 1)" in found


def test_all_that_is_wrong_with_the_towers_layers_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        RecommendationConfig(
            vector="", each=0, pair="a", coordinate=-1, location="0", year="1,", joined="-1", dropout=2
        )
    assert len(error.value.problems) == 8


# --- danceability


@pytest.mark.parametrize(
    "name, inputs, what, where",
    [
        ("wav1d", InputSpec(2, 1, 99), "kernel of 100 is longer than 99", "the time axis of 99 in block 1"),
        ("wav1d", InputSpec(2, 1, 275), "kernel of 100 is longer than 88", "the time axis of 275 in block 2"),
        ("wav1d", InputSpec(2, 1, 300), "pool of 2 is longer than 1", "the time axis of 300 in block 2"),
        ("wav2d", InputSpec(2, 1, 4_399), "kernel of 45 is longer than 43", "the sample axis of 43 in block 1"),
        ("wav2d", InputSpec(2, 1, 50), "kernel of 45 is longer than 0", "the sample axis of 0 in block 1"),
        ("spec2d", InputSpec(2, 23, 2_584), "pool of 2 is longer than 1", "the frequency axis of 23 in block 2"),
        ("spec2d", InputSpec(2, 24, 12), "kernel of 4 is longer than 3", "the time axis of 12 in block 1"),
        ("spec3d", InputSpec(2, 24, 37), "kernel of 2 is longer than 0", "the time axis of 0 in block 1"),
    ],
)
def test_kernels_longer_than_what_is_left_of_an_axis(name: str, inputs: InputSpec, what: str, where: str) -> None:
    found = problems(name, inputs)
    assert len(found) == 1 and found[0].startswith(f"a {what}, what is left of {where}: give ")


def test_each_axis_that_is_too_short_is_named() -> None:
    found = problems("spec3d", InputSpec(2, 5, 19 * 8), slices=19)
    assert [p.split(" axis of ")[0].rsplit(" ", 1)[1] for p in found] == ["frequency", "slice", "time"]
    assert problems("wav2d", InputSpec(2, 1, 661_500), rows=30)[0].endswith("give a longer input, or change rows")


def test_a_spectrogram_is_no_waveform() -> None:
    found = problems("wav1d", InputSpec(2, 24, 2_584))
    assert found == ["the input's shape is (2, 24, 2584): a waveform has the shape (channels, 1, samples)"]


@pytest.mark.parametrize("name", ["wav1d", "wav2d", "spec2d", "spec3d"])
@pytest.mark.parametrize("more", [1, -1])
def test_windows_of_another_length_are_neither_cut_nor_stretched(name: str, more: int) -> None:
    specs = EXAMPLES[name].specs
    assert isinstance(specs, InputSpec)
    with pytest.raises(TrainingError, match=f"this network was built for .*{specs.frames}"):
        EXAMPLES[name].build(name)(torch.randn(1, specs.channels, specs.freq_bins, specs.frames + more))


@pytest.mark.parametrize("name, count", [("wav1d", 2), ("wav2d", 2), ("spec2d", 7), ("spec3d", 6)])
def test_a_width_for_each_convolution(name: str, count: int) -> None:
    with pytest.raises(ConfigError, match=f"widths is '8,16,32': list {count} positive whole numbers"):
        ModelConfig.registry[name](widths="8,16,32")


def test_all_that_is_wrong_with_a_folded_network_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        ModelConfig.registry["wav2d"](widths="8,a", hidden="", dropout=-0.1, stride=0, rows=0)
    assert len(error.value.problems) == 5
