"""The mean kernel: how alike two tracks are, as the mean of how alike they are in each of their inputs.

Each input, a vector, is compared by a Gaussian kernel of its own, so that one with many numbers counts no more than one
with few. A track is described by its likeness to the training tracks (or some of them, the landmarks), and ridge
regression in closed form turns that into decisions: :mod:`tonearm.training.closed_form` solves it. For some hundreds of
recordings it beats networks that have to learn what to listen to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, InputSpecs, ModelConfig, Network, inputs_by_name, one_input, type_problems

CONSTANT = 1e-6  # a deviation below it is that of a number which does not vary
SINGLE = "input"  # the name of the only input, where there is one


class MeanKernelConfig(ModelConfig, kind="mean_kernel"):
    """A mean of Gaussian kernels, one an input, and ridge regression on it.

    Inputs are vectors, or several frames of which each number is compared; any number of them, of any names. Of several
    windows or clips of a track their mean is taken. The defaults are the first values that were tried, none was
    searched for.

    Attributes
    ----------
    width
        Of each kernel: the mean squared distance of two training tracks times this, > 0.
    ridge
        Penalty on the solution, > 0: the larger, the smoother.
    class_balance
        A track counts as its class's size to the power of minus this: 0 all tracks alike, 1 all classes alike.
    landmarks
        Training tracks that others are compared with, at most. Up to so many the solution is exact; of more they are
        drawn by the seed (Nystroem; Williams and Seeger 2001).
    embedding_dim
        Length of the embedding, at most; up to so many training tracks its cosine is the kernel.
    weights
        How much an input counts, as ``name=weight`` in a comma list; 1 for those that are not named.
    """

    solved: ClassVar[bool] = True

    width: float = 1.0
    ridge: float = 0.1
    class_balance: float = 0.5
    landmarks: int = 5000
    embedding_dim: int = 1024
    weights: str = ""

    def problems(self) -> list[str]:
        found = [f"{n} is {getattr(self, n)}: it must be above 0 and finite" for n in ("width", "ridge")
                 if not 0 < getattr(self, n) < math.inf]  # fmt: skip
        if not 0 <= self.class_balance <= 1:
            found.append(f"class_balance is {self.class_balance}: it must be within 0 and 1")
        found += [f"{n} is {getattr(self, n)}: it must be at least 1" for n in ("landmarks", "embedding_dim")
                  if getattr(self, n) < 1]  # fmt: skip
        if parse_weights(self.weights) is None:
            found.append(f"weights is {self.weights!r}: write e.g. 'musicnn=16,level=0.5', each above 0 and finite")
        return found

    def problems_with(self, inputs: InputSpecs, outputs: int) -> list[str]:
        wrong = type_problems(inputs, outputs)
        if wrong:
            return wrong
        specs = _by_name(inputs)
        found = [] if specs else ["it was given no input: name at least one"]
        for name, spec in specs.items():
            found += [f"{name}: {p}" for p in self.shape_problems(spec, 1)]
        if outputs < 1:
            found.append(f"{outputs} outputs: a model needs at least one class or target")
        unknown = sorted(set(parse_weights(self.weights) or {}) - set(specs))
        if unknown:
            found.append(f"weights names {', '.join(unknown)}, no input: its inputs are {', '.join(sorted(specs))}")
        return found

    def assemble(self, inputs: InputSpecs, outputs: int) -> Network:
        return MeanKernelNetwork(self, inputs, outputs)


def parse_weights(text: str) -> dict[str, float] | None:
    """Weights by name; None of a text that is no list of them."""
    found = {}
    for part in (p.strip() for p in text.split(",") if p.strip()):
        name, _, number = part.partition("=")
        try:
            weight = float(number)
        except ValueError:
            return None
        if not name.strip() or not 0 < weight < math.inf or name.strip() in found:
            return None
        found[name.strip()] = weight
    return found


def _by_name(inputs: InputSpecs) -> dict[str, InputSpec]:
    return {SINGLE: inputs} if isinstance(inputs, InputSpec) else dict(inputs)


class MeanKernelNetwork(Network):
    """It holds what was solved in buffers, and learns nothing by gradients.

    The number of landmarks is that of the solution: loading one sets it. Before there is one all logits are 0.
    """

    def __init__(self, config: MeanKernelConfig, inputs: InputSpecs, outputs: int) -> None:
        super().__init__()
        self.config, self.outputs, self.single = config, outputs, isinstance(inputs, InputSpec)
        specs, weights = _by_name(inputs), parse_weights(config.weights) or {}
        self.names, self.embedding_dim = tuple(specs), 1
        total = sum(weights.get(name, 1.0) for name in specs)
        self.shares = [weights.get(name, 1.0) / total for name in specs]
        for i, spec in enumerate(specs.values()):
            size = math.prod(spec.shape)
            self.register_buffer(f"shift_{i}", torch.zeros(size))
            self.register_buffer(f"scale_{i}", torch.zeros(size))
            self.register_buffer(f"landmarks_{i}", torch.zeros(1, size))
        self.register_buffer("dual", torch.zeros(1, outputs))
        self.register_buffer("offset", torch.zeros(outputs))
        self.register_buffer("root", torch.ones(1, 1))
        self.register_buffer("factor", torch.ones(()))
        self.register_buffer("threshold", torch.zeros(()))

    def vectors(self, x: Inputs) -> list[Tensor]:
        """Of each input, in order, one vector an example, (batch, size)."""
        batches = {SINGLE: one_input(x)} if self.single else inputs_by_name(x, self.names)
        return [batches[name].flatten(1) for name in self.names]

    def gather(self, windows: Inputs, each: int) -> tuple[Inputs, int]:
        """The mean of each track's windows: what is solved is asked, and a mean is surer than what it is made of."""
        if isinstance(windows, Tensor):
            return windows.reshape(-1, each, *windows.shape[1:]).mean(dim=1), 1
        return {name: v.reshape(-1, each, *v.shape[1:]).mean(dim=1) for name, v in windows.items()}, 1

    def scale(self, train: list[Tensor]) -> None:
        """Take mean and deviation of each number over the training tracks, (tracks, size) an input."""
        for i, values in enumerate(train):
            own = values.double()
            deviation = own.std(dim=0, correction=0)
            inverse = torch.where(deviation < CONSTANT, 0.0, 1 / deviation.clamp(min=CONSTANT))
            self._set(f"shift_{i}", own.mean(dim=0))
            self._set(f"scale_{i}", inverse)

    def choose_landmarks(self, train: list[Tensor], chosen: Tensor) -> None:
        """Compare with these of the training tracks, by their places; :meth:`scale` comes first."""
        for i, values in enumerate(train):
            self._set(f"landmarks_{i}", self._scaled(i, values[chosen]))

    def solve(self, dual: Tensor, offset: Tensor, root: Tensor, factor: float, threshold: float) -> None:
        """Take a solution.

        Parameters
        ----------
        dual, offset
            Decisions are likeness times ``dual`` (landmarks, outputs) plus ``offset`` (outputs,).
        root
            The embedding is likeness times this, (landmarks, dim).
        factor, threshold
            Logits are ``factor`` times (decisions - ``threshold``).
        """
        self._set("dual", dual)
        self._set("offset", offset)
        self._set("root", root)
        self._set("factor", torch.tensor(factor))
        self._set("threshold", torch.tensor(threshold))
        self.embedding_dim = root.shape[1]

    def likeness(self, vectors: list[Tensor]) -> Tensor:
        """To each landmark, 0..1: (batch, landmarks)."""
        return reduce(torch.add, self.input_likenesses(vectors))

    def input_likenesses(self, vectors: list[Tensor]) -> Iterator[Tensor]:
        """What each input adds to the likeness, in the order of ``names``: (batch, landmarks) each."""
        for i, (share, values) in enumerate(zip(self.shares, vectors, strict=True)):
            varying = int((self.get_buffer(f"scale_{i}") > 0).sum())
            # Of standardised numbers the mean squared distance of two training tracks is twice their count.
            mean_square = 2.0 * max(varying, 1) * self.config.width
            landmarks = self.get_buffer(f"landmarks_{i}")
            yield share * torch.exp(-squared_distances(self._scaled(i, values), landmarks) / mean_square)

    def contributions(self, x: Inputs, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What a sum of logits consists of: logits are linear in the kernel, and that is a sum over inputs.

        Parameters
        ----------
        direction
            The weights of the logits in the sum, (outputs,): 1 and -1 for the difference of two.

        Returns
        -------
        Tensor
            What each input adds, (batch, inputs). These and the rest sum to ``self(x) @ direction``.
        Tensor
            What each landmark adds, (batch, landmarks); so do these and the rest.
        Tensor
            The rest, which does not depend on ``x``, ().
        """
        dual = self.get_buffer("dual") @ direction * self.get_buffer("factor")
        rest = (self.get_buffer("offset") - self.get_buffer("threshold")) @ direction * self.get_buffer("factor")
        likenesses = list(self.input_likenesses(self.vectors(x)))
        by_input = torch.stack([own @ dual for own in likenesses], dim=1)
        return by_input, reduce(torch.add, likenesses) * dual, rest

    def forward(self, x: Inputs) -> Tensor:
        decisions = self.likeness(self.vectors(x)) @ self.get_buffer("dual") + self.get_buffer("offset")
        return (decisions - self.get_buffer("threshold")) * self.get_buffer("factor")

    def embed(self, x: Inputs) -> Tensor:
        return self.likeness(self.vectors(x)) @ self.get_buffer("root")

    def share_explained(self, embedded: Tensor) -> Tensor:
        """How much of examples the landmarks account for, 0..1, (batch,), by the vectors that :meth:`embed` gives: the
        length within their span of what has the length 1, as k(x, x) is."""
        lengths: Tensor = embedded.norm(dim=1)
        return lengths.clamp(max=1.0)

    def _scaled(self, i: int, values: Tensor) -> Tensor:
        shift, scale = self.get_buffer(f"shift_{i}"), self.get_buffer(f"scale_{i}")
        return (values.to(shift.dtype) - shift) * scale

    def _set(self, name: str, value: Tensor) -> None:
        own = self.get_buffer(name)
        setattr(self, name, value.detach().to(own).contiguous())

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """As any module's, of a solution with any number of landmarks; other sizes are refused as usual."""
        dual, root = state_dict.get(f"{prefix}dual"), state_dict.get(f"{prefix}root")
        if isinstance(dual, Tensor) and isinstance(root, Tensor) and dual.ndim == root.ndim == 2:
            for name, own in list(self.named_buffers(recurse=False)):
                if name in ("dual", "root") or name.startswith("landmarks_"):
                    columns = root.shape[1] if name == "root" else own.shape[1]
                    setattr(self, name, own.new_zeros(len(dual), columns))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.embedding_dim = self.get_buffer("root").shape[1]


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Of each row of ``x`` (n, size) to each of ``y`` (m, size): (n, m), not below 0."""
    products = x @ y.T
    return (x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)[None] - 2 * products).clamp_(min=0.0)
