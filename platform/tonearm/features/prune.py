"""Take features that are not needed out of a store: whole parts are deleted, others are written anew without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from tonearm.core import storage
from tonearm.features.base import Representation
from tonearm.features.join_parts import FILES, remove_part, write_part_of
from tonearm.features.store_index import read_index


@dataclass(frozen=True)
class PartWithSpare:
    """A part of a store that holds clips which nothing needs.

    Attributes
    ----------
    rows
        All of its rows.
    kept
        Those whose keys are needed.
    bytes
        What would be gained.
    """

    name: str
    rows: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    bytes: int

    @property
    def tracks(self) -> int:
        """Tracks that are not needed."""
        return len({r["key"] for r in self.rows} - {r["key"] for r in self.kept})


def parts_with_spare(uri: str, needed: Collection[str]) -> Iterator[PartWithSpare]:
    """The parts of a store that hold other keys than the needed ones."""
    by_part: dict[str, list[dict[str, Any]]] = {}
    for row in read_index(uri).to_pylist():
        by_part.setdefault(row.pop("part"), []).append(row)
    for name, rows in sorted(by_part.items()):
        kept = [row for row in rows if row["key"] in needed]
        if len(kept) < len(rows):
            size = sum(max(0, storage.size(storage.join(uri, "parts", name + suffix))) for suffix in FILES)
            frames = sum(row["frames"] for row in rows)
            share = 1 - sum(row["frames"] for row in kept) / frames if frames else 1.0
            yield PartWithSpare(name, rows, kept, round(size * share))


def prune_part(uri: str, representation: Representation, part: PartWithSpare) -> None:
    """Write what is kept of a part as a part of its own, then delete it; killed in between, both are there."""
    if part.kept:
        write_part_of(uri, representation, [{**row, "part": part.name} for row in part.kept])
    remove_part(uri, part.name)
