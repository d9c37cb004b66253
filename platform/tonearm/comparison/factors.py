"""Is one value of a field better than another, all else equal? Sides are the candidates of a value that have a partner
of the other value, equal in every other field."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tonearm.comparison.candidates import name_of, varied_fields
from tonearm.comparison.contrast import PairedComparison, Side, adjusted, compare_sides
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.core.errors import ConfigError
from tonearm.sweeps.trial_names import field_text, short_names

Cells = dict[tuple[Any, ...], list[Predictions]]  # candidates that are equal in all other fields
Level = tuple[tuple[str, Any], ...]  # path and value of each field of one question that a candidate has


@dataclass(frozen=True)
class Factor:
    """Comparison of the values of a field.

    Attributes
    ----------
    contrasts
        For each two of its values: over all candidates, then within each value of the other field.
    sides
        Of each two values over all candidates, for a look at their classes.
    candidates
        How many took part on each side of each paired comparison, by first, second and within.
    matched
        Whether the sides are partners, equal in every other field.
    confounders
        The fields whose values are not the same, or not as frequent, on both sides.
    co_varying
        The fields of the same part of the config that move with this one, so that the differences are of all of them.
    """

    field: str
    contrasts: list[PairedComparison]
    sides: list[tuple[Side, Side]]
    candidates: dict[tuple[str, str, str], tuple[int, int]]
    matched: bool
    confounders: list[str]
    co_varying: list[str]


def factor(predictions: Sequence[Predictions], by: str, within: str, measure: ComparisonMetric) -> Factor:
    """Compare the values of a field.

    Parameters
    ----------
    by
        Dotted path of a field that the candidates vary; of a config its kind; of a part of the config, such as
        ``window``, all its fields together.
    within
        Another field, or "".

    Raises
    ------
    ConfigError
        If there is no such field, it does not vary, or there is nothing to compare within the other one.
    """
    values = [a.candidate.values for a in predictions]
    varied = varied_fields(values)
    paths = _paths(by, values, varied)
    inner = _paths(within, values, varied)[0] if within else ""
    own = tuple(p.removesuffix("kind") for p in paths if p.endswith(".kind"))
    if inner in paths or (inner and inner.startswith(own)):
        raise ConfigError(f"within {within} is a part of by {by}: name a field that both sides can have")
    levels = [_level(v, paths) for v in values]
    others = [p for p in varied if p not in paths and not p.startswith(own)]
    follow = [p for p in others if _follows(p, values, levels)]
    if inner in follow:
        raise ConfigError(f"within {within} moves with by {by}: name a field that both sides can have")
    parent = paths[0].removesuffix(".kind").rpartition(".")[0]
    co_varying = [p for p in follow if parent and p.startswith(f"{parent}.")]
    compared = [p for p in others if p not in co_varying]
    short = short_names(varied)
    cells = _by_level(predictions, levels)
    level_names = _unique_names(cells, paths, short)
    ordered = _best_first(cells, measure, level_names)
    inner_names = _unique_names([((inner, v.get(inner)),) for v in values], [inner], short) if inner else {}
    places = {value: f"{short[inner]} {text}" for ((_, value),), text in inner_names.items()}
    parts = _contrasted(cells, ordered, level_names, [p for p in others if p not in follow], inner, places)
    matched = bool(parts)
    if not matched:
        parts = _contrasted(cells, ordered, level_names, [inner] if inner else [], inner, places)
        parts = [(_alone(one), _alone(two), place) for one, two, place in parts]
    named = by.removesuffix(".kind") if len(paths) > 1 else short[paths[0]]
    found: list[PairedComparison] = []
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    sides: list[tuple[Side, Side]] = []
    every: list[str] = []
    for first, second, place in parts:
        if not place:
            sides.append((first, second))
        differ = [short[p] for p in compared if _frequencies(first, p) != _frequencies(second, p)]
        every += [name for name in differ if name not in every]
        found.append(compare_sides(first, second, measure, not place, place, len(parts), _why_unequal(differ, matched)))
        counts[first.name, second.name, place] = (len(first.members), len(second.members))
    return Factor(named, adjusted(found), sides, counts, matched, every, [short[p] for p in co_varying])


def _why_unequal(differ: Sequence[str], matched: bool) -> str:
    """Why not all else is equal, or ""."""
    if differ:
        return f"{', '.join(differ)} differ{'s' if len(differ) == 1 else ''}"
    return "" if matched else "the other fields are combined in other ways"


def _frequencies(side: Side, path: str) -> dict[Any, float]:
    """The share of each value of a field on a side; None where a candidate lacks the field."""
    shares: dict[Any, float] = {}
    for member, weight in zip(side.members, side.weights, strict=True):
        value = member.candidate.values.get(path)
        shares[value] = shares.get(value, 0.0) + weight
    return {value: round(share, 9) for value, share in shares.items()}


def _follows(path: str, values: Sequence[Mapping[str, Any]], levels: Sequence[Level]) -> bool:
    """Whether a field is the same in all candidates of a level, of which one at least has several."""
    seen: dict[Level, list[Any]] = {}
    for own, level in zip(values, levels, strict=True):
        if level:
            seen.setdefault(level, []).append(own.get(path))
    return any(len(found) > 1 for found in seen.values()) and all(len(set(found)) == 1 for found in seen.values())


def _alone(side: Side) -> Side:
    """The same without partners."""
    return dataclasses.replace(side, cells=())


def _level(values: Mapping[str, Any], paths: Sequence[str]) -> Level:
    """What a candidate has of a field, or of several that are one question; () if it lacks them."""
    return tuple((p, values[p]) for p in paths if p in values)


def _unique_names(levels: Iterable[Level], paths: Sequence[str], short: Mapping[str, str]) -> dict[Level, str]:
    """What people call the levels; where several would have one name, with the whole values that they differ in."""
    own = {level: dict(level) for level in levels}
    called = {level: name_of(fields, paths, short) if len(paths) > 1 else field_text(fields[paths[0]]) or "''"
              for level, fields in own.items()}  # fmt: skip
    found = {}
    for level, name in called.items():
        namesakes = [own[other] for other, known_as in called.items() if known_as == name]
        differ = [p for p in paths if len({(p in fields, fields.get(p)) for fields in namesakes}) > 1]
        whole = [f"{short[p]}={own[level][p]!r}" if p in own[level] else f"without {short[p]}" for p in differ]
        found[level] = f"{name} [{', '.join(whole)}]" if whole else name
    return found


def _by_level(predictions: Sequence[Predictions], levels: Sequence[Level]) -> dict[Level, list[Predictions]]:
    found: dict[Level, list[Predictions]] = {}
    for a, level in zip(predictions, levels, strict=True):
        if level:
            found.setdefault(level, []).append(a)
    return found


def _contrasted(
    predictions: Mapping[Level, Sequence[Predictions]], levels: Sequence[Level], level_names: Mapping[Level, str],
    others: Sequence[str], inner: str, places: Mapping[Any, str],
) -> list[tuple[Side, Side, str]]:  # fmt: skip
    """Each two values' sides, over all cells and within each value of the inner field, with what that is called."""
    cells = {level: _cells(predictions[level], others) for level in levels}
    place = others.index(inner) if inner in others else -1
    found = []
    for one, two in combinations(levels, 2):
        shared = [key for key in cells[one] if key in cells[two]]
        if not shared:
            continue
        first, second = level_names[one], level_names[two]
        found.append((_side(first, cells[one], shared, place), _side(second, cells[two], shared, place), ""))
        for value in sorted({key[place] for key in shared}, key=str) if place >= 0 else []:
            part = [key for key in shared if key[place] == value]
            found.append((_side(first, cells[one], part), _side(second, cells[two], part), places[value]))
    return found


