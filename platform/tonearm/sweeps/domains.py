"""What a field may become: one of several values, or a number between two ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tonearm.core.config import Config


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

    def describe(self) -> list[str]:
        """For people: every option."""
        return [o.brief() if isinstance(o, Config) else str(o) for o in self.options]

    def problem(self) -> str | None:
        if not self.options:
            return "has no options: name at least one"
        twice = [o for i, o in enumerate(self.options) if o in self.options[:i]]
        return f"names {twice[0]!r} twice: leave it out once" if twice else None


@dataclass(frozen=True)
class Uniform:
    """A float between two ends."""

    low: float
    high: float

    def at(self, u: float) -> float:
        return self.within(self.low + u * (self.high - self.low))

    def within(self, value: float) -> float:
        """Rounded for readability, and never beyond an end."""
        return min(max(round_significant(value), self.low), self.high)

    def extremes(self) -> list[Any]:
        return [float(self.low), float(self.high)]

    def describe(self) -> str:
        """For people: both ends."""
        return f"{self.low:g} to {self.high:g}"

    def problem(self) -> str | None:
        return None if self.low < self.high else f"ranges from {self.low} to {self.high}: the first must be smaller"


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A float between two positive ends, uniform in its logarithm."""

    def at(self, u: float) -> float:
        return self.within(math.exp(math.log(self.low) + u * math.log(self.high / self.low)))

    def describe(self) -> str:
        return f"{super().describe()}, evenly by the logarithm"

    def problem(self) -> str | None:
        return super().problem() or (
            None if self.low > 0 else f"begins at {self.low}: a logarithm needs a positive end"
        )


@dataclass(frozen=True)
class Integers:
    """A whole number between two ends, both included."""

    low: int
    high: int

    def at(self, u: float) -> int:
        return min(self.low + int(u * (self.high - self.low + 1)), self.high)

    def extremes(self) -> list[Any]:
        return [self.low, self.high]

    def describe(self) -> str:
        """For people: both ends."""
        return f"{self.low} to {self.high}, whole numbers"

    def problem(self) -> str | None:
        if not (type(self.low) is int and type(self.high) is int):
            return f"ranges from {self.low!r} to {self.high!r}: both must be whole numbers"
        return None if self.low < self.high else f"ranges from {self.low} to {self.high}: the first must be smaller"


Domain = Choice | Uniform | Integers


def round_significant(value: float) -> float:
    """Rounded to four digits, so that the value in a table is the one that was used."""
    return float(f"{value:.4g}")


def to_parameter(domain: Domain, value: Any) -> int | float:
    """A value as a number: of a choice the option's, since an option may be a whole config."""
    if isinstance(domain, Choice):
        return domain.options.index(value)
    number: int | float = value
    return number


def from_parameter(domain: Domain, parameter: Any) -> Any:
    """The inverse of :func:`to_parameter`."""
    if isinstance(domain, Choice):
        return domain.options[parameter]
    return domain.within(parameter) if isinstance(domain, Uniform) else parameter


def contains(domain: Domain, value: Any) -> bool:
    """Whether a value is one of a domain's."""
    if isinstance(domain, Choice):
        return value in domain.options
    return isinstance(value, int | float) and domain.low <= value <= domain.high
