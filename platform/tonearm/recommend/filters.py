"""Which tracks of a library may be recommended: conditions on its columns, each a mask."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.recommend.attributes import how_known, is_number, numbers, texts
from tonearm.recommend.library import Library
from tonearm.recommend.text_codes import having

RECORDING = "recording"  # of one recording in several forms the same text
SAME = ("artist", "album", RECORDING)
"""What a recommended track can be asked not to share with the seeds."""


@dataclass(frozen=True, eq=False)
class Condition:
    """One condition.

    Attributes
    ----------
    name
        As it is told, e.g. ``"year 1990 to 1999"``.
    mask
        bool (rows,), the rows that meet it.
    """

    name: str
    mask: npt.NDArray[np.bool_]


def where_conditions(library: Library, where: Mapping[str, Any]) -> tuple[list[Condition], list[str]]:
    """The conditions of a request, and what is wrong with it, a sentence each.

    Parameters
    ----------
    where
        By the name of a column: of texts one or several, of which a row must have one, without regard to case; of
        numbers a value, or the ends of a range, both within it, of which one may be None: ``{"label": ["folk", "jazz"],
        "year": (1990, None)}``. A row of which the column is not known meets no condition on it.
    """
    found, problems = [], []
    for name, wanted in where.items():
        if name not in library.names():
            problems.append(f"where: {unknown_name('column', name, library.names())}{how_known(name)}")
            continue
        values = numbers(library, name)
        condition = _text_condition(library, name, wanted) if values is None else _range_condition(name, values, wanted)
        if isinstance(condition, str):
            problems.append(condition)
        else:
            found.append(condition)
    return found, problems


def _text_condition(library: Library, name: str, wanted: Any) -> Condition | str:
    several = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(several, Sequence) or not several or not all(isinstance(v, str) and texts(v) for v in several):
        return f"where: {name} is {wanted!r:.200}: give a text, or several of which a track must have one"
    mask = having(library, name, {text for v in several for text in texts(v)})
    return Condition(f"{name} {' or '.join(map(str, several))}", mask)


def _range_condition(name: str, values: npt.NDArray[np.float64], wanted: Any) -> Condition | str:
    ends = (wanted, wanted) if is_number(wanted) else wanted
    wrong = (
        f"where: {name} is {wanted!r:.200}: give a number, or the two ends of a range, such as (1990, 1999) or "
        "(1990, None)"
    )
    if not isinstance(ends, Sequence) or isinstance(ends, str) or len(ends) != 2:
        return wrong
    try:
        low, high = (None if end is None else _finite(end) for end in ends)
    except (ValueError, OverflowError):
        return wrong
    if low is None and high is None:
        return wrong
    if low is not None and high is not None and low > high:
        return f"where: {name} is {low:g} to {high:g}: the first end of a range is the lower one"
    mask = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        if low is not None:
            mask &= values >= low
        if high is not None:
            mask &= values <= high
    if low == high:
        told = f"{low:g}"
    elif low is None or high is None:
        told = f"at most {high:g}" if low is None else f"at least {low:g}"
    else:
        told = f"{low:g} to {high:g}"
    return Condition(f"{name} {told}", mask)


def _finite(value: Any) -> float:
    """A finite number as a float; ValueError if it is none, OverflowError if it is a whole one of too many digits."""
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def unlike(library: Library, seeds: Sequence[int], columns: Sequence[str]) -> list[Condition]:
    """That a track is none of the seeds, and shares none of the columns with them, e.g. the recording or the artist.

    Parameters
    ----------
    seeds
        Their rows.
    columns
        Of :data:`SAME`. A column that nobody has forbids nothing.
    """
    if not seeds:
        return []
    others = np.ones(len(library), dtype=bool)
    others[list(seeds)] = False
    found = [Condition("none of the seeds", others)]
    for name in columns:
        column = library.column(name)
        if column is not None:
            own = {text for row in seeds for text in texts(column[row])}
            found.append(Condition(f"not the seeds' {name}", ~having(library, name, own)))
    return found


def allowed_rows(conditions: Sequence[Condition], rows: int) -> npt.NDArray[np.bool_]:
    """The rows that meet all conditions, bool (rows,).

    Raises
    ------
    ConfigError
        If there are none: how many meet each condition by itself, and each after those before it.
    """
    mask = np.ones(rows, dtype=bool)
    left = []
    for condition in conditions:
        mask &= condition.mask
        left.append(int(mask.sum()))
    if mask.any():
        return mask
    counts = zip(conditions, left, strict=True)
    told = [f"{c.name} ({int(c.mask.sum())} alone, {n} after those before it)" for c, n in counts]
    which = conditions[left.index(0)].name
    raise ConfigError(
        f"no track of {rows} is left: {', '.join(told)}. It is {which!r} after which none is left: change it"
    )
