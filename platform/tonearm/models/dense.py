"""Hidden dense layers with ReLU and dropout, which several models end in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.models.base import Inputs
from tonearm.models.blocks import HeadedNetwork, he_init

Activation = Literal["relu", "tanh", "gelu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": F.relu, "tanh": torch.tanh, "gelu": F.gelu}


class DenseStack(nn.Module):
    """Dense layers, an activation after each, dropout between them (none after the last); of no layers, nothing.

    Parameters
    ----------
    inputs
        Length of the vectors that come in.
    sizes
        Outputs of each layer.
    dropout
        Share set to zero in training.
    activation
        After each layer.
    batch_norm
        Whether to normalise before each activation.

    Attributes
    ----------
    outputs
        Length of the vectors that go out.
    """

    def __init__(
        self,
        inputs: int,
        sizes: Sequence[int],
        dropout: float = 0.0,
        activation: Activation = "relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        before: Literal["relu", "tanh"] = "tanh" if activation == "tanh" else "relu"
        self.layers = nn.ModuleList(he_init(nn.Linear(i, o), before) for i, o in pairwise((inputs, *sizes)))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) if batch_norm else nn.Identity() for size in sizes)
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)
        self.outputs = sizes[-1] if sizes else inputs

    def forward(self, x: Tensor) -> Tensor:
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = self.activation(norm(layer(self.dropout(x) if i else x)))
        return x


class DenseNetwork(HeadedNetwork):
    """A network that ends in hidden dense layers, dropout and one dense layer without activation.

    Its embedding is the last hidden layer after the activation, before dropout. Parameters are those of
    :class:`DenseStack`.
    """

    def __init__(
        self,
        inputs: int,
        sizes: Sequence[int],
        outputs: int,
        dropout: float,
        activation: Activation = "relu",
        batch_norm: bool = False,
    ) -> None:
        hidden = DenseStack(inputs, sizes, dropout, activation, batch_norm)
        super().__init__(hidden.outputs, outputs, dropout)
        self.hidden = hidden

    def vector(self, x: Inputs) -> Tensor:
        """What enters the first hidden layer, of shape (batch, inputs)."""
        raise TypeError(f"{type(self).__name__} must say what its dense layers take")

    def embed(self, x: Inputs) -> Tensor:
        embedding: Tensor = self.hidden(self.vector(x))
        return embedding
