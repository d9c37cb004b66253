"""Why a track is recommended, as data: what it shares with the seeds and what not, and one sentence made of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.core.text import printable
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.recommend.attributes import Numbers, is_number, numbers, predicted, texts
from tonearm.recommend.library import Library
from tonearm.recommend.sliders import COMPARATIVES

CLOSE, FAR = 0.1, 0.4
"""Numbers are shared that lie so close in the catalogue, as quantiles, and differ that lie so far apart."""
LEAST = 0.1  # probability with which a label must be predicted of both to be shared
UNITS = {"year": "", **{name: described.unit for name, described in DESCRIPTORS.items()}}
TEXTS = {
    "artist": "also by {}", "album": "from the same album, {}", "label": "also {}", "place": "also from {}",
    "key": "in the same key, {}",
}  # fmt: skip
SHOWN_ALIKE, SHOWN_APART = 2, 1  # numbers that the sentence names


@dataclass(frozen=True)
class Attribute:
    """One attribute of a result beside the seeds' own.

    Attributes
    ----------
    name
        Of the column; ``key`` holds the mode, too.
    value, seed
        The result's and the seeds': texts, or numbers (of several seeds their mean).
    quantile, seed_quantile
        Of numbers, where they lie in the catalogue, 0..1: the share of tracks that have less, and half of those that
        have the same. None of texts.
    shared
        True: the same text, or quantiles within :data:`CLOSE`; False: another text, or quantiles :data:`FAR` apart;
        None: neither.
    """

    name: str
    value: str | float
    seed: str | float
    quantile: float | None = None
    seed_quantile: float | None = None
    shared: bool | None = None


@dataclass(frozen=True)
class SharedLabel:
    """A label that a model gives both; the probabilities are the result's and the seed's."""

    label: str
    probability: float
    seed: float


@dataclass(frozen=True)
class WindowMatch:
    """The two windows, one of the seed and one of the result, that are most alike to the model.

    Attributes
    ----------
    start, seed_start
        Seconds from the beginning of each recording.
    seconds
        How long a window is.
    similarity
        Cosine of the two windows' embeddings, -1..1.
    """

    start: float
    seed_start: float
    seconds: float
    similarity: float


@dataclass(frozen=True)
class Reasons:
    """Why a track is recommended.

    Attributes
    ----------
    attributes
        All that is known of both.
    labels
        Predicted of both, the surest first.
    """

    attributes: tuple[Attribute, ...] = ()
    labels: tuple[SharedLabel, ...] = ()

    @property
    def shared(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if a.shared)

    @property
    def differing(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if a.shared is False)

    @property
    def sentence(self) -> str:
        """What is shared, and what differs most; made of the data alone."""
        named = [TEXTS[a.name].format(printable(str(a.value).strip(), 40)) for a in self.shared if a.name in TEXTS]
        heard = [f"heard as {s.label} like it ({s.probability:.2f}, {s.seed:.2f})" for s in self.labels[:1]]
        alike = [f"{a.name.replace('_', ' ')} alike ({_both(a)})" for a in sorted(self._numbers(True), key=_apart)]
        other = [f"{_comparative(a)} ({_both(a)})" for a in sorted(self._numbers(False), key=_apart, reverse=True)]
        parts = [*named, *heard, *alike[:SHOWN_ALIKE]]
        other = other[:SHOWN_APART]
        if not parts and not other:
            return "sounds alike"
        return "; ".join([*(parts or ["sounds alike"]), *(f"but {text}" for text in other)])

    def _numbers(self, shared: bool) -> list[Attribute]:
        return [a for a in self.attributes if a.shared is shared and a.name in UNITS]


def _apart(attribute: Attribute) -> float:
    return abs((attribute.quantile or 0.0) - (attribute.seed_quantile or 0.0))


def _comparative(attribute: Attribute) -> str:
    more = float(attribute.value) > float(attribute.seed)
    words = COMPARATIVES.get((attribute.name, 1 if more else -1))
    return words or f"{'more' if more else 'less'} {attribute.name.replace('_', ' ')}"


def _both(attribute: Attribute) -> str:
    """The result's value and the seed's; of what differs with as many digits as tell them apart."""
    value, seed = float(attribute.value), float(attribute.seed)
    digits = 0 if max(abs(value), abs(seed)) >= 20 else 2
    if not attribute.shared:  # "louder (-22, -22 LUFS)" would tell nothing
        digits = next((d for d in range(digits, 4) if f"{value:.{d}f}" != f"{seed:.{d}f}"), digits)
    unit = UNITS.get(attribute.name, "")
    return f"{value:.{digits}f}, {seed:.{digits}f}{' ' + unit if unit else ''}"


class Comparison:
    """Compares rows of a library with what is known of the seeds.

    Parameters
    ----------
    library
        In which quantiles are taken.
    seed
        What is known of the seeds, by column, see :func:`merged`.
    """

    def __init__(self, library: Library, seed: Mapping[str, Any]) -> None:
        self._library, self._seed = library, seed
        self._columns: dict[str, Numbers | None] = {}

    def reasons(self, place: int) -> Reasons:
        """Why a row is recommended."""
        row = self._library.row(place)
        found = [*self._texts(row), *self._numbers(row)]
        mine, own = predicted(row), predicted(self._seed)
        labels = [SharedLabel(name, p, own[name]) for name, p in mine.items() if min(p, own.get(name, 0)) >= LEAST]
        return Reasons(tuple(found), tuple(sorted(labels, key=lambda s: -min(s.probability, s.seed))))

    def _texts(self, row: Mapping[str, Any]) -> list[Attribute]:
        found = []
        for name in TEXTS:
            value, seed = _cell(row, name), _cell(self._seed, name)
            if value and seed:
                shared = not set(texts(value)).isdisjoint(texts(seed))
                found.append(Attribute(name, _told(value), _told(seed), shared=shared))
        return found

    def _numbers(self, row: Mapping[str, Any]) -> list[Attribute]:
        found = []
        for name in UNITS:
            value, seed = row.get(name), self._seed.get(name)
            if is_number(value) and is_number(seed) and np.isfinite(value) and np.isfinite(seed):
                at, seed_at = self._quantile(name, float(value)), self._quantile(name, float(seed))
                apart = abs(at - seed_at)
                shared = True if apart <= CLOSE else False if apart >= FAR else None
                found.append(Attribute(name, float(value), float(seed), at, seed_at, shared))
        return found

    def _quantile(self, name: str, value: float) -> float:
        if name not in self._columns:
            self._columns[name] = numbers(self._library, name)
        column = self._columns[name]
        if column is None:
            return 0.5
        known = column[np.isfinite(column)]
        return float(((known < value).sum() + 0.5 * (known == value).sum()) / max(len(known), 1))


def _cell(row: Mapping[str, Any], name: str) -> Any:
    if name == "key" and row.get("key"):
        return f"{row['key']} {row.get('mode') or ''}".strip()
    return row.get(name)


def _told(value: Any) -> str:
    return (
        value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, Sequence) else str(value)
    )


def merged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of several seeds together: the mean of numbers that all have, what else they have in common."""
    if len(rows) == 1:
        return dict(rows[0])
    found: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        if all(is_number(v) for v in values):
            found[name] = float(np.mean([float(v) for v in values if v is not None]))
        elif all(v == values[0] for v in values):
            found[name] = values[0]
    return found
