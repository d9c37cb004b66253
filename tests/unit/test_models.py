"""Simple, Time and Freq: the published counts, paddings by hand, and equality with plain transcriptions."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from tests.unit.reference_models import reference
from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models import count_parameters, create
from tonearm.models.blocks import max_pool_same, pad_same, same_padding

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


# --- counts of the thesis


@pytest.mark.parametrize("model", COUNTS)
def test_parameter_counts_of_the_thesis(model: str) -> None:
    built = [create(model, InputSpec(1, h, 643), 16, representation=r) for r, h in HEIGHTS.items()]
    assert tuple(count_parameters(m) for m in built) == COUNTS[model]


@pytest.mark.parametrize("model", COUNTS)
def test_pictures(model: str) -> None:
    network = create(model, InputSpec(3, 32, 32), 100, representation="cifar")
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 100)


def separable(kernel: int, *widths: int) -> int:
    """Depthwise, pointwise, and four numbers of normalisation a channel."""
    return sum(kernel * i + i * o + 4 * o for i, o in pairwise(widths))


#: Six kernels 3 x 3; four of 9 on the six long kernels' two channels each.
SIMPLE_TAIL = 8 * 16 * 9 + 4 * 16 + separable(9, 16, 32, 64, 128, 256, 512, 1024)
LONG_TAIL = 4 * 12 + separable(9, 12, 16, 32, 64, 128)
#: On pictures 32 // (3, 4, 5, 6, 7, 10); of 32 rows three pools leave 4.
ON_PICTURES = 2 * 3 * (10 + 8 + 6 + 5 + 4 + 3) + LONG_TAIL + separable(4, 128, 256)
#: On mel 643 // (4, 8, ... 96) and 256 // (6, 8, ... 64); of 256 rows are left 32, of 643 frames 81.
TIME_ON_MEL = 2 * (160 + 80 + 40 + 20 + 10 + 6) + LONG_TAIL + separable(32, 128, 256)
FREQ_ON_MEL = 2 * (42 + 32 + 21 + 10 + 8 + 4) + LONG_TAIL + separable(81, 128, 256)
PICTURE, MEL = InputSpec(3, 32, 32), InputSpec(1, 256, 643)


@pytest.mark.parametrize(
    "model, representation, inputs, outputs, by_hand, count",
    [
        ("simple", "cifar", PICTURE, 100, 3 * 8 * 9 + 4 * 8 + SIMPLE_TAIL + 1024 * 100 + 100, 819_980),
        ("time", "cifar", PICTURE, 100, ON_PICTURES + 256 * 100 + 100, 73_288),
        ("freq", "cifar", PICTURE, 100, ON_PICTURES + 256 * 100 + 100, 73_288),
        ("simple", "mel", MEL, 161, 8 * 9 + 4 * 8 + SIMPLE_TAIL + 1024 * 161 + 161, 882_361),
        ("simple", "mel", MEL, 800, 8 * 9 + 4 * 8 + SIMPLE_TAIL + 1024 * 800 + 800, 1_537_336),
        ("time", "mel", MEL, 161, TIME_ON_MEL + 256 * 161 + 161, 92_965),
        ("time", "mel", MEL, 800, TIME_ON_MEL + 256 * 800 + 800, 257_188),
        ("freq", "mel", MEL, 161, FREQ_ON_MEL + 256 * 161 + 161, 98_839),
        ("freq", "mel", MEL, 800, FREQ_ON_MEL + 256 * 800 + 800, 263_062),
    ],
)
def test_parameter_counts_worked_by_hand(
    model: str, representation: str, inputs: InputSpec, outputs: int, by_hand: int, count: int
) -> None:
    with torch.device("meta"):
        network = create(model, inputs, outputs, representation=representation)
    assert count_parameters(network) == by_hand == count


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


#: Share of a gradient; the plain float32 transcription itself strays from float64 by up to 1 % in Simple.
ROUNDING = {"simple": 5e-2, "time": 1e-2, "freq": 1e-2}


def with_signs(network: nn.Module) -> nn.Module:
    """Negative scales too: then the order of scaling and pooling matters."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            nn.init.uniform_(module.bias, 0.1, 0.4)
    return network


def assert_near(value: torch.Tensor | None, wanted: torch.Tensor | None, share: float, what: str) -> None:
    """In root mean square: where two values are all but equal, rounding decides which one a pool lets through."""
    assert value is not None and wanted is not None, what
    difference = (value.double() - wanted.double()).norm()
    assert float(difference) <= share * max(float(wanted.double().norm()), 1e-6), f"{what} is off by {difference}"


