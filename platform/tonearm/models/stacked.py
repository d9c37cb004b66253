"""Networks on top of frozen ones: TimeFreq and GenreEnsemble (Whitell 2019).

The members are trained first, each as a model of its own. They are put in with
``network.members[name].load_state_dict(...)``; :meth:`TimeFreqConfig.member_specs` and
:meth:`GenreEnsembleConfig.member_specs` say what each of them must be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, InputSpecs, ModelConfig, MultiInputConfig, Network, inputs_by_name, one_input
from tonearm.models.blocks import list_problems, parse_numbers, share_problems
from tonearm.models.dense import DenseNetwork
from tonearm.models.recurrent import RnnConfig
from tonearm.models.time_freq import FreqConfig, TimeConfig


@dataclass(frozen=True)
class MemberSpec:
    """What one member of a stacked network must be.

    Attributes
    ----------
    config
        The config that it was trained with, the representation's variant filled in.
    inputs
        The shape of one example, or of each of its inputs by name.
    reads
        The name of the input that it reads, or None where the network has one input, or it reads what others predict.
    """

    config: ModelConfig
    inputs: InputSpecs
    reads: str | None = None

    def by_name(self) -> Mapping[str, InputSpec]:
        """The shapes by name, of one input by ""."""
        return {"": self.inputs} if isinstance(self.inputs, InputSpec) else self.inputs


class FrozenMembers(Network):
    """A network with members that were trained before: no gradient reaches them, and they stay in evaluation mode, so
    that their running statistics do not move and they drop nothing.

    Attributes
    ----------
    members
        The networks by name.
    member_specs
        What each of them must be.
    member_inputs
        The input that each of them reads; None where there is only one, or it reads what others predict.
    """

    def hold(self, members: Mapping[str, MemberSpec], outputs: int) -> None:
        """Build the members, each with ``outputs`` outputs, and freeze them."""
        self.members = nn.ModuleDict({n: m.config.build(m.inputs, outputs) for n, m in members.items()})
        self.member_specs = dict(members)
        self.member_inputs = {name: member.reads for name, member in members.items()}
        self.members.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.members.eval()
        return self


class StackedNetwork(FrozenMembers, DenseNetwork):
    """The members' logits side by side, hidden dense layers, and a dense layer to the outputs.

    Parameters
    ----------
    members
        By name; every one of them has ``outputs`` outputs.
    outputs
        Classes.
    hidden
        Sizes of the hidden layers, a comma list.
    dropout
        After each hidden layer.
    l2
        Of :meth:`penalty`.
    """

    def __init__(self, members: Mapping[str, MemberSpec], outputs: int, hidden: str, dropout: float, l2: float) -> None:
        super().__init__(len(members) * outputs, parse_numbers(hidden) or (), outputs, dropout)
        self.hold(members, outputs)
        self.l2 = l2

    def vector(self, x: Inputs) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.members[n](self.read(x, name)) for n, name in self.member_inputs.items()], dim=1)

    def read(self, x: Inputs, name: str | None) -> Tensor:
        """The batch that a member reads which takes the input ``name``."""
        if name is None:
            return one_input(x)
        return inputs_by_name(x, [n for n in self.member_inputs.values() if n is not None])[name]

    def penalty(self) -> Tensor:
        """``l2`` times the sum of squares of the hidden layers' weights; their offsets and the last layer are free."""
        weights = [p for n, p in self.hidden.named_parameters() if n.endswith("weight")]
        return self.l2 * torch.stack([w.square().sum() for w in weights]).sum()


def head_problems(hidden: str, dropout: float, l2: float) -> list[str]:
    """Why no such layers exist on top of the members."""
    wrong = [] if 0 <= l2 < math.inf else [f"l2 is {l2}: it must be at least 0 and finite"]
    return [*list_problems("hidden", hidden, "256,128"), *share_problems("dropout", dropout), *wrong]


