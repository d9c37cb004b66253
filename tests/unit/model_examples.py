"""A small input for every registered model, for tests that are parametrised over the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tonearm.core.types import InputSpec
from tonearm.models import Network, create
from tonearm.models.base import Inputs, InputSpecs
from tonearm.models.mean_kernel import MeanKernelNetwork

SPECTROGRAM = InputSpec(1, 163, 139)


@dataclass(frozen=True)
class Example:
    """Shapes that a model can work on, and fields that make it small.

    Attributes
    ----------
    tokens
        Whether the input holds whole numbers below ``freq_bins``.
    solved
        Whether it has nothing that gradients teach: it is solved, or consists of what was trained before.
    any_inputs
        Whether it takes one input or several.
    unused
        Parameters that only other inputs than the example's reach: their gradient has tests of its own.
    """

    specs: InputSpecs = SPECTROGRAM
    fields: Mapping[str, Any] = field(default_factory=dict)
    tokens: bool = False
    outputs: int = 5
    unused: tuple[str, ...] = ()
    solved: bool = False
    any_inputs: bool = False

    def build(self, name: str) -> Network:
        """The network, with the same weights every time."""
        torch.manual_seed(3)
        network = create(name, self.specs, self.outputs, **self.fields)
        if isinstance(network, MeanKernelNetwork):  # a solution of any numbers
            train = network.vectors(self.batch(16))
            network.scale(train)
            network.choose_landmarks(train, torch.arange(16))
            network.solve(torch.randn(16, self.outputs), torch.randn(self.outputs), torch.randn(16, 7), 2.0, 0.1)
        return network

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


SMALL_MEMBER = {"divisors": "2,3", "widths": "4,6", "separable_length": 3}
SMALL_BLOCKS = {"widths": "2,3", "hidden": "8,6"}
SMALL_TOWER = {
    "vector": "9,7", "each": 6, "pair": "8,7,5", "coordinate": 4, "location": "6", "year": "5", "joined": "12,9,8",
}  # fmt: skip
VECTORS = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc", "lyrics", "albums")
PARTS = [{"name": name, "reads": name.partition("_")[0],
          "model": {"kind": "time" if "_" in name else "large_rnn", "widths": "4,6" if "_" in name else "4,5,6",
                    **({"divisors": "2,3", "separable_length": 3} if "_" in name else {})}}
         for name in VECTORS[:6]]  # fmt: skip

#: A model that is registered and not here fails the contract test: give it its line.
EXAMPLES: dict[str, Example] = {
    "simple": Example(),
    "time": Example(),
    "freq": Example(),
    "rnn": Example(InputSpec(1, 7, 9), {"widths": "6,6,4"}),
    "large_rnn": Example(InputSpec(2, 7, 9), {"widths": "4,5,6"}),
    "lyrics": Example(InputSpec(1, 11, 8), {"widths": "4,5,6", "word_dim": 3}, tokens=True),
    "albums": Example(InputSpec(3, 64, 64), {"width_mult": 0.2}),
    "playlist_cnn": Example(InputSpec(1, 16, 40), {"channels": 4}),
    "temporal_pooling": Example(InputSpec(1, 8, 109), {"widths": "5,6,7,8", "hidden": "9,7"}),
    "tabular_mlp": Example(InputSpec(1, 14, 1), {"hidden": "12,10", "embedding": "periodic"}),
    "artist_table": Example(InputSpec(1, 9, 1), unused=("scale", "bias")),
    "mean_kernel": Example(InputSpec(1, 14, 1), solved=True, any_inputs=True),
    "time_freq": Example(
        InputSpec(1, 20, 24),
        {"time": SMALL_MEMBER, "freq": SMALL_MEMBER, "hidden": "32,24"},
    ),
    "genre_ensemble": Example(
        {
            "stft_halved": InputSpec(1, 24, 24),
            "mel": InputSpec(1, 20, 24),
            "cqt": InputSpec(1, 18, 24),
            "chroma": InputSpec(1, 6, 24),
            "mfcc": InputSpec(1, 5, 24),
        },
        {"time": SMALL_MEMBER, "freq": SMALL_MEMBER, "rnn": {"widths": "5"}, "hidden": "32,24,16"},
    ),
    "recommendation": Example(
        {n: InputSpec(1, 11, 1) for n in VECTORS} | {n: InputSpec(1, 1, 1) for n in ("latitude", "longitude", "year")},
        SMALL_TOWER,
    ),
    "cold_start": Example(
        {
            "mel": InputSpec(1, 20, 24),
            "cqt": InputSpec(1, 18, 24),
            "chroma": InputSpec(1, 6, 24),
            "mfcc": InputSpec(1, 5, 24),
        },
        {"parts": PARTS, "joined": SMALL_TOWER, "absent": ["lyrics", "latitude", "longitude"]},
        solved=True,
    ),
    "wav1d": Example(InputSpec(2, 1, 2000), {**SMALL_BLOCKS, "stride": 2}),
    "wav2d": Example(InputSpec(2, 1, 40 * 330 + 7), {**SMALL_BLOCKS, "rows": 40, "stride": 2}),
    "spec2d": Example(InputSpec(2, 24, 70), {"widths": "4,4,4,4,5,5,5", "hidden": "16,12,10"}),
    "spec3d": Example(InputSpec(2, 24, 20 * 24 + 3), {"widths": "4,4,4,5,5,5", "hidden": "16,12,10", "slices": 20}),
}
