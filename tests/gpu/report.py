"""What was found: a line of a table at once, and all of it as JSON at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

Status = Literal["ok", "FAILED", "measured", "not run"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Row:
    """One thing that was looked at.

    Attributes
    ----------
    status
        ``"ok"`` and ``"FAILED"`` of a check with a tolerance, ``"measured"`` of a figure; ``"not run"`` with a reason.
    text
        For people.
    values
        The figures.
    """

    section: str
    name: str
    status: Status
    text: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """The rows so far, and how much time is left.

    Attributes
    ----------
    seconds
        For all sections together; what does not begin in time is a row that says so.
    patience
        By which they are multiplied, and those of each section.
    """

    seconds: float
    patience: float = 1.0
    rows: list[Row] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _section: str = ""
    _ends: float = 0.0

    def used(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    def left(self) -> float:
        """Seconds left to the section."""
        return self._ends - time.monotonic()

    @contextmanager
    def section(self, name: str, title: str, seconds: float) -> Iterator[None]:
        """A section that may take so many seconds; what goes wrong in it outside of a row ends it alone."""
        left = self.seconds * self.patience - self.used()
        self._section, self._ends = name, time.monotonic() + min(seconds * self.patience, left)
        print(f"\n{title}", flush=True)
        try:
            yield
        except Exception as error:
            self.add("all", "FAILED", reason(error))

    def add(self, name: str, status: Status, text: str, **values: Any) -> None:
        """A row, printed at once."""
        self.rows.append(Row(self._section, name, status, text, values))
        print(f"  {name:24} {status:9} {text}", flush=True)

    def in_time(self, items: Iterable[Item], name: Callable[[Item], str] = str) -> Iterator[Item]:
        """The items for which there is time left; of each of the others a row says that there was none."""
        for item in items:
            if self.left() > 0:
                yield item
            else:
                self.add(name(item), "not run", "the section's time is over")

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """What adds the row of this name; a missing library is a row too, and so is an error."""
        try:
            yield
        except ModuleNotFoundError as error:
            self.add(name, "not run", f"{error.name} is not installed")
        except Exception as error:
            self.add(name, "FAILED", reason(error))

    def check(self, name: str, off: float, tolerance: float, unit: str = "", **values: Any) -> None:
        """The row of a difference that may be as large as the tolerance."""
        status: Status = "ok" if off <= tolerance else "FAILED"  # which NaN is, too
        self.add(name, status, f"off by {off:.2g}{unit}, allowed {tolerance:g}{unit}", off=off, tolerance=tolerance,
                 **values)  # fmt: skip

    def failed(self) -> list[Row]:
        """The rows that failed."""
        return [r for r in self.rows if r.status == "FAILED"]

    def to_dict(self, **head: Any) -> dict[str, Any]:
        """All of it, with counts."""
        counts = {s.replace(" ", "_").lower(): sum(r.status == s for r in self.rows)
                  for s in ("ok", "FAILED", "measured", "not run")}  # fmt: skip
        return {**head, **counts, "seconds": round(self.used(), 1), "rows": [asdict(r) for r in self.rows]}


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:150]}"
