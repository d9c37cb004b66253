"""TimeFreq and GenreEnsemble: the counts of the thesis, a plain transcription, and members that stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.unit.model_examples import EXAMPLES
from tonearm.core.types import InputSpec
from tonearm.models import (
    FreqConfig,
    GenreEnsembleConfig,
    Network,
    RnnConfig,
    SimpleConfig,
    TimeConfig,
    TimeFreqConfig,
    count_parameters,
    create,
)
from tonearm.models.stacked import MemberSpec, StackedNetwork

HEIGHTS = {"stft": 2049, "stft_halved": 1024, "mel": 256, "cqt": 168, "chroma": 12, "mfcc": 12}
ENSEMBLE = {name: InputSpec(1, HEIGHTS[name], 643) for name in ("stft_halved", "mel", "cqt", "chroma", "mfcc")}
MEMBERS = [
    "time_stft_halved", "freq_stft_halved", "time_mel", "freq_mel", "time_cqt", "freq_cqt", "rnn_chroma", "rnn_mfcc",
]  # fmt: skip


def example(name: str) -> StackedNetwork:
    network = EXAMPLES[name].build(name)
    assert isinstance(network, StackedNetwork)
    return network


def plain_head(network: Network, inputs: int, sizes: list[int], outputs: int) -> nn.Sequential:
    """The dense layers as the thesis lists them, with the network's weights in their order."""
    layers: list[nn.Module] = []
    for i, o in zip([inputs, *sizes], sizes, strict=False):
        layers += [nn.Linear(i, o), nn.ReLU(), nn.Dropout(0.5)]
    head = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))
    own = [*network.hidden.state_dict().values(), *network.classifier.state_dict().values()]
    head.load_state_dict(dict(zip(head.state_dict(), own, strict=True)))
    return head.eval()


# --- counts


def test_parameter_counts_of_time_freq_in_the_thesis() -> None:
    built = [create("time_freq", InputSpec(1, h, 643), 16, representation=r) for r, h in HEIGHTS.items()]
    assert [count_parameters(m) for m in built] == [190_510, 173_366, 160_682, 159_294, 157_200, 157_200]


def test_parameter_count_of_the_genre_ensemble_in_the_thesis() -> None:
    with torch.device("meta"):
        assert count_parameters(create("genre_ensemble", ENSEMBLE, 16)) == 3_157_406


@pytest.mark.parametrize("outputs", [161, 800])
def test_counts_with_other_numbers_of_outputs(outputs: int) -> None:
    # On mel, Time and Freq with 16 outputs have 55 700 and 61 574, of which the dense layer has 256 * 16 + 16.
    members = 55_700 + 61_574 + 2 * 257 * (outputs - 16)
    head = (2 * outputs + 1) * 256 + 257 * 128 + 129 * outputs
    network = create("time_freq", InputSpec(1, 256, 643), outputs, representation="mel")
    assert count_parameters(network) == members + head


def test_pictures() -> None:
    network = create("time_freq", InputSpec(3, 32, 32), 100, representation="cifar")
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 100)


# --- the head


def test_time_freq_equals_a_plain_transcription() -> None:
    torch.manual_seed(5)
    inputs = InputSpec(1, 163, 139)
    time, freq = (create(kind, inputs, 16, representation="mel").eval() for kind in ("time", "freq"))
    network = create("time_freq", inputs, 16, representation="mel").eval()
    network.members["time"].load_state_dict(time.state_dict())
    network.members["freq"].load_state_dict(freq.state_dict())
    head = plain_head(network, 32, [256, 128], 16)
    x = torch.randn(3, 1, 163, 139)
    with torch.no_grad():
        joined = torch.cat([time(x), freq(x)], dim=1)
        torch.testing.assert_close(network(x), head(joined))
        torch.testing.assert_close(network.embed(x), head[:5](joined))  # the second ReLU's output
    assert network.embedding_dim == 128
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout) and m.p] == [0.5, 0.5]


def test_the_ensemble_equals_a_plain_transcription_and_each_member_reads_its_own_input() -> None:
    network = example("genre_ensemble").eval()
    assert list(network.members) == MEMBERS
    x = EXAMPLES["genre_ensemble"].batch(3)
    assert not isinstance(x, Tensor)
    with torch.no_grad():
        joined = torch.cat([network.members[name](x[name.split("_", 1)[1]]) for name in MEMBERS], dim=1)
        head = plain_head(network, 8 * 5, [32, 24, 16], 5)
        torch.testing.assert_close(network(x), head(joined))
        torch.testing.assert_close(network.embed(x), head[:8](joined))


