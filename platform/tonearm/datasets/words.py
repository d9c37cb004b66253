"""Texts as whole numbers: 0 is padding, 1..V the words of a vocabulary, V + 1 any rarer word."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import DatasetError

PADDING = 0
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
KEEP_ALWAYS_BELOW = 1e-3


def tokenise(text: str) -> list[str]:
    """The words of a text in order, in lower case: letters and digits, with apostrophes inside them ("don't").

    Scripts that are written without spaces come out as long runs, not as words.
    """
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'"))


class Vocabulary:
    """Words with their numbers.

    Parameters
    ----------
    words
        The i-th gets the number i + 1; each once.

    Raises
    ------
    DatasetError
        If a word occurs twice.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._number = {word: i for i, word in enumerate(self.words, start=1)}
        if len(self._number) != len(self.words):
            twice = next(word for word, n in Counter(self.words).items() if n > 1)
            raise DatasetError(f"vocabulary: the word {twice!r} occurs twice: each has one number")

    @classmethod
    def build(cls, texts: Iterable[str], most: int | None = None) -> Vocabulary:
        """The words of all texts, the most frequent first, equally frequent ones by the alphabet; ``most`` of them."""
        counts = Counter(word for text in texts for word in tokenise(text))
        return cls(sorted(counts, key=lambda word: (-counts[word], word))[:most])

    @classmethod
    def load(cls, uri: str) -> Vocabulary:
        """The inverse of :meth:`save`.

        Raises
        ------
        DatasetError
            If there is none at ``uri``, or the file holds no list of words.
        """
        if not storage.exists(uri):
            raise DatasetError(f"no vocabulary at {uri}")
        try:
            words = storage.read_json(uri)
        except ValueError as error:  # of JSON and of UTF-8
            raise DatasetError(f"the vocabulary {uri} is damaged: {error}") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DatasetError(f"the vocabulary {uri} is no list of words")
        return cls(words)

    def save(self, uri: str) -> None:
        """Write the words as a JSON list."""
        storage.write_json(uri, list(self.words))

    @property
    def rare(self) -> int:
        """The number of every word that is not in the vocabulary."""
        return len(self.words) + 1

    @property
    def size(self) -> int:
        """How many numbers there are, padding and rare included."""
        return len(self.words) + 2

    def encode(self, text: str, length: int) -> np.ndarray:
        """The numbers of a text's words: int64 (length,), padded in front; a longer text loses its end."""
        numbers = [self._number.get(word, self.rare) for word in tokenise(text)[:length]]
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

    The last number stands for all rare words together and is always kept: each of them is rare, though all are many.

    References
    ----------
    Mikolov et al. 2013, *Distributed representations of words and phrases and their compositionality*, section 2.3.
    """
    f = np.asarray(frequencies, dtype=np.float64)
    kept = np.sqrt(t / np.maximum(f, t))
    kept[-1] = 1.0
    return kept


def drop_frequent(
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
        Where chance comes from.
    t
        Words of a smaller frequency, and rare words, are always kept.

    Returns
    -------
    Tokens of the same shape; all padding where every word of a text fell away.
    """
    kept = (tokens != PADDING) & (rng.random(tokens.shape) < keep_probability(frequencies, t)[tokens])
    order = np.argsort(kept, axis=-1, kind="stable")  # what falls away to the front, the rest in its order
    return np.take_along_axis(np.where(kept, tokens, PADDING), order, axis=-1)
