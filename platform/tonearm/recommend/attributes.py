"""Attributes of a library's rows: as numbers, as texts, and the labels that a model gave."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from tonearm.core.text import command
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.recommend.library import Library

Numbers = npt.NDArray[np.float64]


def numbers(library: Library, name: str) -> Numbers | None:
    """A column as float64 (rows,), NaN where a row lacks it; None if nobody has it, or it holds texts."""
    column = library.column(name)
    if column is None:
        return None
    if column.dtype.kind in "fiu":
        return column.astype(np.float64)
    if any(v is not None and not is_number(v) for v in column):
        return None
    return np.array([np.nan if v is None else float(v) for v in column], dtype=np.float64)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a cell holds a number, NaN included; True and False are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a cell, which may hold several, as they are compared: without case, composed, none of them empty."""
    if value is None or (is_number(value) and np.isnan(value)):
        return ()
    several = value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (value,)
    plain = (unicodedata.normalize("NFC", str(v)).strip().casefold() for v in several)
    return tuple(text for text in plain if text)


OF_DATASETS = ("label", "labels", "year", "place", "licence", "album", "artist", "title")


def how_known(name: str) -> str:
    """By what command rows get an attribute that none has, as the end of a sentence; "" where none gives it."""
    if name in (*DESCRIPTORS, "key", "mode"):
        extract, index = command("extract", "--descriptors"), command("index")
        return f"; rows have descriptors when their recordings were measured: {extract}, then {index} again"
    if name in OF_DATASETS:
        index = command("index", "--dataset", "NAME")
        return f"; no recording here says it: a catalogue of a prepared data set has what that knows, {index}"
    return ""


PREDICTED, PROBABILITIES = "predicted", "probabilities"  # columns: the most probable labels of each row, and how much


def predicted(row: Mapping[str, Any]) -> dict[str, float]:
    """The labels that a model gave what a row describes, with their probabilities; those that are there, the best."""
    return dict(zip(row.get(PREDICTED) or (), map(float, row.get(PROBABILITIES) or ()), strict=False))
