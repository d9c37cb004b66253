"""Blocks of unpadded convolutions over one, two or three axes, as the danceability networks repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from tonearm.models.blocks import he_init, valid_length

Sizes = tuple[int, ...]
CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d,
}  # fmt: skip
POOLS: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True)
class Block:
    """One or more convolutions with a ReLU each, a max-pool, and batch normalisation; nothing is padded.

    Attributes
    ----------
    kernels
        Of each convolution.
    pool
        Kernel and stride of the max-pool, None for none.
    stride
        Of the first convolution, None for 1.
    """

    kernels: tuple[Sizes, ...]
    pool: Sizes | None = None
    stride: Sizes | None = None

    def layers(self, widths: Sequence[int]) -> list[nn.Module]:
        """The layers, given the channels before and after each convolution."""
        axes, found = len(self.kernels[0]), list[nn.Module]()
        for i, kernel in enumerate(self.kernels):
            stride = self.stride if self.stride and i == 0 else (1,) * axes
            found.append(he_init(CONVOLUTIONS[axes](widths[i], widths[i + 1], kernel, stride)))  # type: ignore[arg-type]
            if self.pool is None or i + 1 < len(self.kernels):
                found.append(nn.ReLU(inplace=True))
        if self.pool:
            found += [POOLS[axes](self.pool), nn.ReLU(inplace=True)]  # as pooling what is rectified, in less memory
        return [*found, NORMS[axes](widths[-1])]

    def left(self, axis: int, length: int) -> tuple[int, str | None]:
        """What it leaves of an axis, and the step that does not fit, if one does not."""
        for i, kernel in enumerate(self.kernels):
            if kernel[axis] > length:
                return 0, f"a kernel of {kernel[axis]} is longer than {length}"
            length = valid_length(length, kernel[axis], self.stride[axis] if self.stride and i == 0 else 1)
        if self.pool and self.pool[axis] > length:
            return 0, f"a pool of {self.pool[axis]} is longer than {length}"
        return length // self.pool[axis] if self.pool else length, None
