"""Time and Freq: kernels as long as a good part of one axis (Whitell 2019), for rhythm and melody or for harmony.

Freq is the transpose of Time, so one network serves both: it works *along* one axis (time for Time, frequency for
Freq) and *across* the other.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models import fused, fused_conditions
from tonearm.models.base import Network
from tonearm.models.blocks import (
    Padding,
    Pair,
    PooledNetwork,
    Separable,
    Variant,
    VariantConfig,
    conv,
    max_pool_same,
    pad_same,
    parse_numbers,
    same_length,
    valid_length,
)
from tonearm.models.execution import Workspace

Axis = Literal["time", "frequency"]
SHORT_HEIGHT: tuple[Variant, ...] = ("chroma", "mfcc")

#: Named choices of divisors, for sweeps. A kernel is the axis' length // divisor.
DIVISORS: dict[str, tuple[int, ...]] = {
    "4-96": (4, 8, 16, 32, 64, 96),  # Time in the thesis
    "2-48": (2, 4, 8, 16, 32, 48),  # twice as long
    "8-192": (8, 16, 32, 64, 128, 192),  # half as long
    "6-64": (6, 8, 12, 24, 32, 64),  # Freq on mel in the thesis
    "3-32": (3, 4, 6, 12, 16, 32),  # twice as long
    "12-128": (12, 16, 24, 48, 64, 128),  # half as long
    "4-48": (4, 5, 6, 12, 24, 48),  # Freq on cqt
    "6-256": (6, 12, 32, 64, 128, 256),  # Freq on stft
    "1-12": (1, 2, 3, 4, 6, 12),  # Freq on chroma and mfcc
    "3-10": (3, 4, 5, 6, 7, 10),  # both on CIFAR
}
FREQ_DIVISORS: dict[Variant, str] = {
    "stft": "6-256",
    "stft_halved": "6-256",
    "mel": "6-64",
    "cqt": "4-48",
    "chroma": "1-12",
    "mfcc": "1-12",
    "cifar": "3-10",
}


class LongKernelConfig(VariantConfig):
    """What Time and Freq have in common.

    Attributes
    ----------
    divisors
        The first layer's kernels are the axis' length // d for each divisor d: a name of :data:`DIVISORS`, a comma
        list such as ``"4,8,16"``, or ``"auto"`` for the thesis' choice for the variant.
    long_width
        Channels of each long kernel.
    widths
        Channels of the separable layers, a comma list of at least two; the last one flattens the other axis.
    separable_length
        Kernel length of the separable layers; None for the thesis' (9; 3 for Freq on chroma and mfcc).
    """

    along: ClassVar[Axis]

    divisors: str = "auto"
    long_width: int = 2
    widths: str = "16,32,64,128,256"
    separable_length: int | None = None

    def problems(self) -> list[str]:
        found = super().problems()
        if self.divisors != "auto" and self.divisors not in DIVISORS and parse_numbers(self.divisors) is None:
            found.append(
                f"divisors is {self.divisors!r}: choose auto, {', '.join(DIVISORS)}, or list positive whole numbers "
                f'as in "4,8,16"'
            )
        if self.long_width < 1:
            found.append(f"long_width is {self.long_width}: it must be at least 1")
        if len(parse_numbers(self.widths) or ()) < 2:
            found.append(f'widths is {self.widths!r}: list two or more positive whole numbers as in "16,32,64,128,256"')
        if self.separable_length is not None and self.separable_length < 1:
            found.append(f"separable_length is {self.separable_length}: it must be at least 1, or None")
        return found

    def plan(self, inputs: InputSpec) -> LongKernelDimensions:
        """The strides, paddings and kernels for an input, possible or not."""
        return LongKernelDimensions(self, inputs)

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        return super().shape_problems(inputs, outputs) or self.plan(inputs).problems()

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return LongKernelNetwork(inputs.channels, outputs, self.plan(inputs), self.dropout)


class TimeConfig(LongKernelConfig, kind="time"):
    """Horizontal kernels: rhythm and melody."""

    along: ClassVar[Axis] = "time"


class FreqConfig(LongKernelConfig, kind="freq"):
    """Vertical kernels: harmony and timbre."""

    along: ClassVar[Axis] = "frequency"


class LongKernelDimensions:
    """All sizes of one network, from a config and an input shape."""

    def __init__(self, config: LongKernelConfig, inputs: InputSpec) -> None:
        variant = config.variant_for(inputs)
        time = config.along == "time"
        short_freq = not time and variant in SHORT_HEIGHT
        self.along: Axis = config.along
        self.across: Axis = "frequency" if time else "time"
        self.length, self.breadth = (inputs.frames, inputs.freq_bins) if time else (inputs.freq_bins, inputs.frames)
        name = config.divisors
        if name == "auto":
            name = "4-96" if time and variant != "cifar" else FREQ_DIVISORS[variant]
        self.divisors = DIVISORS.get(name) or parse_numbers(name) or ()
        self.kernels = tuple(self.length // d for d in self.divisors)
        self.long_width = config.long_width
        self.widths = parse_numbers(config.widths) or ()
        self.stride = 1 if variant == "cifar" or short_freq else 2
        self.separable_length = config.separable_length or (3 if short_freq else 9)
        self.padding: Padding = "same" if variant == "cifar" or short_freq else "valid"
        #: Pools shorten the other axis, but not a frequency axis that is short already: there they shorten time.
        self.pool_along = time and variant in SHORT_HEIGHT
        #: A pool follows each separable layer but the last two; the last one flattens the other axis.
        self.pools = len(self.widths) - 2
        self.flatten = self.breadth
        for _ in range(0 if self.pool_along else self.pools):
            self.flatten = same_length(self.flatten, 2)

    def oriented(self, along: int, across: int = 1) -> Pair:
        """A kernel or stride as (frequency, time)."""
        return (across, along) if self.along == "time" else (along, across)

    def steps_left(self, length: int) -> list[int]:
        """Steps along an axis of that length before each separable layer, and after the last; below 1 for none."""
        left = [same_length(length, self.stride)]
        for layer in range(len(self.widths) - 1):
            after = left[-1] if self.padding == "same" else valid_length(left[-1], self.separable_length)
            left.append(same_length(after, 2) if self.pool_along and layer < self.pools else after)
        return left

    def problems(self) -> list[str]:
        """Why no such network exists for this input; empty if one does."""
        found = [
            f"divisor {d} is larger than the {self.along} axis of {self.length}: no kernel is left; choose smaller "
            f"divisors or a longer {self.along} axis"
            for d, kernel in zip(self.divisors, self.kernels, strict=True)
            if kernel < 1
        ]
        for layer, (left, after) in enumerate(pairwise(self.steps_left(self.length)), start=1):
            if after < 1:
                found.append(
                    f"kernel of {self.separable_length} is longer than the {self.along} axis of {self.length}: "
                    f"{left} steps are left of it before separable layer {layer}; give a longer "
                    f"{self.along} axis, a smaller separable_length or fewer widths"
                )
                break
        return found

    def shape_mismatch(self, channels: int, shape: tuple[int, ...]) -> str | None:
        """Why a network of so many input channels cannot run on a batch of that shape, or None."""
        if len(shape) != 4:
            return f"the batch has the shape {shape}: it is (batch, channels, freq_bins, frames)"
        if shape[1] != channels:
            return f"examples have {shape[1]} channel(s), the network was built for {channels}"
        across, along = shape[2:] if self.along == "time" else (shape[3], shape[2])
        if across != self.breadth:
            return f"the {self.across} axis is {across} long, the network was built for {self.breadth}"
        if self.steps_left(along)[-1] < 1:
            return f"nothing is left of the {self.along} axis of {along}, the network was built for {self.length}"
        return None


def is_overridden(instance: object, base: type, name: str) -> bool:
    """Whether an instance has another method than the class that defines it."""
    return getattr(getattr(instance, name), "__func__", None) is not getattr(base, name)


class LongKernelNetwork(PooledNetwork):
    """Parallel long kernels, separable layers with pools between, a flattening layer, an average and a dense layer."""

    def __init__(self, channels: int, outputs: int, plan: LongKernelDimensions, dropout: float) -> None:
        super().__init__(plan.widths[-1], outputs, dropout)
        self.plan, self.channels, self.workspace = plan, channels, Workspace()
        width, stride = plan.long_width, plan.oriented(plan.stride)
        self.long = nn.ModuleList(conv(channels, width, plan.oriented(k), stride) for k in plan.kernels)
        self.long_norm = nn.BatchNorm2d(width * len(plan.kernels))
        sizes = (width * len(plan.kernels), *plan.widths)
        kernel = plan.oriented(plan.separable_length)
        self.separable = nn.ModuleList(Separable(i, o, kernel, plan.padding) for i, o in pairwise(sizes[:-1]))
        self.flatten = Separable(sizes[-2], sizes[-1], plan.oriented(1, plan.flatten), "valid")
        self.built_geometry = fused_conditions.geometry(self.trunk_layers())

    def long_layer(self, x: Tensor) -> Tensor:
        """The first layer's convolutions side by side, before its normalisation."""
        plan, stride = self.plan, self.plan.oriented(self.plan.stride)
        long = zip(self.long, plan.kernels, strict=True)
        return torch.cat([layer(pad_same(x, plan.oriented(k), stride)) for layer, k in long], dim=1)

    def features(self, x: Tensor) -> Tensor:
        """As :meth:`PooledNetwork.features`; the axis along the kernels may have another length than planned.

        Raises
        ------
        TrainingError
            For examples of another shape: the fused execution would read memory that is not the weights'.
        """
        plan = self.plan
        shape_mismatch = plan.shape_mismatch(self.channels, tuple(x.shape))
        if shape_mismatch:
            raise TrainingError(f"{shape_mismatch}: give windows of the shape that it learnt from")
        along = x if plan.along == "time" else x.transpose(2, 3)
        if not self.is_fused(along):
            return self.plain_features(x)
        maps = self.trunk_output(along).unsqueeze(2)
        return F.relu(self.flatten.norm(self.flatten.pointwise(maps)))

    def is_fused(self, along: Tensor) -> bool:
        """Whether the fused execution can take the place of the layers for a batch, unnoticed."""
        plan, layers = self.plan, self.trunk_layers()
        return (
            not plan.pool_along
            and fused_conditions.is_allowed()
            and fused_conditions.is_supported(along, plan.stride, plan.separable_length)
            and fused_conditions.are_untouched(layers, self.training)
            and fused_conditions.geometry(layers) == self.built_geometry
            and not any(is_overridden(self, LongKernelNetwork, name) for name in ("plain_features", "long_layer"))
        )

    def trunk_output(self, along: Tensor) -> Tensor:
        """The fused execution up to the flattening layer's depthwise part: (batch, channels, along)."""
        maps: Tensor = fused.FusedTrunk.apply(along, self.fused_shape(), *self.trunk_parameters())  # type: ignore[no-untyped-call]
        return maps

    def plain_features(self, x: Tensor) -> Tensor:
        """The layers one after the other: on a GPU, and wherever else the fused execution does not apply.

        Nothing is rectified in place: hooks keep what a layer gave.
        """
        x = F.relu(self.long_norm(self.long_layer(x)))
        pool = self.plan.oriented(2, 1) if self.plan.pool_along else self.plan.oriented(1, 2)
        for i, layer in enumerate(self.separable):
            x = layer(x)
            x = F.relu(max_pool_same(x, pool, pool) if i < self.plan.pools else x)
        return F.relu(self.flatten(x))

    def fused_shape(self) -> fused.TrunkShape:
        """What the fused execution must know beside the weights."""
        plan = self.plan
        norms = (self.long_norm, *(layer.norm for layer in self.separable_layers()))
        return fused.TrunkShape(
            kernels=plan.kernels, stride=plan.stride, separable=plan.separable_length, same=plan.padding == "same",
            pools=plan.pools, norms=norms, workspace=self.workspace, batch_statistics=self.training,
        )  # fmt: skip

    def trunk_parameters(self) -> list[Tensor]:
        """The weights that the fused execution covers, from the input on."""
        found = [cast(nn.Conv2d, layer).weight for layer in self.long] + [self.long_norm.weight, self.long_norm.bias]
        for layer in self.separable_layers():
            found += [layer.depthwise.weight, layer.pointwise.weight, layer.norm.weight, layer.norm.bias]
        return [*found, self.flatten.depthwise.weight]

    def trunk_layers(self) -> list[nn.Module]:
        """The modules that the fused execution stands for, from the input on."""
        separable = [*self.separable, self.flatten]
        return [*self.long, self.long_norm, *separable, *(part for layer in separable for part in layer.children())]

    def separable_layers(self) -> list[Separable]:
        """The separable layers but for the flattening one."""
        return [cast(Separable, layer) for layer in self.separable]
