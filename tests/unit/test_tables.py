"""TabularMLP and ArtistTable: counts, inputs of every accepted form, and values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tonearm.core.types import InputSpec
from tonearm.models import count_parameters, create

# --- tabular


def test_arriojas_network_has_one_hidden_layer_of_10() -> None:
    network = create("tabular_mlp", InputSpec(1, 13, 1), 9)
    assert count_parameters(network) == 13 * 10 + 10 + 10 * 9 + 9
    assert network.embedding_dim == 10


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_tabular_layers_worked_by_hand(activation: str) -> None:
    network = create("tabular_mlp", InputSpec(1, 2, 1), 1, hidden="1", activation=activation)
    with torch.no_grad():
        network.hidden.layers[0].weight.copy_(torch.tensor([[2.0, -1.0]]))
        network.hidden.layers[0].bias.copy_(torch.tensor([0.5]))
    sums = (1.0, -0.5)  # of (1, 1.5) and (0, 1)
    wanted = {
        "relu": [1.0, 0.0],
        "tanh": [math.tanh(v) for v in sums],
        "gelu": [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in sums],
    }
    rows = torch.tensor([[1.0, 1.5], [0.0, 1.0]])
    torch.testing.assert_close(network.embed(rows).flatten(), torch.tensor(wanted[activation]))


@pytest.mark.parametrize("embedding", ["none", "periodic"])
def test_rows_and_examples_are_one(embedding: str) -> None:
    network = create("tabular_mlp", InputSpec(1, 5, 1), 3, embedding=embedding)
    rows = torch.rand(4, 5)
    assert torch.equal(network(rows), network(rows[:, None, :, None]))


def test_tabular_count_with_all_parts_worked_by_hand() -> None:
    network = create(
        "tabular_mlp", InputSpec(1, 5, 1), 3, hidden="20,10", batch_norm=True, embedding="periodic", frequencies=6,
        embedding_dim=4,
    )  # fmt: skip
    numbers = 5 * 6 + 5 * 12 * 4 + 5 * 4
    assert count_parameters(network) == numbers + (20 * 20 + 20) + (20 * 10 + 10) + 4 * (20 + 10) + 10 * 3 + 3


def test_periodic_embedding_equals_its_formula() -> None:
    torch.manual_seed(3)
    network = create("tabular_mlp", InputSpec(1, 3, 1), 2, embedding="periodic", frequencies=2, embedding_dim=4)
    layer, x = network.numbers.requires_grad_(False), torch.rand(2, 3)
    nn.init.uniform_(layer.bias, -0.3, 0.3)
    for row in range(2):
        for n in range(3):
            angles = [2 * math.pi * float(c) * float(x[row, n]) for c in layer.frequencies[n]]
            waves = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            for d in range(4):
                weighted = sum(w * float(v) for w, v in zip(waves, layer.weight[n, :, d], strict=True))
                found = float(layer(x)[row, 4 * n + d])
                assert found == pytest.approx(max(0.0, weighted + float(layer.bias[n, d])), abs=1e-5)


def test_frequencies_start_with_the_deviation_asked_for() -> None:
    torch.manual_seed(0)
    network = create(
        "tabular_mlp", InputSpec(1, 50, 1), 2, embedding="periodic", frequencies=40, frequency_scale=3.0
    )  # fmt: skip
    assert float(network.numbers.frequencies.detach().std()) == pytest.approx(3.0, rel=0.1)


def test_periodic_embedding_learns_what_a_small_plain_layer_does_not() -> None:
    x = torch.linspace(0, 1, 128).unsqueeze(1)
    y = (x * 6).floor() % 2  # six steps up and down
    errors = {}
    for embedding in ("none", "periodic"):
        torch.manual_seed(5)
        network = create("tabular_mlp", InputSpec(1, 1, 1), 1, embedding=embedding, frequency_scale=4.0)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(150):
            loss = nn.functional.binary_cross_entropy_with_logits(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors[embedding] = float(loss.detach())
    assert errors["periodic"] < 0.2 < 0.5 < errors["none"]


@pytest.mark.parametrize("dropout, same", [(0.0, True), (0.5, False)])
def test_tabular_layers_drop_out_in_training(dropout: float, same: bool) -> None:
    torch.manual_seed(1)
    network = create("tabular_mlp", InputSpec(1, 6, 1), 3, hidden="16,16", dropout=dropout).train()
    x = torch.randn(4, 6)
    assert torch.equal(network.embed(x), network.embed(x)) is same


# --- artists


def table(**fields: object) -> nn.Module:
    torch.manual_seed(6)
    return create("artist_table", InputSpec(1, 5, 1), 3, **fields)


def test_artist_table_is_rows_a_scale_and_a_bias() -> None:
    with torch.device("meta"):
        assert count_parameters(create("artist_table", InputSpec(1, 109_883, 1), 800)) == 109_883 * 800 + 2


def test_rows_start_about_as_long_as_one() -> None:
    torch.manual_seed(0)
    lengths = create("artist_table", InputSpec(1, 200, 1), 100).table.weight.detach().norm(dim=1)
    assert float(lengths.mean()) == pytest.approx(1.0, abs=0.02)


def test_ids_one_hot_rows_and_examples_give_the_same_vectors() -> None:
    network = table()
    ids = torch.tensor([4, 0, 4])
    rows = nn.functional.one_hot(ids, 5).float()
    for same in (ids, ids.to(torch.int32), ids[:, None], rows, rows[:, None, :, None]):
        torch.testing.assert_close(network(same), network.table.weight[ids])
        torch.testing.assert_close(network.embed(same), network.table.weight[ids])


def test_weights_add_vectors_up() -> None:
    network = table()
    rows = network.table.weight
    wanted = (0.25 * rows[1] + 0.75 * rows[3]).unsqueeze(0)
    torch.testing.assert_close(network(torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]])), wanted)


def test_pairs_worked_by_hand() -> None:
    network = table()
    with torch.no_grad():
        network.table.weight.copy_(torch.tensor([[3.0, 4, 0], [4, 3, 0], [0, 0, 2], [-3, -4, 0], [0, 0, 0]]))
        network.scale.fill_(4.0)
        network.bias.fill_(-0.5)
    pairs = torch.tensor([[0, 1], [0, 2], [0, 3], [2, 2], [0, 4]])  # cosines 24/25, 0, -1, 1, and 0 for no direction
    torch.testing.assert_close(network(pairs), torch.tensor([[3.34], [-0.5], [-4.5], [3.5], [-0.5]]))


def test_pairs_train_rows_scale_and_bias() -> None:
    network = table()
    network(torch.tensor([[0, 1], [1, 2]])).sum().backward()
    assert float(network.scale.grad) != 0 and float(network.bias.grad) == 2.0
    assert (network.table.weight.grad.abs().sum(1) > 0).tolist() == [True, True, True, False, False]


def test_training_on_pairs_brings_related_artists_together() -> None:
    torch.manual_seed(7)
    network = create("artist_table", InputSpec(1, 12, 1), 8)
    group = torch.arange(12) // 4
    pairs = torch.cartesian_prod(torch.arange(12), torch.arange(12))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    related = (group[pairs[:, 0]] == group[pairs[:, 1]]).float().unsqueeze(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(network(pairs), related)
        network.zero_grad()
        loss.backward()
        optimizer.step()
    directions = nn.functional.normalize(network.embed(torch.arange(12)).detach())
    nearest = (directions @ directions.T).fill_diagonal_(-2).topk(3).indices
    assert (group[nearest] == group.unsqueeze(1)).all()
