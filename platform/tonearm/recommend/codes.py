"""Vectors as bytes, of which a first look at all of them needs to read half as much as of float16.

A code is a whole number within ±127: steps from the middle of its dimension's range. How far a product of codes may be
off the cosine is known: by Cauchy and Schwarz at most the longest difference of a vector to its codes, and what is lost
where the query, too, is rounded to bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.mapped import map_array
from tonearm.core.types import FloatArray
from tonearm.recommend.library import BoolArray, IntArray
from tonearm.recommend.scan import largest_products

LARGEST = 127
ZERO = 128  # the byte that stands for 0
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of vectors.

    Attributes
    ----------
    values
        uint8 (rows, dim).
    middle, step
        float64 (dim,): a vector of unit length is about ``middle + step * (values - 128)``.
    error
        The longest difference of a vector of unit length to that.
    longest
        The length of the longest row of codes.
    """

    values: np.ndarray
    middle: np.ndarray
    step: np.ndarray
    error: float
    longest: float

    @classmethod
    def of(cls, vectors: np.ndarray) -> Codes:
        """The codes of float16 vectors (rows, dim), none of which is zero."""
        low, high = np.full(vectors.shape[1], np.inf), np.full(vectors.shape[1], -np.inf)
        for _, rows in _unit_blocks(vectors):
            low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        middle, step = (low + high) / 2, (high - low) / (2 * LARGEST)
        step[step == 0] = 1  # all rows are alike there: their codes are 0
        values, errors, lengths = np.empty(vectors.shape, np.uint8), [0.0], [0.0]
        for start, rows in _unit_blocks(vectors):
            codes = np.clip(np.rint((rows - middle) / step), -LARGEST, LARGEST)
            values[start : start + len(rows)] = codes + ZERO
            errors.append(float(np.linalg.norm(rows - middle - step * codes, axis=1).max()))
            lengths.append(float(np.linalg.norm(codes, axis=1).max()))
        return cls(values, middle, step, max(errors), max(lengths))

    @property
    def steps(self) -> dict[str, Any]:
        """All but the values, as it is written."""
        return {"middle": self.middle.tolist(), "step": self.step.tolist(), "error": self.error,
                "longest": self.longest}  # fmt: skip

    @classmethod
    def open(cls, values: Path, steps: dict[str, Any]) -> Codes:
        """Codes that were written, whose values stay on disk.

        Raises
        ------
        OSError, ValueError, KeyError
            If they are damaged, or cannot be read now.
        """
        mapped = map_array(values)
        middle, step = (np.array(steps[name], np.float64) for name in ("middle", "step"))
        if mapped.dtype != np.uint8 or mapped.ndim != 2 or not len(middle) == len(step) == mapped.shape[1]:
            raise ValueError(f"codes are {mapped.dtype} of shape {mapped.shape}, with {len(middle)} middles")
        return cls(mapped, middle, step, float(steps["error"]), float(steps["longest"]))

    def nearest(self, unit: FloatArray, most: int, allowed: BoolArray | None) -> tuple[np.ndarray, IntArray, float]:
        """The rows whose cosines to a query are about the largest: these, their places, and how far one may be off.

        Parameters
        ----------
        unit
            float64 (dim,), of unit length.
        most
            How many.
        allowed
            (rows,); None: all are.
        """
        stepped = unit * self.step
        unit_of = float(np.abs(stepped).max()) / LARGEST or 1.0
        rounded = np.rint(stepped / unit_of)
        products, places = largest_products(
            "QT_8bit_direct_signed", self.values, rounded.astype(np.float32), most, allowed
        )
        # The second: float32 sums of more than 1 040 products may be rounded.
        lost = np.linalg.norm(stepped - unit_of * rounded) + len(unit) * 2.0**-23 * np.linalg.norm(unit_of * rounded)
        error = self.error + float(lost) * self.longest + 2.0**-20  # float32 cosines are compared with
        return unit @ self.middle + unit_of * products.astype(np.float64), places, error


def _unit_blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows after the other as float64 of unit length, and the place of their first."""
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        rows = vectors[start : start + ROWS_AT_ONCE].astype(np.float64)
        yield start, rows / np.linalg.norm(rows, axis=1, keepdims=True)
