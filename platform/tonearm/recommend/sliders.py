"""Sliders: what resembles the query, shifted towards faster, older, less electronic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tonearm.core.registry import unknown_name
from tonearm.recommend.attributes import Numbers, how_known, numbers
from tonearm.recommend.library import Library
from tonearm.recommend.probabilities import probability_of

STRENGTH = 2.0
"""At its end a slider counts one standard deviation of its attribute as much as two of similarity."""
LEAST_SPREAD = 1e-3  # of similarities: where all are equal, the attribute alone decides

WORDS: dict[str, tuple[str, int]] = {
    "faster": ("tempo", 1), "slower": ("tempo", -1),
    "newer": ("year", 1), "older": ("year", -1),
    "louder": ("loudness", 1), "softer": ("loudness", -1),
    "brighter": ("brightness", 1), "darker": ("brightness", -1),
    "livelier": ("energy", 1), "calmer": ("energy", -1),
    "busier": ("onset_rate", 1), "sparser": ("onset_rate", -1),
}  # fmt: skip
"""Words for the two sides of an attribute."""
COMPARATIVES = {(column, side): word for word, (column, side) in WORDS.items()}


@dataclass(frozen=True, eq=False)
class Slider:
    """Towards more (0..1) or less (-1..0) of an attribute.

    Attributes
    ----------
    name
        The attribute: a column of numbers, or a label, whose predicted probability it is then.
    shift
        -1..1; 0 changes nothing.
    values
        Of all rows of the library, NaN where it is not known.
    """

    name: str
    shift: float
    values: Numbers


def read_sliders(library: Library, given: Mapping[str, float]) -> tuple[list[Slider], list[str]]:
    """Sliders by the name of a column of numbers, of a label, or by one of :data:`WORDS`, and what is wrong with them.

    Two that are about one attribute add up: ``{"faster": 0.5, "tempo": 0.2}`` is 0.7.
    """
    shifts: dict[str, float] = {}
    columns: dict[str, Numbers] = {}
    problems = []
    for name, value in given.items():
        column, side = WORDS.get(name, (name, 1))
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
            problems.append(f"sliders: {name} is {value!r:.200}: it must be -1 to 1")
        elif (values := attribute(library, column)) is None:
            known = [n for n in library.names() if numbers(library, n) is not None]
            words = [word for word, (n, _) in WORDS.items() if n in known]
            told = f"; {name!r} is about {column!r}, which no track here has" if column != name else ""
            problems.append(f"sliders: {unknown_name('attribute', name, [*known, *words])}{told}{how_known(column)}")
        else:
            columns[column] = values
            shifts[column] = shifts.get(column, 0.0) + side * value
    problems += [
        f"sliders: {n} is {v:+g} altogether: it must be -1 to 1" for n, v in shifts.items() if not -1 <= v <= 1
    ]
    return [Slider(n, v, columns[n]) for n, v in shifts.items() if v], problems


def attribute(library: Library, name: str) -> Numbers | None:
    """A column of numbers, or of a label the probability that the model gives each track, float64 (rows,)."""
    values = numbers(library, name)
    if values is not None and np.isfinite(values).any():
        return values
    return probability_of(library, name)


def slide(
    relevance: npt.NDArray[np.floating], places: npt.NDArray[np.int64], sliders: Sequence[Slider]
) -> npt.NDArray[np.float64]:
    """The relevance of candidates with their shift towards what sliders want.

    relevance + spread · :data:`STRENGTH` · Σ shift · z, where z is the attribute in standard deviations of the
    candidates, and spread that of their relevance. So of a fixed set of candidates the sum of an attribute over the
    first k never falls when its slider rises. What a candidate lacks counts as the candidates' median.

    Parameters
    ----------
    relevance
        (candidates,).
    places
        Their rows in the library.
    """
    shifted = relevance.astype(np.float64)
    spread = max(float(shifted.std()), LEAST_SPREAD) if len(shifted) else 0.0
    total = np.zeros(len(shifted))
    for slider in sliders:
        values = slider.values[places]
        known = np.isfinite(values)
        if not known.any():
            continue
        filled = np.where(known, values, np.median(values[known]))
        deviation = float(filled.std())
        if deviation > 0:
            total += slider.shift * (filled - filled.mean()) / deviation
    return shifted + spread * STRENGTH * total if sliders else shifted