def test_hidden_layers_are_dropped_from_in_training_only() -> None:
    network, x = example("time_freq"), EXAMPLES["time_freq"].batch(4)
    with torch.no_grad():
        assert not torch.equal(network.train()(x), network(x))
        assert torch.equal(network.eval()(x), network(x))


def test_penalty_worked_by_hand() -> None:
    config = TimeFreqConfig(hidden="2,1", l2=0.5, time=TimeConfig(divisors="2"), freq=FreqConfig(divisors="2"))
    network = config.build(InputSpec(1, 163, 139), 1)
    assert isinstance(network, StackedNetwork)
    with torch.no_grad():
        for value in network.hidden.parameters():
            value.fill_(7.0)
        network.hidden.layers[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        network.hidden.layers[1].weight.copy_(torch.tensor([[4.0, 1.0]]))
    penalty = network.penalty()
    assert float(penalty.detach()) == 0.5 * (1 + 4 + 9 + 16 + 1)
    penalty.backward()
    assert network.hidden.layers[1].weight.grad.tolist() == [[4.0, 1.0]]  # 2 * l2 * weight
    assert network.hidden.layers[1].bias.grad is None and network.classifier.weight.grad is None


def test_penalty_of_the_thesis_is_two_thousandths_and_other_networks_have_none() -> None:
    assert TimeFreqConfig().l2 == GenreEnsembleConfig().l2 == 0.002
    assert SimpleConfig().build(InputSpec(1, 163, 139), 2).penalty() is None


# --- the members


@pytest.mark.parametrize("name", ["time_freq", "genre_ensemble"])
def test_members_neither_learn_nor_move_their_running_statistics(name: str) -> None:
    network = example(name)
    before = {n: v.clone() for n, v in network.members.state_dict().items()}
    assert any(n.endswith("running_mean") for n in before)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, weight_decay=0.1)
    for _ in range(2):
        network.train()
        (network(EXAMPLES[name].batch(4)).square().mean() + network.penalty()).backward()
        optimizer.step()
    for n, value in network.members.state_dict().items():
        assert torch.equal(value, before[n]), n
    assert not any(p.requires_grad for p in network.members.parameters())


def test_members_stay_in_evaluation_mode() -> None:
    network = example("genre_ensemble")
    for mode in (True, False, True):
        network.train(mode)
        assert network.training is network.hidden.training is mode
        assert not any(m.training for m in network.members.modules())


def test_members_drop_nothing_and_are_in_evaluation_mode_from_the_start() -> None:
    torch.manual_seed(0)
    fields = {"divisors": "2", "dropout": 0.9}
    network = create("time_freq", InputSpec(1, 163, 139), 3, time=fields, freq=fields)
    x = torch.randn(2, 1, 163, 139)
    assert isinstance(network, StackedNetwork)
    assert torch.equal(network.vector(x), network.vector(x))


def test_the_representation_reaches_both_members() -> None:
    config = TimeFreqConfig().for_representation("chroma")
    assert config.time.variant == config.freq.variant == "chroma"
    inputs = InputSpec(1, 12, 643)
    assert config.member_specs(inputs) == {
        "time": MemberSpec(TimeConfig(variant="chroma"), inputs),
        "freq": MemberSpec(FreqConfig(variant="chroma"), inputs),
    }
    assert TimeFreqConfig(time=TimeConfig(variant="cqt")).for_representation("mel").time.variant == "cqt"


def test_each_member_of_the_ensemble_gets_the_variant_of_its_input() -> None:
    found = GenreEnsembleConfig(time=TimeConfig(long_width=3)).member_specs(ENSEMBLE)
    assert list(found) == MEMBERS
    assert found["time_stft_halved"] == MemberSpec(
        TimeConfig(variant="stft_halved", long_width=3), ENSEMBLE["stft_halved"], "stft_halved"
    )
    assert found["freq_cqt"] == MemberSpec(FreqConfig(variant="cqt"), ENSEMBLE["cqt"], "cqt")
    assert found["rnn_mfcc"] == MemberSpec(RnnConfig(), ENSEMBLE["mfcc"], "mfcc")


def test_a_model_trained_on_its_own_fits_as_a_member() -> None:
    torch.manual_seed(1)
    network = example("genre_ensemble")
    config, specs = GenreEnsembleConfig.from_dict(EXAMPLES["genre_ensemble"].fields), EXAMPLES["genre_ensemble"].specs
    for name, member in config.member_specs(specs).items():
        trained = member.config.build(member.inputs, 5)
        network.members[name].load_state_dict(trained.state_dict())
        x = torch.randn(2, *member.inputs.shape)
        with torch.inference_mode():
            torch.testing.assert_close(network.members[name](x), trained.eval()(x))
