"""Artists as vectors, learned from who is related to whom (Whitell 2019)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.config import OMIT_DEFAULT
from tonearm.core.errors import TrainingError
from tonearm.core.types import InputSpec
from tonearm.models.base import Inputs, ModelConfig, Network, one_input
from tonearm.models.blocks import checked_ids, vector_problems

Distance = Literal["cosine", "euclidean"]
#: Where the logits scale * cosine + bias and bias - scale * distance start. Rows of length 1 at a right angle are 1.41
#: apart, which is no relation; at half of it, where the cosine is 0.7 and the distance 0.8, they are related.
STARTS: dict[Distance, tuple[float, float]] = {"cosine": (10.0, -5.0), "euclidean": (10.0, 10.0)}


class ArtistTableConfig(ModelConfig, kind="artist_table"):
    """A vector for each artist; the input's shape is (1, artists, 1), the outputs are the vectors' length.

    Attributes
    ----------
    distance
        What makes two artists alike: their vectors' cosine, as in the thesis, or a small Euclidean distance.
    """

    distance: Distance = dataclasses.field(default="cosine", metadata=OMIT_DEFAULT)

    def shape_problems(self, inputs: InputSpec, outputs: int) -> list[str]:
        return super().shape_problems(inputs, outputs) + vector_problems(inputs, "a table of artists")

    def network(self, inputs: InputSpec, outputs: int) -> Network:
        return ArtistTable(inputs.freq_bins, outputs, self.distance)


class ArtistTable(Network):
    """The table, and the scale and bias that make logits of cosines or distances.

    Rows start at random with a length of about 1. Cosines lie within -1 and 1, so that without a scale the loss could
    not fall below what these allow. Where they start (ours) a right angle is no relation and half of one is even: the
    two, which Adam moves slowly, need not go far.

    Parameters
    ----------
    artists, dim
        Rows and columns.
    distance
        As :class:`ArtistTableConfig` has it.
    """

    def __init__(self, artists: int, dim: int, distance: Distance = "cosine") -> None:
        super().__init__()
        self.embedding_dim, self.distance = dim, distance
        self.table = nn.Embedding(artists, dim)
        nn.init.normal_(self.table.weight, std=1 / math.sqrt(dim))
        scale, bias = STARTS[distance]
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(bias))

    def row_tables(self) -> Sequence[nn.Embedding]:
        return (self.table,)

    def embed(self, x: Inputs) -> Tensor:
        """Vectors of shape (batch, dim).

        Parameters
        ----------
        x
            Ids, integers of shape (batch,) or (batch, 1) within 0 and artists - 1; or floats of shape (batch, artists)
            or (batch, 1, artists, 1): weights by which the artists' vectors are added up, a one for a single artist.

        Raises
        ------
        TrainingError
            For an id beyond the table, or another shape.
        """
        values = one_input(x)
        if not values.is_floating_point():
            if values.ndim == 2 and values.shape[1] == 1:
                values = values.squeeze(1)
            if values.ndim != 1:
                raise self._misshapen(values)
            return self._rows(values)
        weights = values.flatten(1) if values.ndim > 1 else values
        if weights.ndim != 2 or weights.shape[1] != self.table.num_embeddings:
            raise self._misshapen(values)
        return weights @ self.table.weight

    def forward(self, x: Inputs) -> Tensor:
        """How related two artists are, for pairs of ids; for all else, what :meth:`embed` gives.

        Parameters
        ----------
        x
            Integers of shape (batch, 2) within 0 and artists - 1; or as :meth:`embed` takes it.

        Returns
        -------
        Tensor
            Shape (batch, 1): scale * cosine + bias, or bias - scale * distance, the logit of being related; or
            (batch, dim).
        """
        values = one_input(x)
        if values.is_floating_point() or values.ndim != 2 or values.shape[1] == 1:
            return self.embed(values)
        if values.shape[1] != 2:
            raise self._misshapen(values)
        left, right = self._rows(values).unbind(1)
        likeness = F.cosine_similarity(left, right) if self.distance == "cosine" else -F.pairwise_distance(left, right)
        logits: Tensor = self.scale * likeness + self.bias
        return logits.unsqueeze(1)

    def _rows(self, ids: Tensor) -> Tensor:
        last = self.table.num_embeddings - 1
        rows: Tensor = self.table(checked_ids(ids, 0, last, "an artist's id", f"the table has {last + 1} rows"))
        return rows

    def _misshapen(self, values: Tensor) -> TrainingError:
        return TrainingError(
            f"artists of shape {tuple(values.shape)} and type {values.dtype}: give integer ids of shape (batch,) or "
            "(batch, 1), to forward also pairs of shape (batch, 2), or float weights of shape "
            f"(batch, {self.table.num_embeddings})"
        )
