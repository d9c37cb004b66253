"""The four danceability networks: counts and sizes by hand, plain transcriptions, folding and scaling."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, Network, Spec2dConfig, Wav1dConfig, Wav2dConfig, count_parameters, create
from tonearm.models.danceability import BlocksConfig, FoldedNetwork, WaveformNetwork, unit_range

WINDOW, MEL = InputSpec(2, 1, 661_500), InputSpec(2, 24, 2_584)


def plain_range(x: Tensor) -> Tensor:
    """As the source has it: to zero mean and unit deviation, then to 0-1, an example at a time."""
    out = []
    for example in x:
        scaled = (example - example.mean()) / example.std()
        out.append((scaled - scaled.min()) / (scaled.max() - scaled.min()))
    return torch.stack(out)


def randomised(network: Network) -> Network:
    """Running statistics and scales that are not at their start, so that their order matters."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.weight, -1.5, 1.5)
            for value in (module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.1, 0.9)
    return network.eval()


def load_in_order(plain: nn.Module, network: nn.Module) -> nn.Module:
    """The plain layers with the network's numbers, in the same order."""
    own = network.state_dict().values()
    plain.load_state_dict(dict(zip(plain.state_dict(), own, strict=True)))
    return plain.eval()


def dense(*sizes: int) -> int:
    return sum(i * o + o for i, o in pairwise(sizes))


# --- sizes, by hand

