"""Is one value of a field better than another, all else equal? Sides are the candidates of a value that have a partner
of the other value, equal in every other field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.sweeps.candidates import as_text, short_names, varied_fields
from tonearm.sweeps.comparison_answers import Answers
from tonearm.sweeps.comparison_contrast import Contrast, Measure, Side, adjusted, contrast

Cells = dict[tuple[Any, ...], list[Answers]]  # candidates that are equal in all other fields


@dataclass(frozen=True)
class Factor:
    """The answer for a field.

    Attributes
    ----------
    contrasts
        For each two of its values: over all candidates, then within each value of the other field.
    sides
        Of each two values over all candidates, for a look at their classes.
    candidates
        How many took part on each side of each contrast, by first, second and within.
    unequal
        The fields that are not held equal, since no two candidates differ in the field alone.
    """

    field: str
    contrasts: list[Contrast]
    sides: list[tuple[Side, Side]]
    candidates: dict[tuple[str, str, str], tuple[int, int]]
    unequal: list[str]


def factor(answers: Sequence[Answers], by: str, within: str, measure: Measure) -> Factor:
    """Compare the values of a field.

    Parameters
    ----------
    by
        Dotted path of a field that the candidates vary; of a config its kind.
    within
        Another one, or "".

    Raises
    ------
    ConfigError
        If there is no such field, it does not vary, or there is nothing to compare within the other one.
    """
    values = [a.candidate.values for a in answers]
    varied = varied_fields(values)
    path = _path(by, values, varied)
    inner = _path(within, values, varied) if within else ""
    if inner and (inner == path or (inner.startswith(f"{path.removesuffix('kind')}") and path.endswith(".kind"))):
        raise ConfigError(f"--within {within} is a part of --by {by}: name a field that both sides can have")
    own = path.removesuffix("kind") if path.endswith(".kind") else f"{path}."
    others = [p for p in varied if p != path and not p.startswith(own)]
    levels = _best_first(answers, path, measure)
    matched = True
    parts = _contrasted(answers, path, levels, others, inner)
    if not parts:
        matched = False
        parts = _contrasted(answers, path, levels, [inner] if inner else [], inner)
    short = short_names([path, inner] if inner else [path])
    found: list[Contrast] = []
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    sides: list[tuple[Side, Side]] = []
    for first, second, level in parts:
        place = f"{short[inner]} {level}" if level else ""
        if not level:
            sides.append((first, second))
        found.append(contrast(first, second, measure, others=not level, within=place))
        counts[first.name, second.name, place] = (len(first.members), len(second.members))
    return Factor(short[path], adjusted(found), sides, counts, [] if matched else _unequal(others, inner))


def _unequal(others: Sequence[str], inner: str) -> list[str]:
    return list(short_names([p for p in others if p != inner]).values())


def _contrasted(
    answers: Sequence[Answers], path: str, levels: Sequence[str], others: Sequence[str], inner: str
) -> list[tuple[Side, Side, str]]:
    """Each two values' sides, over all cells and (with the value) within each value of the inner field."""
    cells = {level: _cells([a for a in answers if as_text(a.candidate.values.get(path)) == level], others)
             for level in levels}  # fmt: skip
    found = []
    for one, two in combinations(levels, 2):
        shared = [key for key in cells[one] if key in cells[two]]
        if not shared:
            continue
        found.append((_side(one, cells[one], shared), _side(two, cells[two], shared), ""))
        place = others.index(inner) if inner in others else -1
        for level in sorted({key[place] for key in shared}, key=str) if place >= 0 else []:
            part = [key for key in shared if key[place] == level]
            found.append((_side(one, cells[one], part), _side(two, cells[two], part), as_text(level)))
    return found


def _cells(answers: Sequence[Answers], others: Sequence[str]) -> Cells:
    found: Cells = {}
    for a in answers:
        found.setdefault(tuple(a.candidate.values.get(p) for p in others), []).append(a)
    return found


def _side(name: str, cells: Cells, keys: Sequence[tuple[Any, ...]]) -> Side:
    """The mean over cells of the mean over a cell's candidates."""
    members = [(a, 1 / len(cells[key]) / len(keys)) for key in keys for a in cells[key]]
    return Side(name, tuple(a for a, _ in members), tuple(weight for _, weight in members))


def _path(text: str, values: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> str:
    """The varied field that a text names."""
    path = next((p for p in (text, f"{text}.kind") if any(p in v for v in values)), "")
    if path in varied:
        return path
    names = [p.removesuffix(".kind") for p in varied]
    told = f"these candidates vary {', '.join(names) or 'nothing'}"
    if path:
        raise ConfigError(f"{text} is the same for all candidates: {told}")
    close = difflib.get_close_matches(text, names, n=1)
    raise ConfigError(f"there is no field {text!r}.{f' Did you mean {close[0]!r}?' if close else ''} {told}")


def _best_first(answers: Sequence[Answers], path: str, measure: Measure) -> list[str]:
    """The values of a field, so that differences tend to be gains."""
    scores: dict[str, list[float]] = {}
    for a in answers:
        if path in a.candidate.values:
            everything = a.metrics_of(np.arange(len(a.groups)), (measure.name,))
            scores.setdefault(as_text(a.candidate.values[path]), []).append(everything[measure.name])
    sign = -1 if measure.maximise else 1
    return sorted(scores, key=lambda level: (sign * float(np.mean(scores[level])), level))
