"""What all models share: a config that knows the shapes it can work on, and a network with logits and an embedding."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.core.registry import Registry
from tonearm.core.types import InputSpec

#: What a network takes: one batch, or, where it has several inputs, a batch of each by name.
Inputs = Tensor | Mapping[str, Tensor]
#: The shapes of one example of them.
InputSpecs = InputSpec | Mapping[str, InputSpec]

#: Messages of torch's layers for an input that became empty, or a single value to normalise.
TOO_SMALL = re.compile(
    r"too small|greater than actual input size|more than 1 (value|spatial element)|greater than zero|non-?zero size"
)

WINDOWS_AT_ONCE = 64  # a whole track of an hour has hundreds, whose activations would take gigabytes


def in_chunks(call: Callable[[Inputs], Tensor], windows: Inputs, size: int = WINDOWS_AT_ONCE) -> Tensor:
    """What ``call`` gives for windows (windows, ...), ``size`` at a time: for evaluation, where they do not mix."""
    if isinstance(windows, Tensor):
        return torch.cat([call(part) for part in torch.split(windows, size)])
    parts = {name: torch.split(values, size) for name, values in windows.items()}
    count = len(next(iter(parts.values())))
    return torch.cat([call({name: split[i] for name, split in parts.items()}) for i in range(count)])


def one_input(x: Inputs) -> Tensor:
    """The single batch that most networks take.

    Raises
    ------
    TrainingError
        If several were given.
    """
    if not isinstance(x, Tensor):
        raise TrainingError(f"this network takes one input, it was given {len(x)}: {', '.join(sorted(x))}")
    return x


def inputs_by_name(x: Inputs, names: Collection[str]) -> Mapping[str, Tensor]:
    """The batches of a network with several inputs, all of ``names`` among them.

    Raises
    ------
    TrainingError
        If a single batch was given, or a name is missing.
    """
    expected = ", ".join(names)
    if isinstance(x, Tensor):
        raise TrainingError(f"this network takes several inputs by name ({expected}), it was given a single batch")
    missing = sorted(set(names) - set(x))
    if missing:
        raise TrainingError(f"the batch lacks {', '.join(missing)}: this network takes {expected}")
    return x


def shape_mismatches(x: Inputs, specs: InputSpecs) -> list[str]:
    """Of the inputs whose examples have another shape than the specs say, both shapes."""
    if isinstance(x, Tensor) or isinstance(specs, InputSpec):
        pairs = [("", x, specs)] if isinstance(x, Tensor) and isinstance(specs, InputSpec) else []
    else:
        pairs = [(f"{name}: ", x[name], spec) for name, spec in sorted(specs.items()) if name in x]
    return [
        f"{name}examples have the shape {tuple(given.shape[1:])}, the network was built for {spec.shape}"
        for name, given, spec in pairs
        if tuple(given.shape[1:]) != spec.shape
    ]


class Network(nn.Module, ABC):
    """A model's network. It never knows a data set: it sees an input shape and a number of outputs.

    Attributes
    ----------
    embedding_dim
        Length of the vector that :meth:`embed` gives.
    specs
        The shape of one example that it was built for, or of each of several inputs by name; None if it was not built
        by a config. Networks may work on other shapes too.
    """

    embedding_dim: int
    specs: InputSpecs | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As any module is called, hooks included.

        Raises
        ------
        TrainingError
            If a layer fails and the examples do not have the shape that the network was built for, or are too few or
            too small for its layers.
        """
        try:
            return super().__call__(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError, ValueError) as error:  # batch normalisation raises the last one
            advice = self._advice(args[0] if args else kwargs.get("x"), str(error).partition("\n")[0])
            if advice is None:
                raise
            raise TrainingError(advice) from error

    def _advice(self, x: Any, reason: str) -> str | None:
        """A message with the fix for a layer's error, or None if the examples' shape is not its cause."""
        if self.specs is None or not isinstance(x, Tensor | Mapping):
            return None
        found = shape_mismatches(x, self.specs)
        if found:
            return f"{'; '.join(found)}: give it such examples ({reason})"
        if not TOO_SMALL.search(reason):
            return None
        batches = [x] if isinstance(x, Tensor) else list(x.values())
        shapes = ", ".join(str(tuple(batch.shape[1:])) for batch in batches)
        return (
            f"{len(batches[0])} example(s) of the shape {shapes} are too few or too small for the network's layers "
            f"({reason}): give larger ones, or more at once; a shape that can never work is for shape_problems of the "
            "model's config to refuse"
        )

    @abstractmethod
    def embed(self, x: Inputs) -> Tensor:
        """The vector before the last layer.

        Parameters
        ----------
        x
            float32 of shape (batch, channels, freq_bins, frames); of networks with several inputs one such batch by
            name.

        Returns
        -------
        Tensor
            Shape (batch, embedding_dim).
        """

    @abstractmethod
    def forward(self, x: Inputs) -> Tensor:
        """Logits of shape (batch, outputs) for ``x`` as :meth:`embed` takes it."""

    def logits_and_embedding(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` and :meth:`embed` give; a network that has one on the way to the other shares it."""
        return self(x), self.embed(x)

    def gather(self, windows: Inputs, each: int) -> tuple[Inputs, int]:
        """What it takes of tracks by their windows, (tracks * each, ...), and how much of that stands for a track: all
        windows, whose logits the task pools. A network that hears a track at once makes one of them."""
        return windows, each

    def row_tables(self) -> Sequence[nn.Embedding]:
        """Tables of which a batch reads few rows, through their forward pass alone: a step changes only these."""
        return ()

    def penalty(self) -> Tensor | None:
        """What a model's own regularisation adds to the loss (a scalar), or None; it depends on the weights alone."""
        return None


def type_problems(inputs: Any, outputs: Any) -> list[str]:
    """Sentences on what is no input shape, or no number of outputs."""
    found = []
    if isinstance(inputs, InputSpec):
        found += _spec_problems("inputs", inputs)
    elif isinstance(inputs, Mapping):
        for name, spec in inputs.items():
            found += _spec_problems(f"inputs[{name!r}]", spec)
            if not isinstance(name, str):
                found.append(f"the input's name {name!r} is a {type(name).__name__}: names are text")
    else:
        found.append(f"inputs is {inputs!r}: give an InputSpec, or a mapping of them by name")
    if not _whole(outputs):
        found.append(f"outputs is {outputs!r}: give a whole number")
    return found


def _spec_problems(what: str, spec: Any) -> list[str]:
    if not isinstance(spec, InputSpec):
        return [f"{what} is {spec!r}: give an InputSpec"]
    return [] if all(_whole(n) for n in spec.shape) else [f"{what} is {spec!r}: its three numbers are whole"]


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


class ModelConfig(Config):
    """Base of all models' configs; one registers itself by a kind: ``class TimeConfig(ModelConfig, kind="time")``."""

    registry: ClassVar[Registry[type[ModelConfig]]] = Registry("model")
    composed: ClassVar[bool] = False  # of networks that are trained before: nothing of it is trained or varied
    solved: ClassVar[bool] = False  # in closed form, not trained in steps: no epoch of it is chosen on validation

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

    def problems_with(self, inputs: InputSpecs, outputs: int) -> list[str]:
        """Like :meth:`shape_problems`, for whatever a model takes: one input, or several by name."""
        wrong = type_problems(inputs, outputs)
        if wrong:
            return wrong
        if isinstance(inputs, InputSpec):
            return self.shape_problems(inputs, outputs)
        return [f"it takes one input, it was given {len(inputs)}: {', '.join(sorted(inputs))}"]

    def build(self, inputs: InputSpecs, outputs: int) -> Network:
        """A network with fresh weights (seed torch first for the same ones again).

        Raises
        ------
        ConfigError
            With all of :meth:`problems_with`.
        """
        found = self.problems_with(inputs, outputs)
        if found:
            raise ConfigError([f"{self.kind or type(self).__name__}: {p}" for p in found])
        network = self.assemble(inputs, outputs)
        network.specs = inputs if isinstance(inputs, InputSpec) else dict(inputs)
        return network

    def assemble(self, inputs: InputSpecs, outputs: int) -> Network:
        """The network for shapes already found to be possible."""
        if not isinstance(inputs, InputSpec):
            raise TypeError(f"{type(self).__name__} takes one input")
        return self.network(inputs, outputs)

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        """The network of a model with one input; what its config defines."""
        raise TypeError(f"{type(self).__name__} must say what network it builds")


class MultiInputConfig(ModelConfig):
    """Base of the configs of models with several inputs, each known by a name.

    Such a model defines :meth:`input_problems` and :meth:`multi_input_network` in place of :meth:`shape_problems` and
    :meth:`network`.
    """

    needed: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()

    def problems_with(self, inputs: InputSpecs, outputs: int) -> list[str]:
        wrong = type_problems(inputs, outputs)
        if wrong:
            return wrong
        names = ", ".join(self.needed) + (f"; optional: {', '.join(self.optional)}" if self.optional else "")
        if isinstance(inputs, InputSpec):
            return [f"it takes several inputs by name ({names}), it was given a single one of shape {inputs.shape}"]
        found = [f"it lacks the input {name!r}: give all of {names}" for name in self.needed if name not in inputs]
        found += [f"it knows no input {name!r}: its inputs are {names}"
                  for name in sorted(set(inputs) - {*self.needed, *self.optional})]  # fmt: skip
        return found or self.input_problems(inputs, outputs)

    def input_problems(self, inputs: Mapping[str, InputSpec], outputs: int) -> list[str]:
        """Sentences on why it cannot work on inputs of these shapes; all the needed ones are there."""
        found = []
        for name in sorted(inputs):
            found += [f"{name}: {p}" for p in self.shape_problems(inputs[name], 1)]
        return [*found, *([] if outputs >= 1 else [f"{outputs} outputs: a model needs at least one class or target"])]

    def assemble(self, inputs: InputSpecs, outputs: int) -> Network:
        if isinstance(inputs, InputSpec):
            raise TypeError(f"{type(self).__name__} takes several inputs")
        return self.multi_input_network(inputs, outputs)

    def multi_input_network(self, inputs: Mapping[str, InputSpec], outputs: int) -> Network:
        """The network; what the model's config defines."""
        raise TypeError(f"{type(self).__name__} must say what network it builds")
