"""Recurrent networks over the frames of a spectrogram (Whitell 2019): RNN, of GRU layers, and LargeRNN, of LSTM ones.

The original reshaped its spectrograms to (frames, frequency) where it meant to transpose them, and so read scrambled
frames; here a step is a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import DropoutConfig, HeadedNetwork, list_problems, parse_numbers, share_problems

Cell = type[nn.GRU] | type[nn.LSTM]


class RecurrentConfig(DropoutConfig):
    """What RNN and LargeRNN have in common.

    Attributes
    ----------
    widths
        Units of each recurrent layer, a comma list.
    layer_dropout
        Share of a layer's outputs set to zero before the next recurrent layer in training, 0 <= layer_dropout < 1.
    """

    cell: ClassVar[Cell]

    widths: str = "256"
    layer_dropout: float = 0.0

    def problems(self) -> list[str]:
        found = super().problems() + list_problems("widths", self.widths, "256,256,256")
        return found + share_problems("layer_dropout", self.layer_dropout)

    def body(self, features: int) -> RecurrentBody:
        """The recurrent layers for steps of so many features."""
        return RecurrentBody(self.cell, features, parse_numbers(self.widths) or (), self.layer_dropout)

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return RecurrentNetwork(self.body(inputs.channels * inputs.freq_bins), outputs, self.dropout)


class RnnConfig(RecurrentConfig, kind="rnn"):
    """Three GRU layers (Cho et al. 2014) in cuDNN's form, with two bias vectors a gate."""

    cell: ClassVar[Cell] = nn.GRU

    widths: str = "256,256,256"


class LargeRnnConfig(RecurrentConfig, kind="large_rnn"):
    """Three ever wider LSTM layers (Hochreiter and Schmidhuber 1997)."""

    cell: ClassVar[Cell] = nn.LSTM

    widths: str = "256,512,1024"


class RecurrentBody(nn.Module):
    """Recurrent layers one upon the other: (batch, steps, features) to the last state, (batch, width).

    Attributes
    ----------
    width
        Units of the last layer.
    """

    def __init__(self, cell: Cell, features: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.width = widths[-1]
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        for width, equal in groupby(widths):  # cuDNN runs layers of one width as one
            count = len(list(equal))
            layer = cell(features, width, count, batch_first=True, dropout=dropout if count > 1 else 0.0)
            self.layers.append(keras_initialised(layer))
            features = width

    def forward(self, steps: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            steps, _ = layer(self.dropout(steps) if i else steps)
        return steps[:, -1]


class RecurrentNetwork(HeadedNetwork):
    """A recurrent body over the frames, and a dense layer on its last state."""

    def __init__(self, body: RecurrentBody, outputs: int, dropout: float) -> None:
        super().__init__(body.width, outputs, dropout)
        self.body = body

    def steps(self, x: Inputs) -> Tensor:
        """The sequence that the body reads: (batch, frames, channels * freq_bins)."""
        return one_input(x).permute(0, 3, 1, 2).flatten(2)

    def embed(self, x: Inputs) -> Tensor:
        state: Tensor = self.body(self.steps(x))
        return state


def keras_initialised(layer: nn.GRU | nn.LSTM) -> nn.GRU | nn.LSTM:
    """The layer with the weights that Keras, which the thesis used, starts from.

    Orthogonal recurrent weights (Saxe et al. 2014), Glorot's for the inputs, and biases of zero but for the LSTM's
    forget gates: at one, they let a state last over hundreds of frames sooner (Jozefowicz et al. 2015).
    """
    for name, value in layer.named_parameters():
        if name.startswith("weight_hh"):
            nn.init.orthogonal_(value)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(value)
        else:
            nn.init.zeros_(value)
            if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):  # the gates' order: input, forget, cell, out
                with torch.no_grad():
                    value[layer.hidden_size : 2 * layer.hidden_size] = 1.0
    return layer
