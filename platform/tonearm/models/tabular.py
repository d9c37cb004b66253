"""TabularMLP: a few numbers about each track, such as Spotify's audio features (Arriojas)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import DropoutConfig, least_problems, list_problems, parse_numbers, vector_problems
from tonearm.models.dense import Activation, DenseNetwork


class TabularMlpConfig(DropoutConfig, kind="tabular_mlp"):
    """Dense layers; the input's shape is (1, n, 1).

    Attributes
    ----------
    hidden
        Units of the hidden layers, a comma list; a layer of 10 in the source.
    activation
        After each hidden layer.
    batch_norm
        Whether to normalise each hidden layer before its activation.
    dropout
        Share of each hidden layer's outputs set to zero in training, 0 <= dropout < 1.
    embedding
        ``"periodic"`` first turns each number into a vector, by sines and cosines of learned frequencies, a dense
        layer of its own and a rectifier (Gorishniy et al. 2022, *On Embeddings for Numerical Features in Tabular Deep
        Learning*): then dense layers can follow what trees can, dependences that are not smooth.
    frequencies
        Of each number, where embedded.
    frequency_scale
        Deviation of the frequencies at the start, > 0, in cycles a unit of input: the higher, the less smooth. The
        source tries 0.01 to 100.
    embedding_dim
        Length of a number's vector, where embedded.
    """

    hidden: str = "10"
    activation: Activation = "relu"
    batch_norm: bool = False
    embedding: Literal["none", "periodic"] = "none"
    frequencies: int = 16
    frequency_scale: float = 1.0
    embedding_dim: int = 8

    def problems(self) -> list[str]:
        found = super().problems() + list_problems("hidden", self.hidden, "256,128")
        found += least_problems(1, frequencies=self.frequencies, embedding_dim=self.embedding_dim)
        if not 0 < self.frequency_scale < math.inf:
            found.append(f"frequency_scale is {self.frequency_scale}: it must be above 0 and finite")
        return found

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        return super().shape_problems(inputs, outputs) + vector_problems(inputs, "a row of a table")

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return TabularNetwork(self, inputs.freq_bins, outputs)


class TabularNetwork(DenseNetwork):
    """It takes (batch, 1, n, 1) or (batch, n); the embedding is the last hidden layer."""

    def __init__(self, config: TabularMlpConfig, numbers: int, outputs: int) -> None:
        periodic = config.embedding == "periodic"
        super().__init__(
            numbers * config.embedding_dim if periodic else numbers,
            parse_numbers(config.hidden) or (),
            outputs,
            config.dropout,
            config.activation,
            config.batch_norm,
        )
        self.numbers: nn.Module = Periodic(config, numbers) if periodic else nn.Identity()

    def vector(self, x: Inputs) -> Tensor:
        values: Tensor = self.numbers(one_input(x).flatten(1))
        return values


class Periodic(nn.Module):
    """Each of n numbers to a vector: relu(W [sin(2 pi c x), cos(2 pi c x)] + b), with a c, W and b of its own.

    (batch, n) to (batch, n * embedding_dim).
    """

    def __init__(self, config: TabularMlpConfig, numbers: int) -> None:
        super().__init__()
        waves, dim = 2 * config.frequencies, config.embedding_dim
        self.frequencies = nn.Parameter(torch.randn(numbers, config.frequencies) * config.frequency_scale)
        self.weight = nn.Parameter(torch.randn(numbers, waves, dim) * math.sqrt(2 / waves))  # He et al. 2015
        self.bias = nn.Parameter(torch.zeros(numbers, dim))

    def forward(self, x: Tensor) -> Tensor:
        angles = 2 * math.pi * self.frequencies * x.unsqueeze(-1)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return F.relu(torch.einsum("bnw,nwd->bnd", waves, self.weight) + self.bias).flatten(1)
