"""PlaylistCNN: how well a song fits each editorial playlist (Stern, *Classifying Music to Spotify Playlists*)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import DropoutConfig, HeadedNetwork, he_init, least_problems, valid_length

POOL = 2


class PlaylistCnnConfig(DropoutConfig, kind="playlist_cnn"):
    """Blocks of a square convolution, a rectifier and a max-pool of 2; all that is left goes to one dense layer.

    Attributes
    ----------
    blocks
        How many.
    channels
        Of every convolution.
    kernel
        Length of both axes of a kernel.
    padding
        Zeros before and after each axis, fewer than ``kernel``.
    batch_norm
        Whether to normalise each convolution's output (ours).
    """

    blocks: int = 4
    channels: int = 16
    kernel: int = 3
    padding: int = 2
    batch_norm: bool = False

    def problems(self) -> list[str]:
        found = super().problems() + least_problems(
            1, blocks=self.blocks, channels=self.channels, kernel=self.kernel
        ) + least_problems(0, padding=self.padding)  # fmt: skip
        if self.padding >= self.kernel >= 1:
            found.append(f"padding is {self.padding}: it must be below the kernel of {self.kernel}, which would else "
                         "see nothing but zeros at the edges")  # fmt: skip
        return found

    def left(self, length: int) -> int:
        """What the blocks leave of an axis; 0 if nothing."""
        for _ in range(self.blocks):
            length = max(valid_length(length + 2 * self.padding, self.kernel) // POOL, 0)
            if not length:
                break
        return length

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        if found:
            return found
        return [
            f"{self.blocks} blocks of a kernel of {self.kernel} and a pool of {POOL} leave nothing of the {axis} axis "
            f"of {length}: give a longer {axis} axis, fewer blocks, a smaller kernel or more padding"
            for axis, length in (("frequency", inputs.freq_bins), ("time", inputs.frames))
            if not self.left(length)
        ]

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return PlaylistNetwork(self, inputs.channels, self.left(inputs.freq_bins) * self.left(inputs.frames), outputs)


class PlaylistNetwork(HeadedNetwork):
    """The embedding is what the blocks leave, flattened: its length grows with the clip's."""

    def __init__(self, config: PlaylistCnnConfig, channels: int, cells: int, outputs: int) -> None:
        super().__init__(config.channels * cells, outputs, config.dropout)
        widths = [channels] + [config.channels] * (config.blocks - 1)
        self.convolutions = nn.ModuleList(
            he_init(nn.Conv2d(width, config.channels, config.kernel, padding=config.padding)) for width in widths
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(config.channels) if config.batch_norm else nn.Identity() for _ in widths
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def embed(self, x: Inputs) -> Tensor:
        maps = one_input(x).contiguous(memory_format=torch.channels_last)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            maps = F.relu(F.max_pool2d(norm(convolution(maps)), POOL))  # as pooling what is rectified, in less memory
        return maps.flatten(1)
