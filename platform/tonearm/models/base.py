"""What every model has in common: a config that knows the shapes it can work on, and a network with two ways out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.registry import Registry
from tonearm.core.types import InputSpec

WINDOWS_AT_ONCE = 64  # a whole track of an hour has hundreds, whose activations would take gigabytes


def in_chunks(call: Callable[[Tensor], Tensor], windows: Tensor) -> Tensor:
    """What ``call`` gives for windows (windows, ...), some at a time; for evaluation, where they are independent."""
    return torch.cat([call(part) for part in torch.split(windows, WINDOWS_AT_ONCE)])


class Network(nn.Module, ABC):
    """A model's network. It never knows a data set: it sees an input shape and a number of outputs.

    Attributes
    ----------
    embedding_dim
        Length of the vector that :meth:`embed` gives.
    """

    embedding_dim: int

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """The vector before the last layer.

        Parameters
        ----------
        x
            float32 of shape (batch, channels, freq_bins, frames).

        Returns
        -------
        Tensor
            Shape (batch, embedding_dim).
        """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, outputs) for ``x`` of shape (batch, channels, freq_bins, frames)."""


class ModelConfig(Config):
    """Base of all models' configs. A model registers itself by declaring a ``kind``::

    class TimeConfig(ModelConfig, kind="time"): ...
    """

    registry: ClassVar[Registry[type[ModelConfig]]] = Registry("model")

    def for_representation(self, kind: str) -> Self:
        """This config as its source used it on the representation ``kind``; most models do not differ.

        Raises
        ------
        ConfigError
            If the model cannot take that representation.
        """
        return self

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        """Sentences on why this model cannot work on inputs of that shape; empty if it can. Nothing is built."""
        found = [
            f"the input's {name} is {size}: it must be at least 1"
            for name, size in zip(("channels", "freq_bins", "frames"), inputs.shape, strict=True)
            if size < 1
        ]
        if outputs < 1:
            found.append(f"{outputs} outputs: a model needs at least one class or target")
        return found

    def build(self, inputs: InputSpec, outputs: int) -> Network:
        """A network with fresh weights (seed torch first for the same ones again).

        Raises
        ------
        ConfigError
            With all of :meth:`shape_problems`.
        """
        found = self.shape_problems(inputs, outputs)
        if found:
            raise ConfigError([f"{self.kind or type(self).__name__}: {p}" for p in found])
        return self.network(inputs, outputs)

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        """The network for a shape already found to be possible; what a model's config defines."""
        raise TypeError(f"{type(self).__name__} must say what network it builds")
