"""Recurrent, text, picture, playlist, pooling and table models that cannot be built or fed: every reason is named."""

from __future__ import annotations

import re

import pytest
import torch

from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.types import InputSpec
from tonearm.models import ModelConfig, PlaylistCnnConfig, TabularMlpConfig, TemporalPoolingConfig, create


@pytest.mark.parametrize(
    "model, fields, said",
    [
        ("rnn", {"widths": ""}, "widths is ''"),
        ("large_rnn", {"widths": "256,0"}, "widths is '256,0'"),
        ("rnn", {"layer_dropout": 1.0}, "layer_dropout is 1.0"),
        ("rnn", {"dropout": -0.1}, "dropout is -0.1"),
        ("rnn", {"dropout": float("nan")}, "dropout is nan"),
        ("lyrics", {"word_dim": 0}, "word_dim is 0"),
        ("albums", {"width_mult": 0.0}, "width_mult is 0.0"),
        ("albums", {"width_mult": float("inf")}, "width_mult is inf"),
        ("albums", {"width_mult": float("nan")}, "width_mult is nan"),
        ("time_freq", {"l2": float("nan")}, "l2 is nan: it must be at least 0 and finite"),
        ("genre_ensemble", {"l2": float("inf")}, "l2 is inf: it must be at least 0 and finite"),
        ("playlist_cnn", {"padding": 3}, "padding is 3: it must be below the kernel of 3"),
        ("playlist_cnn", {"padding": -1}, "padding is -1"),
        ("temporal_pooling", {"pools": "4,2"}, "pools is '4,2' for widths of '256,256,256,512'"),
        ("temporal_pooling", {"hidden": "none"}, "hidden is 'none'"),
        ("temporal_pooling", {"norm": "l1"}, "'l1' is none of 'l2', 'rms'"),
        ("tabular_mlp", {"frequency_scale": 0.0}, "frequency_scale is 0.0"),
        ("tabular_mlp", {"frequency_scale": float("nan")}, "frequency_scale is nan"),
        ("tabular_mlp", {"activation": "selu"}, "'selu' is none of 'relu', 'tanh', 'gelu'"),
    ],
)
def test_a_bad_field_is_named_with_its_value(model: str, fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        ModelConfig.from_dict({"kind": model, **fields})


def test_all_that_is_wrong_is_named_at_once() -> None:
    for config, fields, count in (
        (PlaylistCnnConfig, {"blocks": 0, "channels": 0, "kernel": 0, "padding": -1, "dropout": 1.0}, 5),
        (TemporalPoolingConfig, {"widths": "x", "pools": "", "hidden": "0", "kernel": 0, "dropout": 2.0}, 5),
        (TabularMlpConfig, {"hidden": "", "frequencies": 0, "embedding_dim": 0, "frequency_scale": -1.0}, 4),
    ):
        with pytest.raises(ConfigError) as error:
            config(**fields)
        assert len(error.value.problems) == count


@pytest.mark.parametrize(
    "model, spec, said",
    [
        ("lyrics", InputSpec(2, 100, 20), "tokens have the shape (1, vocabulary, length)"),
        ("albums", InputSpec(1, 64, 64), "the input has 1 channels: a picture has 3"),
        ("albums", InputSpec(3, 64, 31), "the picture's width is 31"),
        ("albums", InputSpec(3, 16, 64), "the picture's height is 16"),
        ("tabular_mlp", InputSpec(1, 13, 2), "a row of a table has the shape (1, n, 1)"),
        ("tabular_mlp", InputSpec(2, 13, 1), "a row of a table has the shape (1, n, 1)"),
        ("artist_table", InputSpec(1, 20, 3), "a table of artists has the shape (1, n, 1)"),
        ("temporal_pooling", InputSpec(1, 128, 3), "3 frames are left of the time axis of 3 before layer 1"),
        ("temporal_pooling", InputSpec(1, 128, 40), "3 frames are left of the time axis of 40 before layer 3"),
    ],
)
def test_a_shape_that_cannot_work_is_named(model: str, spec: InputSpec, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{model}: ") + ".*" + re.escape(said)):
        create(model, spec, 4)


def test_playlist_kernels_longer_than_an_axis() -> None:
    with pytest.raises(ConfigError) as error:
        create("playlist_cnn", InputSpec(1, 6, 100), 4, kernel=5, padding=0, blocks=2)
    assert error.value.problems == [
        "playlist_cnn: 2 blocks of a kernel of 5 and a pool of 2 leave nothing of the frequency axis of 6: give a "
        "longer frequency axis, fewer blocks, a smaller kernel or more padding"
    ]


SHORTEST = {
    "playlist_cnn": ({"padding": 0, "blocks": 2, "channels": 2}, 10),  # 10 8 4 2 1
    "temporal_pooling": ({"widths": "3,3,3,3", "hidden": "4"}, 103),  # 103 100 25 22 11 8 4 1
    "albums": ({"width_mult": 0.1}, 32),
}


@pytest.mark.parametrize("model", SHORTEST)
def test_the_shortest_shape_without_problems_builds_and_runs(model: str) -> None:
    fields, shortest = SHORTEST[model]
    config = ModelConfig.from_dict({"kind": model, **fields})
    channels = 3 if model == "albums" else 1
    assert config.shape_problems(InputSpec(channels, shortest - 1, shortest - 1), 2)
    spec = InputSpec(channels, shortest, shortest)
    assert config.build(spec, 2).eval()(torch.randn(2, *spec.shape)).shape == (2, 2)


@pytest.mark.parametrize(
    "tokens, value",
    [
        (torch.tensor([[0, 8]]), "8"),
        (torch.tensor([[-1, 3]]), "-1"),
        (torch.tensor([[1.0, 2.5]]), "2.5"),
        (torch.tensor([[1.0, float("nan")]]), "nan"),
        (torch.tensor([[float("inf"), 1.0]]), "inf"),
    ],
)
def test_a_token_beyond_the_vocabulary_is_named(tokens: torch.Tensor, value: str) -> None:
    network = create("lyrics", InputSpec(1, 6, 2), 3, widths="3", word_dim=2)
    assert network(torch.tensor([[0, 7]])).shape == (1, 3)  # padding and the rare word
    said = f"a token is {value}: ids are whole numbers within 0 and 7; 0 is padding, 7 stands for every word beyond"
    with pytest.raises(TrainingError, match=re.escape(said)):
        network(tokens)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (2, 1, 4, 1), (2, 1, 5, 4), (2, 6, 4), (2, 1, 1, 1, 4)])
