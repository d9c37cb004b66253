"""Danceability of 30 s windows, from the waveform or the mel spectrogram of mid and side.

The four networks of *Classification of Spotify features using various CNN architectures*,
made of :mod:`tonearm.models.conv_blocks`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import DropoutConfig, least_problems, list_problems, parse_numbers
from tonearm.models.conv_blocks import Block, Sizes
from tonearm.models.dense import DenseNetwork

AVERAGES: dict[int, type[nn.Module]] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}


def unit_range(x: Tensor) -> Tensor:
    """Each example (all its channels together) scaled to 0-1: its least value is 0, its greatest 1.

    The source shifts to zero mean and unit deviation first, which this undoes. So the networks see the same whatever
    scale and offset a representation's own normalisation gave a whole example. An example of one value becomes zeros.
    """
    values = x.flatten(1)
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    span = high - low
    return ((values - low) / torch.where(span > 0, span, 1.0)).view_as(x)


class BlocksConfig(DropoutConfig):
    """What the four networks have in common.

    Attributes
    ----------
    widths
        Channels after each convolution, a comma list (ours).
    hidden
        Sizes of the dense layers before the last one, a comma list (ours).
    dropout
        Share of each hidden layer's outputs set to zero in training, 0 <= dropout < 1 (ours).
    """

    axes: ClassVar[tuple[str, ...]]
    remedy: ClassVar[str] = "give a longer input"

    widths: str
    hidden: str
    dropout: float = 0.2

    def blocks(self) -> tuple[Block, ...]:
        """The blocks, in order."""
        raise TypeError(f"{type(self).__name__} must say what its blocks are")

    def folded(self, inputs: InputSpec) -> Sizes:
        """The lengths of the axes that the kernels run over."""
        raise TypeError(f"{type(self).__name__} must say how it folds its input")

    def problems(self) -> list[str]:
        found = super().problems() + list_problems("hidden", self.hidden, "256,64")
        count = sum(len(b.kernels) for b in self.blocks())
        if len(parse_numbers(self.widths) or ()) != count:
            like = ",".join(["16"] * count)
            found.append(f'widths is {self.widths!r}: list {count} positive whole numbers as in "{like}"')
        return found

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        for axis, length in enumerate(() if found else self.folded(inputs)):
            left = length
            for number, block in enumerate(self.blocks(), start=1):
                left, problem = block.left(axis, left)
                if problem:
                    found.append(
                        f"{problem}, what is left of the {self.axes[axis]} axis of {length} in block {number}: "
                        f"{self.remedy}"
                    )
                    break
        return found

    def convolutions(self, channels: int) -> nn.Sequential:
        """All blocks, for an input of so many channels."""
        widths, layers = [channels, *(parse_numbers(self.widths) or ())], list[nn.Module]()
        for block in self.blocks():
            count = len(block.kernels)
            layers += block.layers(widths[: count + 1])
            widths = widths[count:]
        return nn.Sequential(*layers)

    def last_width(self) -> int:
        """Channels that the last block leaves."""
        return (parse_numbers(self.widths) or (0,))[-1]


class WaveformConfig(BlocksConfig):
    """A network with one branch a channel: two of them for mid and side, one for a mono waveform.

    Each branch ends in an adaptive average pool to 64 positions (ours).

    Attributes
    ----------
    stride
        Of the first convolution, along the samples; the source names none. At 1, a 30 s window costs a slow core two
        to three seconds forward and backward, at 4 about half a second.
    """

    positions: ClassVar[Sizes]

    widths: str = "8,16"
    hidden: str = "256,64"
    stride: int = 1

    def problems(self) -> list[str]:
        return super().problems() + least_problems(1, stride=self.stride)

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        if inputs.freq_bins > 1:
            found.append(f"the input's shape is {inputs.shape}: a waveform has the shape (channels, 1, samples)")
        return found

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return WaveformNetwork(self, inputs, outputs)


class Wav1dConfig(WaveformConfig, kind="wav1d"):
    """1DWav: [convolution of 100 samples, max-pool 2, batch normalisation] twice."""

    axes: ClassVar[tuple[str, ...]] = ("time",)
    positions: ClassVar[Sizes] = (64,)

    def blocks(self) -> tuple[Block, ...]:
        return Block(((100,),), (2,), (self.stride,)), Block(((100,),), (2,))

    def folded(self, inputs: InputSpec) -> Sizes:
        return (inputs.frames,)


class Wav2dConfig(WaveformConfig, kind="wav2d"):
    """2DWav: the samples folded to rows, one below the other; the rest that fills no column is dropped.

    The source's (45, 10) kernels and (3, 2) pools are (along a row, across rows): across 100 rows a second kernel of
    45 would not fit on the 18 that the first one and its pool leave.

    Attributes
    ----------
    rows
        How many; 100 rows of 6 615 samples each for 661 500.
    """

    axes: ClassVar[tuple[str, ...]] = ("row", "sample")
    remedy: ClassVar[str] = "give a longer input, or change rows"
    positions: ClassVar[Sizes] = (8, 8)

    rows: int = 100

    def problems(self) -> list[str]:
        return super().problems() + least_problems(1, rows=self.rows)

    def blocks(self) -> tuple[Block, ...]:
        return Block(((10, 45),), (2, 3), (1, self.stride)), Block(((10, 45),), (2, 3))

    def folded(self, inputs: InputSpec) -> Sizes:
        return self.rows, inputs.frames // self.rows


class SpectrogramConfig(BlocksConfig):
    """A network in which mid and side are two channels of one input; what the blocks leave is flattened.

    The source's "3 dense" are read as three hidden layers and the output's, as it counts for the waveforms.
    """

    hidden: str = "128,64,32"

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return SpectrogramNetwork(self, inputs, outputs)


class Spec2dConfig(SpectrogramConfig, kind="spec2d"):
    """2DSpec: kernels of (3, 4); of 24 x 2584 it leaves 1 x 638 positions."""

    axes: ClassVar[tuple[str, ...]] = ("frequency", "time")
    remedy: ClassVar[str] = "give more bands or frames"

    widths: str = "16,16,16,16,32,32,32"

    def blocks(self) -> tuple[Block, ...]:
        return Block(((3, 4),) * 4, (2, 2)), Block(((3, 4),) * 3, (2, 2))

    def folded(self, inputs: InputSpec) -> Sizes:
        return inputs.freq_bins, inputs.frames


class Spec3dConfig(SpectrogramConfig, kind="spec3d"):
    """3DSpec: time folded to slices; the frames that fill no column are dropped.

    Kernels are (frequency, slices, frames): time alone is folded, and 2DSpec's (3, 4) becomes (3, 2, 2). Of
    24 x 38 x 68 it leaves 5 x 5 x 12 positions.

    Attributes
    ----------
    slices
        How many; 38 of 68 frames each for 2 584.
    """

    axes: ClassVar[tuple[str, ...]] = ("frequency", "slice", "time")
    remedy: ClassVar[str] = "give more bands or frames, or change slices"

    widths: str = "16,16,16,32,32,32"
    slices: int = 38

    def problems(self) -> list[str]:
        return super().problems() + least_problems(1, slices=self.slices)

    def blocks(self) -> tuple[Block, ...]:
        return (
            Block(((3, 2, 2), (3, 2, 2)), (2, 2, 2)),
            Block(((3, 2, 3), (2, 3, 3)), (1, 2, 2)),
            Block(((2, 2, 2), (2, 2, 2))),
        )

    def folded(self, inputs: InputSpec) -> Sizes:
        return inputs.freq_bins, self.slices, inputs.frames // self.slices


class FoldedNetwork(DenseNetwork):
    """An example scaled to 0-1 and folded, blocks of convolutions, and dense layers."""

    def __init__(self, config: BlocksConfig, inputs: InputSpec, outputs: int, length: int) -> None:
        super().__init__(length, parse_numbers(config.hidden) or (), outputs, config.dropout)
        self.shape, self.folded = inputs.shape, config.folded(inputs)

    def fold(self, x: Inputs) -> Tensor:
        """(batch, channels, freq_bins, frames) to (batch, channels, ...) with the axes that the kernels run over.

        Raises
        ------
        TrainingError
            If an example has another shape than the network was built for: what is too long would else be cut.
        """
        batch = one_input(x)
        if batch.shape[1:] != self.shape:
            raise TrainingError(
                f"examples have the shape {tuple(batch.shape[1:])}, this network was built for {self.shape}: cut or "
                "pad the windows to that length"
            )
        cells = math.prod(self.folded) // batch.shape[2]
        return unit_range(batch[..., :cells]).reshape(*batch.shape[:2], *self.folded)


class WaveformNetwork(FoldedNetwork):
    """A branch for each channel, joined."""

    def __init__(self, config: WaveformConfig, inputs: InputSpec, outputs: int) -> None:
        length = inputs.channels * config.last_width() * math.prod(config.positions)
        super().__init__(config, inputs, outputs, length)
        self.branches = nn.ModuleList(config.convolutions(1) for _ in range(inputs.channels))
        self.average = AVERAGES[len(config.positions)](config.positions)

    def vector(self, x: Inputs) -> Tensor:
        channels = torch.split(self.fold(x), 1, dim=1)
        return torch.cat([self.average(b(c)).flatten(1) for b, c in zip(self.branches, channels, strict=True)], dim=1)


class SpectrogramNetwork(FoldedNetwork):
    """All channels together."""

    def __init__(self, config: SpectrogramConfig, inputs: InputSpec, outputs: int) -> None:
        lengths = list(config.folded(inputs))
        for block in config.blocks():
            lengths = [block.left(axis, n)[0] for axis, n in enumerate(lengths)]
        super().__init__(config, inputs, outputs, config.last_width() * math.prod(lengths))
        self.convolutions = config.convolutions(inputs.channels)
        self.layout = torch.channels_last if len(lengths) == 2 else torch.contiguous_format
        self.convolutions.to(memory_format=self.layout)  # type: ignore[call-overload]  # 1.3-1.8 times as fast on a CPU

    def vector(self, x: Inputs) -> Tensor:
        maps: Tensor = self.convolutions(self.fold(x).contiguous(memory_format=self.layout))
        return maps.flatten(1)
