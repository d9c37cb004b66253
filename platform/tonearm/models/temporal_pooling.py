"""TemporalPoolingCNN: convolutions over time alone, and statistics over all of it (Dieleman 2014; Chen)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import DropoutConfig, he_init, least_problems, list_problems, parse_numbers, valid_length
from tonearm.models.dense import DenseNetwork

Norm = Literal["l2", "rms"]


class TemporalPoolingConfig(DropoutConfig, kind="temporal_pooling"):
    """Frequency bins are channels; no kernel reaches over the edges of time.

    Attributes
    ----------
    widths
        Filters of each convolution, a comma list.
    kernel
        Frames that a filter reaches over.
    pools
        Max-pool after each convolution, a comma list as long as ``widths``; 1 is none.
    hidden
        Units of the dense layers before the last one, a comma list.
    norm
        What is taken over time beside mean and maximum: the ``"l2"`` norm, which grows with the clip's length, or the
        root of the mean square, ``"rms"`` (ours), which does not.
    dropout
        Share set to zero before each dense layer but the first in training, 0 <= dropout < 1.
    """

    widths: str = "256,256,256,512"
    kernel: int = 4
    pools: str = "4,2,2,1"
    hidden: str = "2048,2048"
    norm: Norm = "l2"

    def problems(self) -> list[str]:
        lists = list_problems("widths", self.widths, "256,512") + list_problems("pools", self.pools, "4,1")
        found = super().problems() + least_problems(1, kernel=self.kernel) + lists
        found += list_problems("hidden", self.hidden, "2048,2048")
        if not lists and len(parse_numbers(self.widths) or ()) != len(parse_numbers(self.pools) or ()):
            found.append(f"pools is {self.pools!r} for widths of {self.widths!r}: list as many, 1 where there is none")
        return found

    def layers(self) -> list[tuple[int, int]]:
        """Filters and pool of each convolution."""
        return list(zip(parse_numbers(self.widths) or (), parse_numbers(self.pools) or (), strict=False))

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        left = inputs.frames
        for layer, (_, pool) in enumerate(self.layers(), start=1):
            if left < 1:
                break
            after = valid_length(left, self.kernel) // pool
            if after < 1:
                found.append(
                    f"{left} frames are left of the time axis of {inputs.frames} before layer {layer}, whose kernel of "
                    f"{self.kernel} and pool of {pool} need {self.kernel + pool - 1}: give longer clips, a smaller "
                    "kernel, smaller pools or fewer widths"
                )
            left = after
        return found

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return TemporalPoolingNetwork(self, inputs.channels * inputs.freq_bins, outputs)


class TemporalPoolingNetwork(DenseNetwork):
    """It takes clips of any length that leaves a frame; the embedding is the last hidden layer."""

    def __init__(self, config: TemporalPoolingConfig, features: int, outputs: int) -> None:
        widths, pools = zip(*config.layers(), strict=True)
        super().__init__(3 * widths[-1], parse_numbers(config.hidden) or (), outputs, config.dropout)
        self.pools, self.norm = pools, config.norm
        self.convolutions = nn.ModuleList(
            he_init(nn.Conv1d(i, o, config.kernel)) for i, o in pairwise((features, *widths))
        )

    def vector(self, x: Inputs) -> Tensor:
        maps = one_input(x).flatten(1, 2)
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            maps = F.relu(F.max_pool1d(convolution(maps), pool))  # as pooling what is rectified, in less memory
        return pooled(maps, self.norm)


def pooled(maps: Tensor, norm: Norm) -> Tensor:
    """Mean, maximum and norm over time side by side: (batch, filters, frames) to (batch, 3 * filters)."""
    length = torch.linalg.vector_norm(maps, dim=-1)  # its gradient at zero is zero, where a square root's is infinite
    if norm == "rms":
        length = length / math.sqrt(maps.shape[-1])
    return torch.cat([maps.mean(dim=-1), maps.amax(dim=-1), length], dim=1)
