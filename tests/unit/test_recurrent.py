"""RNN, LargeRNN and Lyrics: counts, the order of frames, and equality with the cells' equations written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models import LargeRnnConfig, count_parameters, create

TOKENS = InputSpec(1, 6, 5)
TINY: dict[str, object] = {"widths": "3,4", "word_dim": 2}


def gru(x: Tensor, layer: nn.GRU, k: int) -> Tensor:
    """One layer of Cho et al. 2014 with the second bias inside the reset gate, as cuDNN has it."""
    wi, wh, bi, bh = (getattr(layer, f"{n}_l{k}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, states = torch.zeros(len(x), wh.shape[1]), []
    for t in range(x.shape[1]):
        ri, zi, ni = (x[:, t] @ wi.T + bi).chunk(3, 1)
        rh, zh, nh = (h @ wh.T + bh).chunk(3, 1)
        reset, update = (ri + rh).sigmoid(), (zi + zh).sigmoid()
        h = (1 - update) * (ni + reset * nh).tanh() + update * h
        states.append(h)
    return torch.stack(states, 1)


def lstm(x: Tensor, layer: nn.LSTM, k: int) -> Tensor:
    """One layer of Hochreiter and Schmidhuber 1997 with forget gates."""
    wi, wh, bi, bh = (getattr(layer, f"{n}_l{k}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, c, states = torch.zeros(len(x), wh.shape[1]), torch.zeros(len(x), wh.shape[1]), []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ wi.T + bi + h @ wh.T + bh).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states, 1)


def test_the_count_of_the_thesis() -> None:
    assert count_parameters(create("rnn", InputSpec(1, 12, 643), 16, representation="mfcc")) == 1_000_976


def test_counts_worked_by_hand() -> None:
    with torch.device("meta"):
        large = create("large_rnn", InputSpec(1, 12, 643), 16)
        lyrics = create("lyrics", InputSpec(1, 5000, 300), 16)
    upper = 4 * 512 * (256 + 512 + 2) + 4 * 1024 * (512 + 1024 + 2) + 1024 * 16 + 16
    assert count_parameters(large) == 4 * 256 * (12 + 256 + 2) + upper
    assert count_parameters(lyrics) == 5002 * 200 + 4 * 256 * (200 + 256 + 2) + upper


def test_layers_of_one_width_run_as_one() -> None:
    layers = create("rnn", InputSpec(1, 3, 4), 2, widths="5,5,4,5").body.layers
    assert [(type(m), m.input_size, m.hidden_size, m.num_layers) for m in layers] == [
        (nn.GRU, 3, 5, 2), (nn.GRU, 5, 4, 1), (nn.GRU, 4, 5, 1)
    ]  # fmt: skip


def test_a_step_is_a_frame_worked_by_hand() -> None:
    # Two channels of two rows and three frames; the original's reshape would give (1 2 3 4) (5 6 7 8) (9 10 11 12).
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]])
    assert create("rnn", InputSpec(2, 2, 3), 2, widths="3").steps(x).tolist() == [
        [[1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 12]]
    ]


@pytest.mark.parametrize("model, cell", [("rnn", gru), ("large_rnn", lstm)])
def test_outputs_equal_the_equations(model: str, cell: object) -> None:
    torch.manual_seed(2)
    network = create(model, InputSpec(2, 3, 7), 2, widths="4,4,5").eval()
    for p in network.parameters():
        nn.init.uniform_(p, -0.8, 0.8)  # the biases too
    x = torch.randn(3, 2, 3, 7)
    states = torch.stack([torch.cat([x[:, 0, :, t], x[:, 1, :, t]], 1) for t in range(7)], 1)
    for layer in network.body.layers:
        for k in range(layer.num_layers):
            states = cell(states, layer, k)  # type: ignore[operator]
    torch.testing.assert_close(network.embed(x), states[:, -1])
    torch.testing.assert_close(network(x), states[:, -1] @ network.classifier.weight.T + network.classifier.bias)


def test_clips_of_any_length_are_read() -> None:
    network = create("rnn", InputSpec(1, 3, 7), 2, widths="4").eval()
    x = torch.randn(2, 1, 3, 20)
    assert not torch.allclose(network(x), network(x[..., :12]))


def test_weights_start_as_in_keras() -> None:
    torch.manual_seed(0)
    layer = create("large_rnn", InputSpec(1, 40, 9), 2, widths="6").body.layers[0]
    recurrent = layer.weight_hh_l0
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(6))
    assert layer.weight_ih_l0.abs().max() <= (6 / (40 + 24)) ** 0.5
    assert (layer.bias_ih_l0 + layer.bias_hh_l0).tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12  # 1: forget gates
    layer = create("rnn", InputSpec(1, 40, 9), 2, widths="6").body.layers[0]
    assert not layer.bias_ih_l0.any() and not layer.bias_hh_l0.any()


@pytest.mark.parametrize("widths", ["8,8", "8,9"])
def test_dropout_between_layers_acts_in_training_alone(widths: str) -> None:
    torch.manual_seed(1)
    network = create("rnn", InputSpec(1, 3, 4), 2, widths=widths, layer_dropout=0.5)
    x = torch.randn(2, 1, 3, 4)
    assert not torch.equal(network.train().embed(x), network.embed(x))
    assert torch.equal(network.eval().embed(x), network.embed(x))


def test_a_single_layer_ignores_the_dropout_between_layers() -> None:
    network = create("rnn", InputSpec(1, 3, 4), 2, widths="8", layer_dropout=0.5).train()
    x = torch.randn(2, 1, 3, 4)
    assert torch.equal(network.embed(x), network.embed(x))


# --- lyrics


def test_lyrics_read_word_vectors_with_the_large_rnn() -> None:
    torch.manual_seed(4)
    lyrics = create("lyrics", TOKENS, 3, **TINY).eval()
    large = LargeRnnConfig(widths="3,4").build(InputSpec(1, 2, 5), 3).eval()
    large.load_state_dict({n: v for n, v in lyrics.state_dict().items() if not n.startswith("words")})
    ids = torch.tensor([[0, 0, 1, 6, 7], [2, 3, 4, 5, 6]])
    vectors = lyrics.words.weight[ids]  # (batch, length, word_dim)
    torch.testing.assert_close(lyrics(ids), large(vectors.transpose(1, 2).unsqueeze(1)))


def test_whole_numbers_of_any_type_and_shape_are_tokens() -> None:
    network = create("lyrics", TOKENS, 3, **TINY).eval()
    ids = torch.tensor([[0, 0, 1, 6, 7], [2, 3, 4, 5, 6]])
    shapes = (ids, ids.unsqueeze(1), ids[:, None, None])
    for same in (*shapes, *(s.float() for s in shapes), ids.to(torch.int32), ids.to(torch.uint8)):
        assert torch.equal(network(same), network(ids))


def test_one_hot_words_are_tokens_and_empty_columns_padding() -> None:
    network = create("lyrics", TOKENS, 3, **TINY).eval()
    words = torch.zeros(2, 1, 6, 5)
    for example, place, row in ((0, 2, 0), (0, 3, 5), (0, 4, 3), (1, 0, 1), (1, 1, 2), (1, 2, 2), (1, 3, 4), (1, 4, 0)):
        words[example, 0, row, place] = 1
    assert torch.equal(network(words), network(torch.tensor([[0, 0, 1, 6, 4], [2, 3, 3, 5, 1]])))


def test_padding_has_no_vector_and_never_learns() -> None:
    network = create("lyrics", TOKENS, 3, **TINY).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(torch.tensor([[0, 0, 1, 7, 3]])).square().sum().backward()
    moved = network.words.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, True, False, True, False, False, False, True]
    optimizer.step()
    assert not network.words.weight[0].any()
