"""The probabilities that a model gave the labels of a library's rows, read once and looked up by label."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from tonearm.recommend.attributes import PREDICTED, PROBABILITIES, Numbers
from tonearm.recommend.library import BoolArray, Library


@dataclass(frozen=True, eq=False)
class LabelProbabilities:
    """The cells of the columns of predicted labels and of their probabilities, one label after the other.

    Attributes
    ----------
    known
        bool (rows,), where something was predicted.
    numbers
        Of each label.
    rows, labels
        int32 (predictions,), of which row each is, and the number of its label.
    values
        float64 (predictions,), its probability.
    """

    known: BoolArray
    numbers: dict[str, int]
    rows: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    values: Numbers

    @classmethod
    def of(cls, library: Library) -> LabelProbabilities:
        """Those of a library's rows; none if it has no such columns."""
        labels, values = library.column(PREDICTED), library.column(PROBABILITIES)
        known, numbers = np.zeros(len(library), bool), dict[str, int]()
        rows, codes, given = list[int](), list[int](), list[float]()
        if labels is not None and values is not None:
            for row, (own, probabilities) in enumerate(zip(labels, values, strict=True)):
                if own is not None:
                    known[row] = True
                    for label, value in zip(own, probabilities or (), strict=False):
                        rows.append(row)
                        codes.append(numbers.setdefault(label, len(numbers)))
                        given.append(value)
        return cls(known, numbers, np.array(rows, np.int32), np.array(codes, np.int32), np.array(given, np.float64))


_KNOWN: WeakKeyDictionary[Library, LabelProbabilities] = WeakKeyDictionary()  # a library does not change
_LOCK = threading.Lock()


def probability_of(library: Library, label: str) -> Numbers | None:
    """The probability that a model gives a label, float64 (rows,): 0 where it is not among a row's most probable ones,
    NaN where nothing was predicted. None if no row has it."""
    with _LOCK:
        found = _KNOWN.get(library)
        if found is None:
            found = _KNOWN[library] = LabelProbabilities.of(library)
    number = found.numbers.get(label)
    if number is None:
        return None
    own = found.labels == number
    values = np.where(found.known, 0.0, np.nan)
    values[found.rows[own]] = found.values[own]
    return values
