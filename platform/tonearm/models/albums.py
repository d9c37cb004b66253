"""Albums: MobileNetV2 on cover art (Whitell 2019; Sandler et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Network
from tonearm.models.blocks import DropoutConfig, PooledNetwork

SHORTEST = 32  # the network halves both axes five times


class AlbumsConfig(DropoutConfig, kind="albums"):
    """MobileNetV2 in its ImageNet layout, from fresh weights, on RGB pictures with values within 0..1.

    Batch normalisation is torchvision's, epsilon 1e-5 and a share of 0.1 (ours); that of Keras has 1e-3 and 0.001.

    Attributes
    ----------
    dropout
        As in :class:`DropoutConfig`.
    width_mult
        All layers have so many times their usual channels, > 0 and finite; but the embedding never has fewer than 1280.
    """

    dropout: float = 0.2
    width_mult: float = 1.0

    def problems(self) -> list[str]:
        fits = 0 < self.width_mult < math.inf
        return super().problems() + (
            [] if fits else [f"width_mult is {self.width_mult}: it must be above 0 and finite"]
        )

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        if inputs.channels != 3:
            found.append(f"the input has {inputs.channels} channels: a picture has 3, red, green and blue")
        for axis, size in (("height", inputs.freq_bins), ("width", inputs.frames)):
            if size < SHORTEST:
                found.append(f"the picture's {axis} is {size}: it must be at least {SHORTEST}; give a larger picture")
        return found

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        from torchvision.models import mobilenet_v2

        whole = mobilenet_v2(weights=None, width_mult=self.width_mult)
        return AlbumsNetwork(whole.features, whole.last_channel, outputs, self.dropout)


class AlbumsNetwork(PooledNetwork):
    """Feature maps, a global average pool, dropout and a dense layer."""

    def __init__(self, layers: nn.Module, embedding_dim: int, outputs: int, dropout: float) -> None:
        super().__init__(embedding_dim, outputs, dropout)
        self.layers = layers
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster on a CPU

    def features(self, x: Tensor) -> Tensor:
        maps: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return maps