def member_problems(members: Mapping[str, MemberSpec], outputs: int) -> list[str]:
    """Why some members cannot work on their inputs, each by its name."""
    return [f"{n}: {p}" for n, m in members.items() for p in m.config.problems_with(m.inputs, outputs)]


class TimeFreqConfig(ModelConfig, kind="time_freq"):
    """Frozen Time and Freq of one spectrogram, joined.

    Attributes
    ----------
    time, freq
        The members, named ``time`` and ``freq`` in ``network.members``.
    hidden
        Sizes of the hidden dense layers, a comma list.
    dropout
        After each hidden layer, 0 <= dropout < 1.
    l2
        Factor of the hidden layers' squared weights in the loss, >= 0.
    """

    time: TimeConfig = TimeConfig()
    freq: FreqConfig = FreqConfig()
    hidden: str = "256,128"
    dropout: float = 0.5
    l2: float = 0.002

    def problems(self) -> list[str]:
        return head_problems(self.hidden, self.dropout, self.l2)

    def for_representation(self, kind: str) -> Self:
        return self.replace({"time": self.time.for_representation(kind), "freq": self.freq.for_representation(kind)})

    def member_specs(self, inputs: InputSpecs) -> dict[str, MemberSpec]:
        """What each member must be, by its name in ``network.members``."""
        if not isinstance(inputs, InputSpec):
            raise TypeError(f"{type(self).__name__} takes one input")
        return {"time": MemberSpec(self.time, inputs), "freq": MemberSpec(self.freq, inputs)}

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        return super().shape_problems(inputs, outputs) or member_problems(self.member_specs(inputs), outputs)

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return StackedNetwork(self.member_specs(inputs), outputs, self.hidden, self.dropout, self.l2)


class GenreEnsembleConfig(MultiInputConfig, kind="genre_ensemble"):
    """Frozen Time and Freq of three spectrograms and an RNN of chroma and of mfcc, joined.

    The members are ``time_stft_halved freq_stft_halved time_mel freq_mel time_cqt freq_cqt rnn_chroma rnn_mfcc``.

    Attributes
    ----------
    time, freq
        Of the members on ``stft_halved``, ``mel`` and ``cqt``, each in the variant of what it reads.
    rnn
        Of the members on ``chroma`` and ``mfcc``.
    hidden
        Sizes of the hidden dense layers, a comma list.
    dropout
        After each hidden layer, 0 <= dropout < 1.
    l2
        Factor of the hidden layers' squared weights in the loss, >= 0.
    """

    spectrograms: ClassVar[tuple[str, ...]] = ("stft_halved", "mel", "cqt")
    sequences: ClassVar[tuple[str, ...]] = ("chroma", "mfcc")
    needed: ClassVar[tuple[str, ...]] = (*spectrograms, *sequences)

    time: TimeConfig = TimeConfig()
    freq: FreqConfig = FreqConfig()
    rnn: RnnConfig = RnnConfig()
    hidden: str = "1024,512,256"
    dropout: float = 0.5
    l2: float = 0.002

    def problems(self) -> list[str]:
        return head_problems(self.hidden, self.dropout, self.l2)

    def member_specs(self, inputs: InputSpecs) -> dict[str, MemberSpec]:
        """What each member must be, by its name in ``network.members``."""
        if isinstance(inputs, InputSpec):
            raise TypeError(f"{type(self).__name__} takes several inputs")
        pairs: list[tuple[str, ModelConfig]] = []
        for name in self.spectrograms:
            pairs += [(name, self.time), (name, self.freq)]
        pairs += [(name, self.rnn) for name in self.sequences]
        return {f"{c.kind}_{name}": MemberSpec(c.for_representation(name), inputs[name], name) for name, c in pairs}

    def input_problems(self, inputs: Mapping[str, InputSpec], outputs: int) -> list[str]:
        return super().input_problems(inputs, outputs) or member_problems(self.member_specs(inputs), outputs)

    def multi_input_network(self, inputs: Mapping[str, InputSpec], outputs: int) -> Network:
        return StackedNetwork(self.member_specs(inputs), outputs, self.hidden, self.dropout, self.l2)
