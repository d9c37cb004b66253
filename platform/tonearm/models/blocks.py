"""Parts that models share: checks of fields, TensorFlow's paddings, separable convolutions, named variants."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, InputSpecs, ModelConfig, Network, one_input

Pair = tuple[int, int]
Padding = Literal["same", "valid"]
Variant = Literal["stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar"]
VARIANTS: tuple[Variant, ...] = ("stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar")
#: Other names of representations whose variant has another one.
ALIASES: dict[str, Variant] = {"cifar100": "cifar", "picture": "cifar"}
#: Of batch normalisation, by whose defaults they are: what is added to the variance, and the new batch's share in the
#: running statistics (Keras names the old ones' share, 0.99, its momentum).
BATCH_NORMS = {"torch": (1e-5, 0.1), "keras": (1e-3, 0.01)}
Layer = TypeVar("Layer", bound=nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)


def parse_numbers(text: str) -> tuple[int, ...] | None:
    """The positive whole numbers of a comma list such as ``"4,8,16"``, or None if it is no such list."""
    parts = [p.strip() for p in text.split(",")]
    return tuple(map(int, parts)) if all(p.isascii() and p.isdecimal() and int(p) > 0 for p in parts) else None


def list_problems(name: str, text: str, like: str) -> list[str]:
    """What is wrong with a field that must be a comma list of positive whole numbers."""
    wrong = parse_numbers(text) is None
    return [f'{name} is {text!r}: list positive whole numbers as in "{like}"'] if wrong else []


def least_problems(least: int, **values: int) -> list[str]:
    """What is wrong with fields that must be at least so much."""
    return [f"{name} is {value}: it must be at least {least}" for name, value in values.items() if value < least]


def share_problems(name: str, value: float) -> list[str]:
    """What is wrong with a field that is a share to drop."""
    return [] if 0 <= value < 1 else [f"{name} is {value}: it must be at least 0 and below 1"]


def vector_problems(inputs: InputSpec, what: str) -> list[str]:
    """What is wrong with an input that must be a vector, (1, n, 1)."""
    if inputs.channels == inputs.frames == 1:
        return []
    return [f"the input's shape is {inputs.shape}: {what} has the shape (1, n, 1), one channel and one frame"]


def checked_ids(x: Tensor, least: int, most: int, what: str, fix: str) -> Tensor:
    """Whole numbers within ``least`` and ``most`` as int64, from integers or from floats that are whole.

    Raises
    ------
    TrainingError
        With the first value that is none of them: a GPU that looks one up in a table ends the process.
    """
    fits = (x >= least) & (x <= most)
    if x.is_floating_point():
        fits &= x == x.round()
    if not bool(fits.all()):
        value = x[~fits][0].item()
        raise TrainingError(f"{what} is {value}: ids are whole numbers within {least} and {most}; {fix}")
    return x.long()


class DropoutConfig(ModelConfig):
    """A model that ends in dropout and one dense layer.

    Attributes
    ----------
    dropout
        Share of the embedding set to zero before the last layer in training, 0 <= dropout < 1.
    """

    dropout: float = 0.0

    def problems(self) -> list[str]:
        return [*super().problems(), *share_problems("dropout", self.dropout)]


class VariantConfig(DropoutConfig):
    """A convolutional model whose source used other strides, paddings and pools for each representation.

    Attributes
    ----------
    variant
        Whose values to use; ``"auto"`` takes those of the representation, or, where none is named, ``cifar``'s for
        pictures (3 channels), ``chroma``'s for fewer than 32 rows and ``mel``'s for the rest.
    batch_norm
        Whose batch normalisation: ``"torch"`` (ours) adds 1e-5 to the variance and takes a tenth of each batch into
        the running statistics, ``"keras"``, as in the thesis' code, 1e-3 and a hundredth. The recipes have torch's:
        running statistics of a hundredth are still those of the first weights after an epoch of a small collection.
    """

    variant: Literal["auto", "stft", "stft_halved", "mel", "cqt", "chroma", "mfcc", "cifar"] = "auto"
    batch_norm: Literal["torch", "keras"] = dataclasses.field(default="torch", metadata=OMIT_DEFAULT)

    def for_representation(self, kind: str) -> Self:
        if self.variant != "auto":
            return self
        variant = ALIASES.get(kind, kind)
        if variant not in VARIANTS:
            raise ConfigError(
                f"the model {self.kind!r} has no variant for the representation {kind!r}: choose one of "
                f"{', '.join(VARIANTS)}, or set the model's variant to the one to imitate"
            )
        return self.replace({"variant": variant})

    def assemble(self, inputs: InputSpecs, outputs: int) -> Network:
        network = super().assemble(inputs, outputs)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps, layer.momentum = BATCH_NORMS[self.batch_norm]
        return network

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


def he_init(layer: Layer, before: Literal["relu", "tanh"] = "relu") -> Layer:
    """The layer with the initialisation of He et al. 2015 (*Delving Deep into Rectifiers*), its bias at zero."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity=before)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv(inputs: int, outputs: int, kernel: Pair, stride: Pair = (1, 1), groups: int = 1) -> nn.Conv2d:
    """A bias-free convolution with He initialisation."""
    return he_init(nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False))


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


class HeadedNetwork(Network):
    """A network that ends in dropout and one dense layer with bias.

    Parameters
    ----------
    embedding_dim
        Length of the vector that the dense layer takes.
    outputs
        Logits.
    dropout
        Share of that vector set to zero in training.
    """

    def __init__(self, embedding_dim: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(embedding_dim, outputs)

    def forward(self, x: Inputs) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits

    def logits_and_embedding(self, x: Inputs) -> tuple[Tensor, Tensor]:
        if type(self).forward is not HeadedNetwork.forward or self._forward_hooks or self._forward_pre_hooks:
            return super().logits_and_embedding(x)  # somebody's own way to the logits
        embedding = self.embed(x)
        return self.classifier(self.dropout(embedding)), embedding


class PooledNetwork(HeadedNetwork):
    """A network whose embedding is a global average pool of its feature maps."""

    def features(self, x: Tensor) -> Tensor:
        """Feature maps of shape (batch, embedding_dim, ..., ...)."""
        raise TypeError(f"{type(self).__name__} must say what it averages")

    def embed(self, x: Inputs) -> Tensor:
        return self.features(one_input(x)).mean(dim=(2, 3))
