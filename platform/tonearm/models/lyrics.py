"""Lyrics: words as vectors, read by the LargeRNN (Whitell 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, Network, one_input
from tonearm.models.blocks import checked_ids, least_problems
from tonearm.models.recurrent import LargeRnnConfig, RecurrentBody, RecurrentNetwork

PADDING = 0


class LyricsConfig(LargeRnnConfig, kind="lyrics"):
    """A word embedding, then LSTM layers; the input's shape is (1, vocabulary, length).

    Attributes
    ----------
    word_dim
        Length of a word's vector.
    """

    word_dim: int = 200

    def problems(self) -> list[str]:
        return super().problems() + least_problems(1, word_dim=self.word_dim)

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        found = super().shape_problems(inputs, outputs)
        if inputs.channels > 1:
            found.append(f"the input's shape is {inputs.shape}: tokens have the shape (1, vocabulary, length)")
        return found

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return LyricsNetwork(inputs.freq_bins, self.word_dim, self.body(self.word_dim), outputs, self.dropout)


class LyricsNetwork(RecurrentNetwork):
    """Token ids to logits.

    Id 0 is padding, which goes in front so that the last state is the last word's; 1..n are words, n + 1
    any rarer one, with n at most the vocabulary. The input is whole numbers of any type, (batch, length), (batch, 1,
    length) or (batch, 1, 1, length); or one-hot words (batch, 1, vocabulary, length), row 0 for word 1, where a column
    of zeros is padding, so rare words cannot be marked.

    Raises
    ------
    TrainingError
        By a pass over an id that is none of these, or over another shape.
    """

    def __init__(self, vocabulary: int, word_dim: int, body: RecurrentBody, outputs: int, dropout: float) -> None:
        super().__init__(body, outputs, dropout)
        self.words = nn.Embedding(vocabulary + 2, word_dim, padding_idx=PADDING)

    def steps(self, x: Inputs) -> Tensor:
        rare = self.words.num_embeddings - 1
        tokens = raw = one_input(x)
        while tokens.ndim > 2 and tokens.shape[1] == 1:
            tokens = tokens.squeeze(1)
        if raw.ndim == 4 and tokens.ndim == 3 and tokens.shape[1] == rare - 1:
            tokens = ids_of_one_hot(tokens)
        if tokens.ndim != 2 or raw.ndim > 4:
            raise TrainingError(
                f"tokens of shape {tuple(raw.shape)}: give whole numbers of shape (batch, length), "
                f"(batch, 1, length) or (batch, 1, 1, length), or one-hot words of shape (batch, 1, {rare - 1}, length)"
            )
        fix = f"{PADDING} is padding, {rare} stands for every word beyond the vocabulary of {rare - 1}"
        words: Tensor = self.words(checked_ids(tokens, PADDING, rare, "a token", fix))
        return words


def ids_of_one_hot(columns: Tensor) -> Tensor:
    """Token ids (batch, length) of one-hot words (batch, vocabulary, length); 0 where a column is all zeros.

    Raises
    ------
    TrainingError
        If a column is neither zeros nor zeros and a single one.
    """
    wrong = ((columns != 0) & (columns != 1)).any(dim=1) | (columns.sum(dim=1) > 1)
    if bool(wrong.any()):
        raise TrainingError(
            f"{int(wrong.sum())} of {wrong.numel()} words are not one-hot: a column is zeros and at most a single one"
        )
    return torch.where(columns.any(dim=1), columns.argmax(dim=1) + 1, PADDING)
