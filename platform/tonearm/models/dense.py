"""Hidden dense layers with ReLU and dropout, which several models end in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.models.base import Inputs, Network
from tonearm.models.blocks import he


class DenseStack(nn.Module):
    """Dense layers, a ReLU after each, dropout between them (none after the last); without layers it does nothing.

    Parameters
    ----------
    inputs
        Length of the vectors that come in.
    sizes
        Outputs of each layer.
    dropout
        Share set to zero in training.

    Attributes
    ----------
    outputs
        Length of the vectors that go out.
    """

    def __init__(self, inputs: int, sizes: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(he(nn.Linear(i, o)) for i, o in pairwise((inputs, *sizes)))
        self.dropout = nn.Dropout(dropout)
        self.outputs = sizes[-1] if sizes else inputs

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = F.relu(layer(self.dropout(x) if i else x))
        return x


class DenseNetwork(Network):
    """A network that ends in hidden dense layers, dropout and one dense layer without activation.

    Its embedding is the last hidden layer after the ReLU, before dropout.
    """

    def __init__(self, inputs: int, sizes: Sequence[int], outputs: int, dropout: float) -> None:
        super().__init__()
        self.hidden = DenseStack(inputs, sizes, dropout)
        self.dropout = nn.Dropout(dropout)
        self.embedding_dim = self.hidden.outputs
        self.classifier = nn.Linear(self.embedding_dim, outputs)

    def vector(self, x: Inputs) -> Tensor:
        """What enters the first hidden layer, of shape (batch, inputs)."""
        raise TypeError(f"{type(self).__name__} must say what its dense layers take")

    def embed(self, x: Inputs) -> Tensor:
        embedding: Tensor = self.hidden(self.vector(x))
        return embedding

    def forward(self, x: Inputs) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits
