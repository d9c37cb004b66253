"""Simple: the image-style baseline of square kernels (Whitell 2019)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Network
from tonearm.models.blocks import (
    Padding,
    PooledNetwork,
    Separable,
    Variant,
    VariantConfig,
    conv,
    max_pool_same,
    pad_same,
    same_length,
    valid_length,
)

SMALL: tuple[Variant, ...] = ("chroma", "mfcc", "cifar")
KERNEL, POOL, POOL_STRIDE = (3, 3), (3, 3), (2, 2)


class SimpleConfig(VariantConfig, kind="simple"):
    """Square 3x3 kernels throughout.

    Attributes
    ----------
    width
        Channels of the first convolution; the next layers have 2, 4, 8, ... 128 times as many.
    """

    width: int = 8

    def problems(self) -> list[str]:
        low = [f"width is {self.width}: it must be at least 1"] if self.width < 1 else []
        return super().problems() + low

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        if found:
            return found
        plan = SimpleDimensions(self.variant_for(inputs))
        for axis, length in (("frequency", inputs.freq_bins), ("time", inputs.frames)):
            problem = plan.axis_problem(axis, length)
            if problem:
                found.append(problem)
        return found

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return SimpleNetwork(
            inputs.channels, outputs, self.width, SimpleDimensions(self.variant_for(inputs)), self.dropout
        )


class SimpleDimensions:
    """The strides, paddings and pools that the thesis chose for one representation."""

    def __init__(self, variant: Variant) -> None:
        small, tall = variant in SMALL, variant in ("stft", "stft_halved")
        self.first_stride = 1 if small else 2
        self.second_stride = 2 if tall else 1
        self.second_padding: Padding = "same" if tall else "valid"
        self.separable_padding: Padding = "same" if small else "valid"
        #: Whether a pool follows the separable layers of 4, 8, ... 128 times the first width.
        self.pools = (False, True, True, True, True, False)
        if variant == "cifar":
            # As the thesis' code and parameter counts have it. The text under its figure 9 says "the first two max
            # pooling layers" are absent, which would leave out the second instead of the third.
            self.pools = (False, False, True, False, True, False)

    def axis_problem(self, axis: str, length: int) -> str | None:
        """Why an axis of that length is too short, or None."""
        left = same_length(length, self.first_stride)
        steps = [(self.second_padding, self.second_stride, False)]
        steps += [(self.separable_padding, 1, pool) for pool in self.pools]
        for padding, stride, pool in steps:
            if padding == "valid" and left < KERNEL[0]:
                return (
                    f"a kernel of {KERNEL[0]} is longer than what is left, {left}, of the {axis} axis of {length}: "
                    f"give a longer {axis} axis or the variant of a smaller representation ({', '.join(SMALL)})"
                )
            left = same_length(left, stride) if padding == "same" else valid_length(left, KERNEL[0], stride)
            left = same_length(left, 2) if pool else left
        return None


class SimpleNetwork(PooledNetwork):
    """Two convolutions, six separable ones with pools between, a global average pool and a dense layer."""

    def __init__(self, channels: int, outputs: int, width: int, plan: SimpleDimensions, dropout: float) -> None:
        widths = [width * 2**i for i in range(8)]
        super().__init__(widths[-1], outputs, dropout)
        self.plan = plan
        self.first = conv(channels, widths[0], KERNEL, (plan.first_stride,) * 2)
        self.first_norm = nn.BatchNorm2d(widths[0])
        self.second = conv(widths[0], widths[1], KERNEL, (plan.second_stride,) * 2)
        self.second_norm = nn.BatchNorm2d(widths[1])
        self.separable = nn.ModuleList(Separable(i, o, KERNEL, plan.separable_padding) for i, o in pairwise(widths[1:]))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # nearly twice as fast on a CPU

    def features(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.first(pad_same(x, KERNEL, (self.plan.first_stride,) * 2))
        x = F.relu(self.first_norm(x), inplace=True)
        if self.plan.second_padding == "same":
            x = pad_same(x, KERNEL, (self.plan.second_stride,) * 2)
        x = F.relu(self.second_norm(self.second(x)), inplace=True)
        for layer, pool in zip(self.separable, self.plan.pools, strict=True):
            x = layer(x)
            x = F.relu(max_pool_same(x, POOL, POOL_STRIDE) if pool else x, inplace=True)
        return x
