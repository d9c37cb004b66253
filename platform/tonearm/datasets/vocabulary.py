"""Texts as whole numbers: 0 is padding, 1..V the words of a vocabulary, V + 1 any rarer word."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tonearm.core.errors import DatasetError

PADDING = 0
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
KEEP_ALWAYS_BELOW = 1e-3


def tokenise(text: str) -> list[str]:
    """The words of a text in order, in lower case: letters and digits, with apostrophes inside them ("don't").

    Scripts that are written without spaces come out as long runs, not as words.
    """
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'"))


@dataclass(frozen=True)
class Vocabulary:
    """Words with their numbers.

    Attributes
    ----------
    words
        The i-th has the number i + 1; each is there once.

    Raises
    ------
    DatasetError
        If a word occurs twice, or is no text.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        strange = [word for word in self.words if not isinstance(word, str)]
        if strange:
            raise DatasetError(f"vocabulary: {strange[0]!r} is no text: give words")
        twice = [word for word, n in Counter(self.words).items() if n > 1]
        if twice:
            raise DatasetError(f"vocabulary: the word {twice[0]!r} occurs twice: leave it out once")

    @classmethod
    def build(cls, texts: Iterable[str], most: int | None = None, fewest: int = 1) -> Vocabulary:
        """The words of all texts, the most frequent first, equally frequent ones by the alphabet.

        At most ``most`` words have numbers, none that occurs less than ``fewest`` times.
        """
        counts = Counter(word for text in texts for word in tokenise(text))
        frequent = [word for word in counts if counts[word] >= fewest]
        return cls(tuple(sorted(frequent, key=lambda word: (-counts[word], word))[:most]))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=1)}

    @property
    def unknown_index(self) -> int:
        """The number of every word that is not in the vocabulary."""
        return len(self.words) + 1

    @property
    def size(self) -> int:
        """How many numbers there are, padding and that of unknown words included."""
        return len(self.words) + 2

    def encode(self, text: str, length: int) -> np.ndarray:
        """The numbers of a text's words: int64 (length,), padded in front; a longer text loses its end."""
        numbers = [self._numbers.get(word, self.unknown_index) for word in tokenise(text)[:length]]
        tokens = np.full(length, PADDING, dtype=np.int64)
        tokens[length - len(numbers) :] = numbers
        return tokens


def word_frequencies(tokens: np.ndarray, size: int) -> np.ndarray:
    """The share of each number among all that are no padding: float64 (size,), for tokens of any shape."""
    counts = np.bincount(np.asarray(tokens, dtype=np.int64).ravel(), minlength=size).astype(np.float64)
    counts[PADDING] = 0.0
    total = counts.sum()
    return counts / total if total else counts


def keep_probability(frequencies: np.ndarray, t: float = KEEP_ALWAYS_BELOW) -> np.ndarray:
    """With which probability an occurrence of each word is kept: min(1, sqrt(t / f)), of the frequencies' shape.

    The last number stands for all rare words together and is always kept: each single one is rare.

    References
    ----------
    Mikolov et al. 2013, *Distributed representations of words and phrases and their compositionality*, section 2.3.
    """
    f = np.asarray(frequencies, dtype=np.float64)
    kept = np.sqrt(t / np.maximum(f, t))
    kept[-1] = 1.0
    return kept


def subsample_frequent_words(
    tokens: np.ndarray, frequencies: np.ndarray, rng: np.random.Generator, t: float = KEEP_ALWAYS_BELOW
) -> np.ndarray:
    """Drop frequent words at random, anew at each call, and close the gaps: the padding is in front again.

    Parameters
    ----------
    tokens
        (length,) or (batch, length).
    frequencies
        (size,), from the training split: :func:`word_frequencies`.
    rng
        Source of randomness.
    t
        Words of a smaller frequency, and rare words, are always kept.

    Returns
    -------
    Tokens of the same shape; all padding where every word of a text fell away.
    """
    kept = (tokens != PADDING) & (rng.random(tokens.shape) < keep_probability(frequencies, t)[tokens])
    order = np.argsort(kept, axis=-1, kind="stable")  # what falls away to the front, the rest in its order
    return np.take_along_axis(np.where(kept, tokens, PADDING), order, axis=-1)