#: A waveform's branch: two convolutions with offsets, a batch normalisation of 4 numbers a channel after each.
BRANCH_1D = (8 * 100 + 8) + 4 * 8 + (16 * 8 * 100 + 16) + 4 * 16
BRANCH_2D = (8 * 450 + 8) + 4 * 8 + (16 * 8 * 450 + 16) + 4 * 16
#: Kernels of 3 * 4. 24 x 2584 -> 16 x 2572 -> 8 x 1286 -> 2 x 1277 -> 1 x 638.
BLOCKS_2D = (
    (2 * 16 * 12 + 16) + 3 * (16 * 16 * 12 + 16) + 4 * 16 + (16 * 32 * 12 + 32) + 2 * (32 * 32 * 12 + 32) + 4 * 32
)
#: Kernels of 12, 12, 18, 18, 8 and 8 cells.
BLOCKS_3D = (
    (2 * 16 * 12 + 16) + (16 * 16 * 12 + 16) + 4 * 16
    + (16 * 16 * 18 + 16) + (16 * 32 * 18 + 32) + 4 * 32
    + 2 * (32 * 32 * 8 + 32) + 4 * 32
)  # fmt: skip
COUNTS = {
    "wav1d": (WINDOW, 2 * BRANCH_1D + dense(2 * 16 * 64, 256, 64, 1)),
    "wav2d": (WINDOW, 2 * BRANCH_2D + dense(2 * 16 * 64, 256, 64, 1)),
    "spec2d": (MEL, BLOCKS_2D + dense(32 * 1 * 638, 128, 64, 32, 1)),
    "spec3d": (MEL, BLOCKS_3D + dense(32 * 5 * 5 * 12, 128, 64, 32, 1)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_worked_by_hand(name: str) -> None:
    inputs, wanted = COUNTS[name]
    with torch.device("meta"):
        assert count_parameters(create(name, inputs, 1)) == wanted < 5_000_000


def test_a_mono_waveform_has_one_branch() -> None:
    network = create("wav1d", InputSpec(1, 1, 5_000), 3)
    assert count_parameters(network) == BRANCH_1D + dense(16 * 64, 256, 64, 3)
    assert network.eval()(torch.randn(2, 1, 1, 5_000)).shape == (2, 3)


@pytest.mark.parametrize(
    "config, shortest",
    [
        # (904 - 100) // 4 + 1 = 202 -> pooled 101 -> 2 -> pooled 1
        (Wav1dConfig(stride=4), InputSpec(2, 1, 904)),
        # 40 -> 31 -> 15 -> 6 -> 3 rows of (605 - 45) // 4 + 1 = 141 -> 47 -> 3 -> 1 samples
        (Wav2dConfig(rows=40, stride=4), InputSpec(2, 1, 40 * 605)),
        # 24 -> 16 -> 8 -> 2 -> 1 bands, 34 -> 22 -> 11 -> 2 -> 1 frames
        (Spec2dConfig(), InputSpec(2, 24, 34)),
    ],
)
def test_the_shortest_input_builds_and_runs(config: BlocksConfig, shortest: InputSpec) -> None:
    rows = config.rows if isinstance(config, Wav2dConfig) else 1
    shorter = InputSpec(shortest.channels, shortest.freq_bins, shortest.frames - rows)
    assert config.shape_problems(shorter, 1)
    assert not config.shape_problems(shortest, 1)
    assert config.build(shortest, 1).eval()(torch.randn(1, *shortest.shape)).shape == (1, 1)


def test_convolutions_and_hidden_layers_begin_as_he_initialised() -> None:
    torch.manual_seed(0)
    network = create("spec2d", InputSpec(2, 24, 70), 1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) or (isinstance(module, nn.Linear) and module is not network.classifier):
            fan_in = module.weight[0].numel()
            assert float(module.weight.std().detach()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.15)
            assert module.bias is not None and not module.bias.any()


# --- equality with plain transcriptions


def test_spec2d_equals_a_plain_transcription() -> None:
    torch.manual_seed(2)
    network = randomised(create("spec2d", InputSpec(2, 24, 70), 3, widths="4,4,5,5,6,6,7", hidden="9,8,7"))
    blocks = nn.Sequential(
        nn.Conv2d(2, 4, (3, 4)), nn.ReLU(), nn.Conv2d(4, 4, (3, 4)), nn.ReLU(),
        nn.Conv2d(4, 5, (3, 4)), nn.ReLU(), nn.Conv2d(5, 5, (3, 4)), nn.ReLU(),
        nn.MaxPool2d((2, 2)), nn.BatchNorm2d(5),
        nn.Conv2d(5, 6, (3, 4)), nn.ReLU(), nn.Conv2d(6, 6, (3, 4)), nn.ReLU(), nn.Conv2d(6, 7, (3, 4)), nn.ReLU(),
        nn.MaxPool2d((2, 2)), nn.BatchNorm2d(7), nn.Flatten(),
    )  # fmt: skip
    # 70 -> 58 -> 29 -> 20 -> 10 frames
    head = nn.Sequential(
        nn.Linear(7 * 10, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)
    )
    load_in_order(blocks, network.convolutions)
    load_in_order(head, nn.ModuleList([network.hidden, network.classifier]))
    x = torch.randn(3, 2, 24, 70)
    with torch.no_grad():
        vector = blocks(plain_range(x))
        torch.testing.assert_close(network(x), head(vector), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.embed(x), head[:6](vector), rtol=1e-4, atol=1e-5)


def test_spec3d_equals_a_plain_transcription_on_slices() -> None:
    torch.manual_seed(2)
    network = randomised(create("spec3d", InputSpec(2, 24, 20 * 25), 3, widths="3,3,4,4,5,5", hidden="9", slices=20))
    assert isinstance(network, FoldedNetwork)
    blocks = nn.Sequential(
        nn.Conv3d(2, 3, (3, 2, 2)), nn.ReLU(), nn.Conv3d(3, 3, (3, 2, 2)), nn.ReLU(),
        nn.MaxPool3d((2, 2, 2)), nn.BatchNorm3d(3),
        nn.Conv3d(3, 4, (3, 2, 3)), nn.ReLU(), nn.Conv3d(4, 4, (2, 3, 3)), nn.ReLU(),
        nn.MaxPool3d((1, 2, 2)), nn.BatchNorm3d(4),
        nn.Conv3d(4, 5, (2, 2, 2)), nn.ReLU(), nn.Conv3d(5, 5, (2, 2, 2)), nn.ReLU(), nn.BatchNorm3d(5), nn.Flatten(),
    )  # fmt: skip
    load_in_order(blocks, network.convolutions)
    x = torch.randn(2, 2, 24, 500)
    slices = torch.stack([x[..., 25 * i : 25 * (i + 1)] for i in range(20)], dim=3)  # frequency, slice, frame
    with torch.no_grad():
        torch.testing.assert_close(network.vector(x), blocks(plain_range(slices)), rtol=1e-4, atol=1e-5)


def test_wav1d_equals_a_plain_transcription_of_two_branches() -> None:
    torch.manual_seed(2)
    network = randomised(create("wav1d", InputSpec(2, 1, 3_000), 1, widths="3,4", stride=3))
    assert isinstance(network, WaveformNetwork)
    x, parts = torch.randn(2, 2, 1, 3_000), []
    scaled = plain_range(x)
    for channel in (0, 1):
        branch = nn.Sequential(
            nn.Conv1d(1, 3, 100, 3), nn.ReLU(), nn.MaxPool1d(2), nn.BatchNorm1d(3),
            nn.Conv1d(3, 4, 100), nn.ReLU(), nn.MaxPool1d(2), nn.BatchNorm1d(4), nn.AdaptiveAvgPool1d(64), nn.Flatten(),
        )  # fmt: skip
        load_in_order(branch, network.branches[channel])
        parts.append(branch(scaled[:, channel]))
    with torch.no_grad():
        torch.testing.assert_close(network.vector(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


def test_wav2d_equals_a_plain_transcription_of_rows() -> None:
    torch.manual_seed(2)
    network = randomised(create("wav2d", InputSpec(2, 1, 40 * 700), 1, widths="3,4", stride=2, rows=40))
    assert isinstance(network, WaveformNetwork)
    x, parts = torch.randn(2, 2, 1, 28_000), []
    rows = torch.stack([plain_range(x)[:, :, 0, 700 * i : 700 * (i + 1)] for i in range(40)], dim=2)
    for channel in (0, 1):
        branch = nn.Sequential(
            nn.Conv2d(1, 3, (10, 45), (1, 2)), nn.ReLU(), nn.MaxPool2d((2, 3)), nn.BatchNorm2d(3),
            nn.Conv2d(3, 4, (10, 45)), nn.ReLU(), nn.MaxPool2d((2, 3)), nn.BatchNorm2d(4),
            nn.AdaptiveAvgPool2d((8, 8)), nn.Flatten(),
        )  # fmt: skip
        load_in_order(branch, network.branches[channel])
        parts.append(branch(rows[:, channel : channel + 1]))
    with torch.no_grad():
        torch.testing.assert_close(network.vector(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


# --- folding and scaling


def test_unit_range_worked_by_hand() -> None:
    x = torch.tensor([[[-1.0, 0.0], [3.0, 1.0]], [[5.0, 5.0], [5.0, 5.0]], [[0.0, 10.0], [2.0, 4.0]]])
    wanted = [[[0.0, 0.25], [1.0, 0.5]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.2, 0.4]]]
    torch.testing.assert_close(unit_range(x), torch.tensor(wanted))


def test_unit_range_is_the_sources_two_steps_in_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 4, 5) * 7 - 2
    torch.testing.assert_close(unit_range(x), plain_range(x))


def test_silence_has_finite_values_and_gradients() -> None:
    network, x = create("wav1d", InputSpec(2, 1, 2_000), 2), torch.zeros(2, 2, 1, 2_000, requires_grad=True)
    network.train()(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name, inputs", [("wav1d", InputSpec(2, 1, 2_000)), ("spec2d", InputSpec(2, 24, 70))])
def test_scale_and_offset_of_an_example_do_not_matter(name: str, inputs: InputSpec) -> None:
    torch.manual_seed(0)
    network, x = create(name, inputs, 2).eval(), torch.randn(2, *inputs.shape)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(x * 20 - 3), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name, inputs, fields, wanted",
    [
        ("wav2d", WINDOW, {}, (100, 6_615)),
        ("wav2d", InputSpec(2, 1, 661_599), {}, (100, 6_615)),
        ("spec3d", MEL, {}, (24, 38, 68)),
        ("spec3d", InputSpec(2, 24, 2_621), {}, (24, 38, 68)),
    ],
)
def test_what_does_not_fill_a_row_is_dropped(
    name: str, inputs: InputSpec, fields: dict[str, int], wanted: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = ModelConfig.registry[name](**fields).build(inputs, 1)
    assert isinstance(network, FoldedNetwork)
    ramp = torch.arange(inputs.frames, dtype=torch.float64).expand(1, *inputs.shape)
    folded = network.fold(ramp)
    assert folded.shape == (1, 2, *wanted)
    width, rows = wanted[-1], wanted[-2]
    first, last = folded[0, 0].reshape(-1, rows, width)[0], folded[0, 1].reshape(-1, rows, width)[-1]
    torch.testing.assert_close(first, torch.arange(rows * width, dtype=torch.float64).view(rows, width) / last.numel(),
                               atol=1e-3, rtol=0)  # fmt: skip
    assert torch.equal(first, last) and float(last[-1, -1]) == 1.0


@pytest.mark.parametrize("config", [Wav1dConfig, Wav2dConfig])
def test_samples_are_all_read_unless_a_stride_is_chosen(config: type[Wav1dConfig | Wav2dConfig]) -> None:
    assert config().stride == 1
    network = config().build(InputSpec(1, 1, 60_000), 1)
    assert next(m for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)).stride in ((1,), (1, 1))
