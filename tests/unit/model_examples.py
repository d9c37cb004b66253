"""A small input for every registered model, for tests that are parametrised over the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tonearm.core.types import InputSpec
from tonearm.models import Network, create
from tonearm.models.base import Inputs, Specs

SPECTROGRAM = InputSpec(1, 163, 139)


@dataclass(frozen=True)
class Example:
    """Shapes that a model can work on, and fields that make it small.

    Attributes
    ----------
    tokens
        Whether the input holds whole numbers below ``freq_bins``.
    """

    specs: Specs = SPECTROGRAM
    fields: Mapping[str, Any] = field(default_factory=dict)
    tokens: bool = False
    outputs: int = 5

    def build(self, name: str) -> Network:
        """The network, with the same weights every time."""
        torch.manual_seed(3)
        return create(name, self.specs, self.outputs, **self.fields)

    def batch(self, size: int, seed: int = 0) -> Inputs:
        """Random examples."""
        generator = torch.Generator().manual_seed(seed)
        if not isinstance(self.specs, InputSpec):
            return {name: torch.randn(size, *s.shape, generator=generator) for name, s in sorted(self.specs.items())}
        if self.tokens:
            return torch.randint(0, self.specs.freq_bins, (size, self.specs.frames), generator=generator)
        return torch.randn(size, *self.specs.shape, generator=generator)


def take(x: Inputs, part: slice) -> Inputs:
    """Some of the examples of a batch."""
    return x[part] if isinstance(x, Tensor) else {name: values[part] for name, values in x.items()}


#: A model that is registered and not here fails the contract test: give it its line.
EXAMPLES: dict[str, Example] = {
    "simple": Example(),
    "time": Example(),
    "freq": Example(),
}
