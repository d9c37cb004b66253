"""Recommendation: an artist's vector from other models' outputs and from metadata (Whitell 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, MultiInputConfig, Network, inputs_by_name
from tonearm.models.blocks import (
    DropoutConfig,
    least_problems,
    list_problems,
    parse_numbers,
    share_problems,
    vector_problems,
)
from tonearm.models.dense import DenseNetwork, DenseStack

#: The inputs of each branch, in the order in which the branches are joined.
BRANCHES: dict[str, tuple[str, ...]] = {
    "chroma": ("chroma",),
    "mfcc": ("mfcc",),
    "mel": ("mel_time", "mel_freq"),
    "cqt": ("cqt_time", "cqt_freq"),
    "lyrics": ("lyrics",),
    "albums": ("albums",),
    "location": ("latitude", "longitude"),
    "year": ("year",),
}
NUMBERS = ("latitude", "longitude", "year")


class RecommendationConfig(MultiInputConfig, DropoutConfig, kind="recommendation"):
    """Branches of dense layers over vectors that trained models predict, joined by dense layers.

    A vector has the shape (1, n, 1); latitude, longitude and year have (1, 1, 1). Every number of the thesis' table
    that follows an arrow is read as a dense layer, here as there where "concatenated → 4096 → 2048 → 1024 → 800" lists
    layers: so "each → dense 1024, concatenated → 2048 → 1024 → 512" has a dense layer of 2048 on the two times 1024.

    Attributes
    ----------
    vector
        Layers of a branch with one vector (chroma, mfcc, lyrics, albums), a comma list.
    each
        The layer of each of the two vectors of mel and of cqt.
    pair
        Layers on both, joined, a comma list.
    coordinate
        The layer of latitude and of longitude.
    location
        Layers on both, joined, a comma list.
    year
        Layers of the year, a comma list.
    joined
        Layers on all branches, a comma list.
    dropout
        Share of the outputs of each layer of ``joined`` set to zero in training, 0 <= dropout < 1.
    branch_dropout
        Chance of each branch that an example has to be taken for absent in training, 0 <= branch_dropout < 1 (ours);
        one of them always stays. So the network learns to answer by whatever is known of a recording.
    """

    needed: ClassVar[tuple[str, ...]] = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc")
    optional: ClassVar[tuple[str, ...]] = ("lyrics", "albums", "latitude", "longitude", "year")

    vector: str = "1024,512"
    each: int = 1024
    pair: str = "2048,1024,512"
    coordinate: int = 128
    location: str = "512"
    year: str = "512"
    joined: str = "4096,2048,1024"
    branch_dropout: float = dataclasses.field(default=0.0, metadata=OMIT_DEFAULT)

    def problems(self) -> list[str]:
        found = super().problems() + share_problems("branch_dropout", self.branch_dropout)
        found += least_problems(1, each=self.each, coordinate=self.coordinate)
        for name in ("vector", "pair", "location", "year", "joined"):
            found += list_problems(name, getattr(self, name), "1024,512")
        return found

    def input_problems(self, inputs: Mapping[str, InputSpec], outputs: int) -> list[str]:
        found = super().input_problems(inputs, outputs)
        for name, spec in inputs.items():
            found += [f"{name}: {p}" for p in vector_problems(spec, "a vector or number")]
            if name in NUMBERS and spec.freq_bins > 1:
                found.append(f"{name}: the input's shape is {spec.shape}: it is one number, (1, 1, 1)")
        coordinates = {"latitude", "longitude"} & set(inputs)
        if len(coordinates) == 1:
            found.append(
                f"only {coordinates.pop()} is given: a place needs latitude and longitude; give both or neither"
            )
        return found

    def multi_input_network(self, inputs: Mapping[str, InputSpec], outputs: int) -> Network:
        present = {name: reads for name, reads in BRANCHES.items() if set(reads) <= set(inputs)}
        branches = {
            name: Branch({read: inputs[read].freq_bins for read in reads}, *self.layers(name))
            for name, reads in present.items()
        }
        return RecommendationNetwork(
            branches, parse_numbers(self.joined) or (), outputs, self.dropout, self.branch_dropout
        )

    def layers(self, branch: str) -> tuple[int, tuple[int, ...]]:
        """The layer that each input of a branch gets, and the ones on all of its inputs, joined."""
        first = {"mel": self.each, "cqt": self.each, "location": self.coordinate}.get(branch)
        names = {"mel": self.pair, "cqt": self.pair, "location": self.location, "year": self.year}
        sizes = parse_numbers(names.get(branch, self.vector)) or ()
        return (sizes[0], sizes[1:]) if first is None else (first, sizes)


class Branch(nn.Module):
    """A dense layer for each input, and dense layers on all of them side by side; zeros where an input is missing.

    Parameters
    ----------
    lengths
        Of each input's vector.
    first
        Size of each input's own layer.
    sizes
        Of the layers on all of them.
    """

    def __init__(self, lengths: Mapping[str, int], first: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict({name: DenseStack(n, [first]) for name, n in lengths.items()})
        self.joined = DenseStack(first * len(lengths), sizes)

    def present(self, x: Mapping[str, Tensor]) -> Tensor:
        """Which examples have all of its inputs, bool (batch,)."""
        return torch.stack([~x[name].reshape(len(x[name]), -1).isnan().any(dim=1) for name in self.inputs]).all(dim=0)

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        parts = []
        for name, layer in self.inputs.items():
            values = x[name].reshape(len(x[name]), -1)
            parts.append(layer(torch.where(values.isnan(), 0.0, values)))
        out: Tensor = self.joined(torch.cat(parts, dim=1)) * self.present(x)[:, None]
        return out


class RecommendationNetwork(DenseNetwork):
    """All branches side by side, hidden dense layers, and a dense layer to the artist's vector.

    A vector is given as (batch, 1, n, 1) or (batch, n). An example with NaN in one of a branch's inputs lacks that
    branch: zeros stand in its place, whatever its weights and offsets are, and no gradient comes from it.

    Attributes
    ----------
    branches
        By name: those of :data:`BRANCHES` whose inputs were given.
    """

    def __init__(
        self, branches: Mapping[str, Branch], sizes: Sequence[int], outputs: int, dropout: float,
        branch_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(sum(b.joined.outputs for b in branches.values()), sizes, outputs, dropout)
        self.branches = nn.ModuleDict(branches)
        self.branch_dropout = branch_dropout
        self.reads = tuple(read for name in branches for read in BRANCHES[name])

    def vector(self, x: Inputs) -> Tensor:
        inputs = inputs_by_name(x, self.reads)
        outputs = [branch(inputs) for branch in self.branches.values()]
        if self.training and self.branch_dropout:
            kept = self._kept(inputs)
            outputs = [out * kept[:, i : i + 1] for i, out in enumerate(outputs)]
        return torch.cat(outputs, dim=1)

    def _kept(self, x: Mapping[str, Tensor]) -> Tensor:
        """The branches that are not dropped, bool (batch, branches): of those that an example has one stays.

        What stays is not scaled up: in use, too, an absent branch leaves the others as they are.
        """
        present = torch.stack([cast(Branch, b).present(x) for b in self.branches.values()], dim=1)
        chance = torch.rand(present.shape, device=present.device)
        likeliest = torch.where(present, chance, -1.0).argmax(dim=1, keepdim=True)
        return (chance >= self.branch_dropout).scatter(1, likeliest, True)
