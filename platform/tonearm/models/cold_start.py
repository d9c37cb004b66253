"""A place in a space of artists for a bare recording: networks of audio, and the one that joins what they predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.models.base import (
    Inputs,
    InputSpecs,
    ModelConfig,
    MultiInputConfig,
    Network,
    inputs_by_name,
    type_problems,
)
from tonearm.models.stacked import FrozenMembers, MemberSpec, member_problems
from tonearm.models.tower import NUMBERS, RecommendationConfig

#: The member that joins what the others predict.
JOINED = "recommendation"


class PartConfig(Config):
    """A network of audio.

    Attributes
    ----------
    name
        Of the input of the joining network that it gives.
    reads
        The representation that it reads, by its name among the inputs.
    model
        As it was trained.
    """

    name: str
    reads: str
    model: ModelConfig


class ColdStartConfig(MultiInputConfig, kind="cold_start"):
    """What a recommendation says of a recording of which nothing but the audio is known. All of it is trained before.

    A recipe fills in these fields from the stages that train the members, so that they are changed there.

    Attributes
    ----------
    parts
        The networks of audio.
    joined
        The network that joins their vectors; a member, too, called ``recommendation``.
    absent
        Its inputs that no network of audio gives (lyrics, album covers, place, year): they are masked.
    """

    composed: ClassVar[bool] = True

    parts: tuple[PartConfig, ...] = ()
    joined: RecommendationConfig = RecommendationConfig()
    absent: tuple[str, ...] = ()

    def brief(self) -> str:
        return f"{self.kind}({', '.join(part.name for part in self.parts)})"

    def problems_with(self, inputs: InputSpecs, outputs: int) -> list[str]:
        wrong = type_problems(inputs, outputs)
        if wrong or not self.parts:  # which are not filled in yet
            return wrong
        if isinstance(inputs, InputSpec):
            return ["it takes several inputs by name, it was given a single one"]
        read = {part.reads for part in self.parts}
        found = [f"it lacks the input {name!r}" for name in sorted(read - set(inputs))]
        found += [f"no part reads the input {name!r}" for name in sorted(set(inputs) - read)]
        return found or self.input_problems(inputs, outputs)

    def input_problems(self, inputs: Mapping[str, InputSpec], outputs: int) -> list[str]:
        specs = self.member_specs(inputs, outputs)
        joined = specs.pop(JOINED)
        return member_problems(specs, outputs) + [
            f"{JOINED}: {p}" for p in joined.config.problems_with(joined.inputs, outputs)
        ]

    def member_specs(self, inputs: Mapping[str, InputSpec], outputs: int) -> dict[str, MemberSpec]:
        """What each member must be, by its name in ``network.members``."""
        found = {p.name: MemberSpec(p.model, inputs[p.reads], p.reads) for p in self.parts}
        vectors = {name: InputSpec(1, 1 if name in NUMBERS else outputs, 1) for name in (*found, *self.absent)}
        return {**found, JOINED: MemberSpec(self.joined, vectors)}

    def multi_input_network(self, inputs: Mapping[str, InputSpec], outputs: int) -> Network:
        if not self.parts:
            raise ConfigError("cold_start: it has no parts: a recipe fills them in from the stages that train them")
        return ColdStartNetwork(self.member_specs(inputs, outputs), self.absent, outputs)


class ColdStartNetwork(FrozenMembers):
    """Its answer is its embedding: a vector of the space that the members were trained for.

    Nothing of it learns.
    """

    def __init__(self, members: Mapping[str, MemberSpec], absent: tuple[str, ...], outputs: int) -> None:
        super().__init__()
        self.embedding_dim, self.absent = outputs, absent
        self.hold(members, outputs)
        self._lengths = {name: spec.freq_bins for name, spec in members[JOINED].by_name().items()}

    def gather(self, windows: Inputs, each: int) -> tuple[Inputs, int]:
        """A track's windows together, (tracks, each, ...): each part's vector of a track is the mean direction of its
        windows, as it was when the joining network was trained."""
        if isinstance(windows, Tensor):
            return windows, each
        return {name: v.reshape(-1, each, *v.shape[1:]) for name, v in windows.items()}, 1

    def embed(self, x: Inputs) -> Tensor:
        """Vectors of shape (batch, outputs), of any length: only their directions count.

        Parameters
        ----------
        x
            By name float32 (batch, channels, freq_bins, frames), or (batch, windows, channels, freq_bins, frames).
        """
        heard = inputs_by_name(x, sorted({name for name in self.member_inputs.values() if name is not None}))
        given = {n: self._direction(n, heard[r]) for n, r in self.member_inputs.items() if r is not None}
        one = next(iter(given.values()))
        given |= {name: one.new_full((len(one), self._lengths[name]), torch.nan) for name in self.absent}
        vectors: Tensor = self.members[JOINED](given)
        return vectors

    def forward(self, x: Inputs) -> Tensor:
        return self.embed(x)

    def logits_and_embedding(self, x: Inputs) -> tuple[Tensor, Tensor]:
        vectors: Tensor = self(x)
        return vectors, vectors

    def _direction(self, name: str, windows: Tensor) -> Tensor:
        """What a part predicts of each example, of unit length, (batch, outputs)."""
        if windows.ndim == 4:
            return F.normalize(self.members[name](windows), dim=1)
        vectors = F.normalize(self.members[name](windows.flatten(0, 1)), dim=1)
        return F.normalize(vectors.reshape(*windows.shape[:2], -1).mean(dim=1), dim=1)