def test_tokens_of_another_shape(shape: tuple[int, ...]) -> None:
    network = create("lyrics", InputSpec(1, 6, 4), 3, widths="3", word_dim=2)
    with pytest.raises(TrainingError, match=re.escape(f"tokens of shape {shape}: give whole numbers")):
        network(torch.zeros(shape))


@pytest.mark.parametrize("ids", [torch.tensor([5]), torch.tensor([0, -1]), torch.tensor([[0, 5]])])
def test_an_artist_beyond_the_table_is_named(ids: torch.Tensor) -> None:
    network = create("artist_table", InputSpec(1, 5, 1), 3)
    bad = int(ids[(ids < 0) | (ids > 4)][0])
    with pytest.raises(TrainingError, match=f"an artist's id is {bad}: .* within 0 and 4; the table has 5 rows"):
        network(ids)


@pytest.mark.parametrize(
    "given",
    [
        torch.tensor(3),
        torch.tensor([[0, 1, 2]]),
        torch.zeros(2, 1, 5, 1, dtype=torch.int64),
        torch.zeros(5),
        torch.zeros(2, 4),
        torch.zeros(2, 2, 5, 1),
    ],
)
def test_artists_of_another_shape(given: torch.Tensor) -> None:
    network = create("artist_table", InputSpec(1, 5, 1), 3)
    with pytest.raises(TrainingError, match=re.escape(f"artists of shape {tuple(given.shape)} and type")):
        network(given)


def test_pairs_have_no_single_vector() -> None:
    network = create("artist_table", InputSpec(1, 5, 1), 3)
    with pytest.raises(TrainingError, match="to forward also pairs"):
        network.embed(torch.tensor([[0, 1]]))


@pytest.mark.parametrize("model, spec", [("rnn", InputSpec(1, 4, 5)), ("tabular_mlp", InputSpec(1, 4, 1)),
                                         ("artist_table", InputSpec(1, 4, 1))])  # fmt: skip
def test_several_inputs_to_a_network_of_one(model: str, spec: InputSpec) -> None:
    with pytest.raises(TrainingError, match="takes one input, it was given 2: a, b"):
        create(model, spec, 2)({"a": torch.zeros(1, *spec.shape), "b": torch.zeros(1, *spec.shape)})


@pytest.mark.parametrize("cell", [2.0, 0.5, -1.0, float("nan"), 1.0])
def test_words_that_are_not_one_hot(cell: float) -> None:
    words = torch.zeros(2, 1, 6, 4)
    words[1, 0, 3, 2], words[1, 0, 5, 2] = 1, cell  # two ones are none too
    with pytest.raises(TrainingError, match="1 of 8 words are not one-hot"):
        create("lyrics", InputSpec(1, 6, 4), 3, widths="3", word_dim=2)(words)
