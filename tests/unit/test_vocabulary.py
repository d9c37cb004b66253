"""Words as whole numbers: what a word is, how they are numbered, padded and dropped."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from tonearm.core.errors import DatasetError
from tonearm.datasets.vocabulary import (
    Vocabulary,
    keep_probability,
    subsample_frequent_words,
    tokenise,
    word_frequencies,
)

TEXTS = ["La la la, oh!", "Oh la Straße", "zoo_bar"]


def test_words_are_lower_case_letters_digits_and_inner_apostrophes() -> None:
    assert tokenise("Don\u2019t stop -- 'til 99 Luftballons, STRASSE straße_x") == [
        "don't", "stop", "til", "99", "luftballons", "strasse", "strasse", "x",
    ]  # fmt: skip
    assert tokenise("Cafe\u0301") == tokenise("Caf\u00e9") == ["caf\u00e9"]
    assert tokenise(" ... ") == []


def test_numbers_go_by_frequency_then_alphabet() -> None:
    words = Vocabulary.build(TEXTS)
    assert words.words == ("la", "oh", "bar", "strasse", "zoo")
    assert (words.unknown_index, words.size) == (6, 7)
    assert Vocabulary.build(TEXTS, most=2).words == ("la", "oh")
    assert Vocabulary.build(TEXTS, fewest=2).words == ("la", "oh")
    assert Vocabulary.build(reversed(TEXTS)).words == words.words


def test_padding_is_in_front_and_the_end_is_cut() -> None:
    words = Vocabulary(("la", "oh"))
    assert words.encode("Oh, la moon", 5).tolist() == [0, 0, 2, 1, 3]
    assert words.encode("oh la oh", 2).tolist() == [2, 1]
    assert words.encode("", 2).tolist() == [0, 0]
    assert words.encode("la", 1).dtype == np.int64


def test_a_word_is_a_text_and_has_one_number() -> None:
    with pytest.raises(DatasetError, match="the word 'a' occurs twice: leave it out once"):
        Vocabulary(("a", "b", "a"))
    for strange in (3, ["a"], None):
        with pytest.raises(DatasetError, match=f"vocabulary: {re.escape(repr(strange))} is no text"):
            Vocabulary(("a", strange))  # type: ignore[arg-type]


def test_frequencies_leave_padding_out() -> None:
    assert word_frequencies(np.array([[0, 0, 1], [1, 2, 4]]), 5).tolist() == [0, 0.5, 0.25, 0, 0.25]
    assert word_frequencies(np.zeros((2, 3)), 4).tolist() == [0, 0, 0, 0]


def test_frequent_words_are_kept_with_the_square_root_of_t_over_f() -> None:
    found = keep_probability(np.array([0.0, 1e-4, 1e-3, 4e-3, 0.1, 0.0]))
    assert found == pytest.approx([1, 1, 1, 0.5, math.sqrt(0.01), 1])
    assert keep_probability(np.array([0.5, 0.0]), t=0.125) == pytest.approx([0.5, 1])


def test_rare_words_are_not_dropped_because_they_are_many() -> None:
    words = Vocabulary(("the",))
    tokens = np.array([words.encode("the moon the sun the sea", 6)] * 50)
    frequencies = word_frequencies(tokens, words.size)
    assert frequencies.tolist() == [0, 0.5, 0.5] and keep_probability(frequencies)[words.unknown_index] == 1
    found = subsample_frequent_words(tokens, frequencies, np.random.default_rng(0))
    assert (found == words.unknown_index).sum() == 150 and 0 < (found == 1).sum() < 50  # of 150 about 7


def test_dropping_keeps_order_and_pads_in_front_again() -> None:
    tokens = np.array([[0, 1, 2, 1, 3], [2, 3, 2, 3, 2]])
    frequencies = np.array([0.0, 1.0, 1e-6, 1e-6])  # of 1 hardly any is kept, of 2 and 3 all
    found = subsample_frequent_words(tokens, frequencies, np.random.default_rng(0), t=1e-5)
    assert found.tolist() == [[0, 0, 0, 2, 3], [2, 3, 2, 3, 2]]
    assert subsample_frequent_words(tokens[0], frequencies, np.random.default_rng(0), t=1e-5).tolist() == [
        0,
        0,
        0,
        2,
        3,
    ]
    assert tokens.tolist() == [[0, 1, 2, 1, 3], [2, 3, 2, 3, 2]]


def test_about_the_right_share_is_dropped_and_a_seed_repeats_it() -> None:
    tokens = np.tile(np.array([1, 2]), (1, 4000))
    frequencies = np.array([0.0, 4e-3, 1e-3, 0.0])
    found = subsample_frequent_words(tokens, frequencies, np.random.default_rng(7))
    assert (found == 2).sum() == 4000
    assert 1850 < (found == 1).sum() < 2150  # 2000 ± 4.7 deviations of 31.6
    assert np.array_equal(found, subsample_frequent_words(tokens, frequencies, np.random.default_rng(7)))
    assert not np.array_equal(found, subsample_frequent_words(tokens, frequencies, np.random.default_rng(8)))