@pytest.mark.parametrize("batch, freq_bins, frames", [(3, 256, 215), (2, 163, 201)])
@pytest.mark.parametrize("model", REFERENCES)
def test_outputs_and_gradients_equal_the_plain_transcription(
    model: str, batch: int, freq_bins: int, frames: int
) -> None:
    torch.manual_seed(5)
    plain = with_signs(reference(model, freq_bins, frames, 7)).double()
    ours = create(model, InputSpec(1, freq_bins, frames), 7, representation="mel")
    ours.load_state_dict(plain.state_dict())
    x, target = torch.randn(batch, 1, freq_bins, frames), torch.arange(batch)
    nn.functional.cross_entropy(plain.train()(x.double()), target).backward()
    nn.functional.cross_entropy(ours.train()(x), target).backward()
    wanted = dict(plain.named_parameters())
    for name, p in ours.named_parameters():
        assert_near(p.grad, wanted[name].grad, ROUNDING[model], f"gradient of {name}")
    buffers = dict(plain.named_buffers())
    for name, b in ours.named_buffers():
        assert_near(b, buffers[name], 1e-5, name)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x).double(), plain.eval()(x.double()), rtol=1e-4, atol=1e-5)


SHAPES = {  # paddings, strides, pools and channels that mel does not have
    "cifar": InputSpec(3, 32, 32),
    "mfcc": InputSpec(2, 12, 190),
    "cqt": InputSpec(2, 168, 131),
    "stft_halved": InputSpec(1, 1024, 150),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", SHAPES)
@pytest.mark.parametrize("model", ["time", "freq"])
def test_both_executions_are_one_network(model: str, variant: str, training: bool) -> None:
    torch.manual_seed(11)
    fused, plain = (create(model, SHAPES[variant], 3, representation=variant, widths="7,10,13,9") for _ in range(2))
    plain.load_state_dict(with_signs(fused).state_dict())
    plain.features = plain.plain_features
    x, target = torch.randn(3, *SHAPES[variant].shape), torch.arange(3)
    with torch.inference_mode():  # memory kept from here must serve training too
        fused.eval()(x)
    outputs = [network.train(training)(x) for network in (fused, plain)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for out in outputs:
        nn.functional.cross_entropy(out, target).backward()
    for (name, a), b in zip(fused.named_parameters(), plain.parameters(), strict=True):
        assert_near(a.grad, b.grad, 2e-2, f"gradient of {name}")
    for (name, a), b in zip(fused.named_buffers(), plain.buffers(), strict=True):
        assert_near(a, b, 1e-5, name)


@pytest.mark.parametrize("model, shape", [("playlist_cnn", (1, 17, 40)), ("spec2d", (2, 24, 70))])
def test_memory_layout_changes_neither_outputs_nor_gradients(model: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(13)
    network = create(model, InputSpec(*shape), 3, dropout=0.0).train()
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    kernels = [layer.weight for layer in network.convolutions if isinstance(layer, nn.Conv2d)]
    assert kernels and all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    x, target = torch.rand(3, *shape), torch.arange(3)
    maps = plain.fold(x) if model == "spec2d" else x
    for layer in plain.convolutions:
        maps = layer(maps)
        maps = nn.functional.relu(nn.functional.max_pool2d(maps, 2)) if model == "playlist_cnn" else maps
    assert maps.is_contiguous()
    wanted = plain.classifier(plain.hidden(maps.flatten(1)) if model == "spec2d" else maps.flatten(1))
    found = network(x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    for logits in (found, wanted):
        nn.functional.cross_entropy(logits, target).backward()
    for (name, a), b in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert_near(a.grad, b.grad, 1e-2, f"gradient of {name}")


def test_threads_change_nothing() -> None:
    threads = torch.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            model = small("time").train()
            torch.manual_seed(1)
            x = torch.randn(3, *SMALL.shape)
            model.trunk_output(x).square().sum().backward()
            found.append([p.grad.clone() for p in model.trunk_parameters()])
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_a_gradient_of_the_input_is_there_when_asked_for() -> None:
    model = small("freq").eval()
    x = torch.randn(2, *SMALL.shape, requires_grad=True)
    model(x).sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0


def test_two_forward_passes_before_backward_do_not_mix() -> None:
    model = small("time").eval()
    x, y = torch.randn(2, 2, *SMALL.shape)
    separate = [torch.autograd.grad(model(v).square().sum(), model.long[0].weight)[0] for v in (x, y)]
    together = torch.autograd.grad(model(x).square().sum() + model(y).square().sum(), model.long[0].weight)[0]
    torch.testing.assert_close(together, separate[0] + separate[1])


def test_a_second_backward_pass_says_so() -> None:
    loss = small("time")(torch.randn(2, *SMALL.shape)).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(TrainingError, match="second backward pass"):
        loss.backward()


def test_a_diverged_network_is_seen_to_diverge() -> None:
    model = small("time").train()
    x = torch.randn(2, *SMALL.shape)
    x[0, 0, 3, 4] = float("nan")
    assert model(x).isnan().any()
