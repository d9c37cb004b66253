"""Parts that the convolutional models share: TensorFlow's paddings, separable convolutions, named variants."""

from __future__ import annotations

from typing import Literal, Self

import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, ModelConfig, Network, one_input

Pair = tuple[int, int]
Padding = Literal["same", "valid"]
Variant = Literal["stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar"]
VARIANTS: tuple[Variant, ...] = ("stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar")


class VariantConfig(ModelConfig):
    """A convolutional model whose source used other strides, paddings and pools for each representation.

    Attributes
    ----------
    variant
        Whose values to use; ``"auto"`` takes those of the representation, or, where none is named, ``cifar``'s for
        pictures (3 channels), ``chroma``'s for fewer than 32 rows and ``mel``'s for the rest.
    dropout
        Share of the embedding set to zero before the last layer in training, 0 <= dropout < 1.
    """

    variant: Literal["auto", "stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar"] = "auto"
    dropout: float = 0.0

    def problems(self) -> list[str]:
        if not 0 <= self.dropout < 1:
            return [f"dropout is {self.dropout}: it must be at least 0 and below 1"]
        return []

    def for_representation(self, kind: str) -> Self:
        if self.variant != "auto":
            return self
        if kind not in VARIANTS:
            raise ConfigError(
                f"the model {self.kind!r} has no variant for the representation {kind!r}: choose one of "
                f"{', '.join(VARIANTS)}, or set the model's variant to the one to imitate"
            )
        return self.replace({"variant": kind})

    def variant_for(self, inputs: InputSpec) -> Variant:
        """The variant that a network for ``inputs`` gets."""
        if self.variant != "auto":
            return self.variant
        if inputs.channels == 3:
            return "cifar"
        return "chroma" if inputs.freq_bins < 32 else "mel"


def same_length(length: int, stride: int) -> int:
    """Steps that a "same" convolution or pool leaves of ``length``."""
    return -(-length // stride)


def valid_length(length: int, kernel: int, stride: int = 1) -> int:
    """Steps that a "valid" convolution leaves of ``length``; 0 or less if the kernel is longer."""
    return (length - kernel) // stride + 1


def same_padding(length: int, kernel: int, stride: int) -> Pair:
    """Cells that TensorFlow's "same" adds before and after an axis; the odd one comes after."""
    total = max((same_length(length, stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: Pair, stride: Pair, value: float = 0.0) -> Tensor:
    """Pad the last two axes (frequency, time) as TensorFlow's "same" does."""
    top, bottom = same_padding(x.shape[-2], kernel[0], stride[0])
    left, right = same_padding(x.shape[-1], kernel[1], stride[1])
    return F.pad(x, (left, right, top, bottom), value=value) if top or bottom or left or right else x


def max_pool_same(x: Tensor, kernel: Pair, stride: Pair) -> Tensor:
    """Max-pool (batch, channels, frequency, time); cells beyond the edge never win."""
    return F.max_pool2d(pad_same(x, kernel, stride, float("-inf")), kernel, stride)


def conv(inputs: int, outputs: int, kernel: Pair, stride: Pair = (1, 1), groups: int = 1) -> nn.Conv2d:
    """A bias-free convolution with He initialisation (He et al. 2015, *Delving Deep into Rectifiers*)."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    return layer


class Separable(nn.Module):
    """A depthwise convolution, then a pointwise one, then batch normalisation; nothing between.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Of the depthwise convolution, (frequency, time).
    padding
        TensorFlow's ``"same"`` or ``"valid"``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Pair, padding: Padding) -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding
        self.depthwise = conv(inputs, inputs, kernel, groups=inputs)
        self.pointwise = conv(inputs, outputs, (1, 1))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == "same":
            x = pad_same(x, self.kernel, (1, 1))
        out: Tensor = self.norm(self.pointwise(self.depthwise(x)))
        return out


class PooledNetwork(Network):
    """A network that ends in a global average pool, dropout and one dense layer with bias."""

    def __init__(self, embedding_dim: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(embedding_dim, outputs)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps of shape (batch, embedding_dim, ..., ...)."""
        raise TypeError(f"{type(self).__name__} must say what it averages")

    def embed(self, x: Inputs) -> Tensor:
        return self.features(one_input(x)).mean(dim=(2, 3))

    def forward(self, x: Inputs) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits
