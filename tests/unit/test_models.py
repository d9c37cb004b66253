"""Models: what every registered one must do, the counts of SYSTEMS.md, and equality with plain transcriptions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.unit.reference_models import reference
from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, TimeConfig, count_parameters, create
from tonearm.models.blocks import max_pool_same, pad_same, same_padding

NAMES = sorted(ModelConfig.registry)
REFERENCES = ("simple", "time", "freq")
SMALL = InputSpec(1, 163, 139)
HEIGHTS = {"stft": 2049, "stft_halved": 1024, "mel": 256, "cqt": 168, "chroma": 12, "mfcc": 12}
COUNTS = {
    "simple": (733_736, 733_736, 733_736, 733_736, 733_736, 733_736),
    "time": (84_500, 67_988, 55_700, 54_292, 53_140, 53_140),
    "freq": (62_602, 61_970, 61_574, 61_594, 60_652, 60_652),
}


def small(name: str) -> nn.Module:
    torch.manual_seed(3)
    return create(name, SMALL, 5)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- what every registered model does


def test_logits_and_embedding_have_the_promised_shapes(name: str) -> None:
    model = create(name, SMALL, 5)
    x = torch.randn(3, *SMALL.shape)
    assert model(x).shape == (3, 5)
    assert model.embed(x).shape == (3, model.embedding_dim)


def test_gradient_reaches_every_parameter(name: str) -> None:
    model = small(name).train()
    nn.functional.cross_entropy(model(torch.randn(4, *SMALL.shape)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter_name, p in model.named_parameters():
        assert p.grad is not None, parameter_name
        assert p.grad.isfinite().all() and p.grad.abs().max() > 0, parameter_name


def test_evaluation_is_deterministic_and_ignores_the_rest_of_the_batch(name: str) -> None:
    model = small(name).eval()
    x = torch.randn(3, *SMALL.shape)
    with torch.inference_mode():
        assert torch.equal(model(x), model(x))
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)


def test_weights_carry_over_by_state_dict(name: str) -> None:
    one, other = small(name), create(name, SMALL, 5)
    one.train()(torch.randn(4, *SMALL.shape))  # moves the running statistics too
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, *SMALL.shape)
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_same_seed_same_weights(name: str) -> None:
    for a, b in zip(small(name).parameters(), small(name).parameters(), strict=True):
        assert torch.equal(a, b)


def test_two_channels(name: str) -> None:
    model = create(name, InputSpec(2, 163, 139), 5)
    assert model(torch.randn(2, 2, 163, 139)).shape == (2, 5)


def test_config_round_trips(name: str) -> None:
    config = ModelConfig.registry[name]()
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_zero_outputs_and_empty_inputs_are_refused_together(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        create(name, InputSpec(1, 0, 110), 0)
    assert len(error.value.problems) == 2
    assert "0 outputs" in str(error.value) and "freq_bins is 0" in str(error.value)


# --- SYSTEMS.md


@pytest.mark.parametrize("model", COUNTS)
def test_parameter_counts_of_the_thesis(model: str) -> None:
    built = [create(model, InputSpec(1, h, 643), 16, representation=r) for r, h in HEIGHTS.items()]
    assert tuple(count_parameters(m) for m in built) == COUNTS[model]


@pytest.mark.parametrize("model", COUNTS)
def test_pictures(model: str) -> None:
    network = create(model, InputSpec(3, 32, 32), 100, representation="cifar")
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 100)


def test_kernels_follow_the_window() -> None:
    network = create("time", InputSpec(1, 256, 215), 16, representation="mel")
    assert [tuple(m.weight.shape) for m in network.long] == [(2, 1, 1, k) for k in (53, 26, 13, 6, 3, 2)]
    network = create("freq", InputSpec(1, 256, 215), 16, representation="mel", divisors="4, 8,16")
    assert [tuple(m.weight.shape) for m in network.long] == [(2, 1, k, 1) for k in (64, 32, 16)]
    assert network(torch.randn(1, 1, 256, 215)).shape == (1, 16)


def test_tensorflow_same_padding_worked_by_hand() -> None:
    # ceil(5/2) = 3 outputs reach over (3-1)*2+2 = 6 cells: one more than there are, and it comes last.
    assert same_padding(5, 2, 2) == (0, 1)
    assert same_padding(6, 2, 2) == (0, 0)
    assert same_padding(6, 3, 2) == (0, 1)  # 3 outputs reach over 7
    assert same_padding(5, 3, 2) == (1, 1)  # 3 outputs reach over 7 of 5
    assert same_padding(4, 4, 1) == (1, 2)
    assert same_padding(9, 1, 2) == (0, 0)
    x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    expected = torch.tensor([[[[0.0, 1.0, 2.0, 3.0, 0.0, 0.0], [0.0, 4.0, 5.0, 6.0, 0.0, 0.0]]]])
    assert torch.equal(pad_same(x, (1, 4), (1, 1)), expected)
    expected = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [0.0, 0.0, 0.0]]]])
    assert torch.equal(pad_same(x, (2, 1), (1, 1)), expected)


def test_same_pool_worked_by_hand() -> None:
    x = torch.tensor([[[[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0], [-7.0, -8.0, -9.0]]]])
    assert torch.equal(max_pool_same(x, (2, 1), (2, 1)), torch.tensor([[[[-1.0, -2.0, -3.0], [-7.0, -8.0, -9.0]]]]))
    assert torch.equal(max_pool_same(x, (3, 3), (2, 2)), torch.tensor([[[[-1.0, -2.0], [-4.0, -5.0]]]]))
    # 4 columns, kernel 3, stride 2: the one padded column comes after, so windows start at 0 and 2.
    row = torch.tensor([[[[-4.0, -3.0, -2.0, -9.0]]]])
    assert torch.equal(max_pool_same(row, (1, 3), (1, 2)), torch.tensor([[[[-2.0, -2.0]]]]))


def test_long_kernel_worked_by_hand() -> None:
    # 5 frames, divisor 2 -> kernel 2, stride 2, "same": windows (1 2) (3 4) (5 0).
    network = create("time", InputSpec(1, 1, 5), 2, divisors="2", long_width=1, separable_length=1)
    with torch.no_grad():
        network.long[0].weight.copy_(torch.tensor([[[[10.0, 1.0]]]]))
        x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]])
        assert network.long_layer(x).flatten().tolist() == [12.0, 34.0, 50.0]


@pytest.mark.parametrize("batch, freq_bins, frames", [(3, 256, 215), (2, 163, 139)])
@pytest.mark.parametrize("model", REFERENCES)
def test_outputs_and_gradients_equal_the_plain_transcription(
    model: str, batch: int, freq_bins: int, frames: int
) -> None:
    torch.manual_seed(5)
    plain = reference(model, freq_bins, frames, 7)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):  # negative scales too: then order of pool and scale matters
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.uniform_(module.bias, 0.1, 0.4)
    ours = create(model, InputSpec(1, freq_bins, frames), 7, representation="mel")
    ours.load_state_dict(plain.state_dict())
    x, target = torch.randn(batch, 1, freq_bins, frames), torch.arange(batch)
    for network in (plain, ours):
        nn.functional.cross_entropy(network.train()(x), target).backward()
    wanted = dict(plain.named_parameters())
    for name, p in ours.named_parameters():
        assert_near(p.grad, wanted[name].grad, 1e-3, f"gradient of {name}")
    buffers = dict(plain.named_buffers())
    for name, b in ours.named_buffers():
        assert_near(b, buffers[name], 1e-4, name)
    with torch.inference_mode():
        assert_near(ours.eval()(x), plain.eval()(x), 1e-4, "logits")


def assert_near(value: torch.Tensor | None, wanted: torch.Tensor | None, share: float, what: str) -> None:
    assert value is not None and wanted is not None, what
    scale = float(wanted.abs().max())
    assert float((value - wanted).abs().max()) <= share * max(scale, 1e-6), what


# --- ill-formed


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
    with pytest.raises(ConfigError, match="kernel of 3 is longer than what is left, 2, of the frequency axis of 24"):
        create("simple", InputSpec(1, 24, 215), 3, representation="mel")


def test_every_shape_without_problems_builds_and_runs() -> None:
    for name in REFERENCES:
        config = ModelConfig.registry[name]()
        edge = [s for s in range(1, 140) if not config.shape_problems(InputSpec(1, s, s), 2)]
        assert edge == list(range(edge[0], 140)), name  # no holes
        shortest = InputSpec(1, edge[0], edge[0])
        assert config.build(shortest, 2).eval()(torch.randn(2, *shortest.shape)).shape == (2, 2)


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
