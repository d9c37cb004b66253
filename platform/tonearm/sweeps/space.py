"""Search spaces as data, checked field by field before anything starts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed, digest
from tonearm.training.config import DatasetRef, TrialConfig


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values, which may be whole configs."""

    options: tuple[Any, ...]

    def __init__(self, *options: Any) -> None:
        object.__setattr__(self, "options", options)

    def at(self, u: float) -> Any:
        """The value at a place 0 <= u < 1."""
        return self.options[min(int(u * len(self.options)), len(self.options) - 1)]

    def extremes(self) -> list[Any]:
        """The values that must fit for all to fit."""
        return list(self.options)

    def problem(self) -> str | None:
        return None if self.options else "has no options: name at least one"


@dataclass(frozen=True)
class Uniform:
    """A float between two ends."""

    low: float
    high: float

    def at(self, u: float) -> float:
        return self.low + u * (self.high - self.low)

    def extremes(self) -> list[Any]:
        return [float(self.low), float(self.high)]

    def problem(self) -> str | None:
        return None if self.low < self.high else f"ranges from {self.low} to {self.high}: the first must be smaller"


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A float between two positive ends, uniform in its logarithm."""

    def at(self, u: float) -> float:
        return float(f"{math.exp(math.log(self.low) + u * math.log(self.high / self.low)):.4g}")  # as people read it

    def problem(self) -> str | None:
        return super().problem() or (
            None if self.low > 0 else f"begins at {self.low}: a logarithm needs a positive end"
        )


Domain = Choice | Uniform


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving by epochs (Li et al. 2020).

    Attributes
    ----------
    grace
        Epochs every trial gets.
    reduction
        Of ``reduction`` trials at a rung one goes on.
    """

    grace: int = 2
    reduction: int = 3


@dataclass(frozen=True)
class SearchSpace:
    """A base trial and the fields that vary.

    Attributes
    ----------
    base
        The trial that all others are made from.
    over
        Dotted field to its domain: ``{"optim.lr": LogUniform(1e-4, 1e-2)}``. A field named first may bring the
        fields that later ones vary (a ``model``, then its ``dropout``).
    trials
        How many are drawn: a Latin hypercube, so that every option of every field is tried about equally often.
    scheduler
        When to stop poor trials.
    seed
        Of the draw.
    """

    base: TrialConfig
    over: Mapping[str, Domain]
    trials: int = 9
    scheduler: Asha = Asha()
    seed: int = 0

    def check(self) -> None:
        """Check every field and every option against the base.

        Raises
        ------
        ConfigError
            With all problems: unknown fields, empty choices, ranges that do not fit, impossible combinations.
        """
        found = []
        if self.trials < 1:
            found.append(f"trials is {self.trials}: draw at least one")
        for path, domain in self.over.items():
            problem = domain.problem()
            if path.endswith(".kind"):
                place = path.removesuffix(".kind")
                problem = f"a kind alone has no fields: vary {place!r} over configs, as in Choice(TimeConfig(), ...)"
            if problem:
                found.append(f"{path}: {problem}")
                continue
            for value in domain.extremes():
                found += [f"{path} = {_brief(value)}: {p}" for p in self._problems_of(path, value)]
        if found:
            raise ConfigError(found)

    def _problems_of(self, path: str, value: Any) -> list[str]:
        """What a value does to the base, or to each of the options of a field that brings the value's field."""
        above = next((p for p in self.over if path.startswith(f"{p}.")), None)
        found: dict[str, None] = {}
        for option in self.over[above].extremes() if above else [None]:
            try:
                self.base.replace({above: option, path: value} if above else {path: value})
            except ConfigError as error:
                found |= dict.fromkeys(error.problems)
        return list(found)

    def sample(self, dataset: DatasetRef | None = None) -> list[TrialConfig]:
        """Draw the trials, the same ones every time.

        Parameters
        ----------
        dataset
            The data set as it is there, in place of the base's.

        Raises
        ------
        ConfigError
            If the space, or a combination that was drawn, cannot work.
        """
        from scipy.stats import qmc

        self.check()
        base = self.base if dataset is None else dataclasses.replace(self.base, dataset=dataset)
        seed = derive_seed("space", self.seed, sorted(self.over))
        points = qmc.LatinHypercube(d=max(1, len(self.over)), rng=seed).random(self.trials)
        configs, found = [], []
        for i, point in enumerate(points):
            drawn = {path: domain.at(float(u)) for (path, domain), u in zip(self.over.items(), point, strict=False)}
            try:
                configs.append(base.replace(drawn))
            except ConfigError as error:
                found += [f"trial {i} ({', '.join(f'{k}={_brief(v)}' for k, v in drawn.items())}): {p}"
                          for p in error.problems]  # fmt: skip
        if found:
            raise ConfigError(found)
        return configs

    def signature(self, configs: list[TrialConfig]) -> str:
        """Identity of a sweep: its trials and its scheduler."""
        return digest([c.signature() for c in configs], dataclasses.asdict(self.scheduler))


def _brief(value: Any) -> str:
    return value.brief() if isinstance(value, Config) else repr(value)


def settings(config: TrialConfig, varied: Iterable[str]) -> list[str]:
    """The values of the fields that a sweep varies, as people read them."""
    values = [config.at(path) for path in varied]
    return [v.brief() if isinstance(v, Config) else f"{v:g}" if isinstance(v, float) else str(v) for v in values]