def _cells(predictions: Sequence[Predictions], others: Sequence[str]) -> Cells:
    found: Cells = {}
    for a in predictions:
        found.setdefault(tuple(a.candidate.values.get(p) for p in others), []).append(a)
    return found


def _side(name: str, cells: Cells, keys: Sequence[tuple[Any, ...]], place: int = -1) -> Side:
    """The mean over cells of the mean over a cell's candidates; cells are alike if they share the value at a place."""
    members = [(a, 1 / len(cells[key]) / len(keys), (str(key[place]) if place >= 0 else "", i))
               for i, key in enumerate(keys) for a in cells[key]]  # fmt: skip
    found, weights, numbers = zip(*members, strict=True)
    return Side(name, found, weights, numbers)


def _paths(text: str, values: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> list[str]:
    """The varied fields that a text names, by its path or as a table of candidates calls it: one, or all of a part of
    the config."""
    path = next((p for p in (text, f"{text}.kind") if any(p in v for v in values)), "")
    if path in varied:
        return [path]
    group = [p for p in varied if p.startswith(f"{text}.")]
    if group:
        return group
    ends = [p for p in dict.fromkeys(p for v in values for p in v) if p.removesuffix(".kind").endswith(f".{text}")]
    short = [p for p in ends if p in varied]
    if len(short) > 1:
        raise ConfigError(f"{text} may be {' or '.join(p.removesuffix('.kind') for p in short)}: give one of these")
    if short and not path:
        return short
    names = [p.removesuffix(".kind") for p in varied]
    varying = f"these candidates vary {', '.join(names) or 'nothing'}"
    if path or ends or any(p.startswith(f"{text}.") for v in values for p in v):
        raise ConfigError(f"{text} is the same for all candidates: {varying}")
    close = difflib.get_close_matches(text, names, n=1)
    raise ConfigError(f"there is no field {text!r}.{f' Did you mean {close[0]!r}?' if close else ''} {varying}")


def _best_first(
    predictions: Mapping[Level, Sequence[Predictions]], measure: ComparisonMetric, level_names: Mapping[Level, str]
) -> list[Level]:
    """The values of a field, so that differences tend to be gains."""
    sign = -1 if measure.maximise else 1
    scores = {
        level: float(np.mean([a.metrics_of(np.arange(len(a.groups)), (measure.name,))[measure.name] for a in own]))
        for level, own in predictions.items()
    }
    return sorted(scores, key=lambda level: (sign * scores[level], level_names[level]))
