"""The probability of a label in each row of a library."""

from __future__ import annotations

import numpy as np

from tests.libraries import PlainLibrary
from tonearm.recommend.probabilities import probability_of


def test_the_probability_of_a_label_is_that_of_each_row() -> None:
    library = PlainLibrary(np.eye(4), predicted=[("a", "b"), None, ("b",), ()],
                           probabilities=[(0.7, 0.2), None, (0.9,), None])  # fmt: skip
    for label, expected in (("a", [0.7, np.nan, 0, 0]), ("b", [0.2, np.nan, 0.9, 0])):
        np.testing.assert_array_equal(probability_of(library, label), expected)
    assert probability_of(library, "c") is None


def test_a_library_without_predictions_has_none() -> None:
    assert probability_of(PlainLibrary(np.eye(2)), "a") is None
