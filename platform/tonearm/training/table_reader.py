"""Numeric metadata as vectors: small tables are kept in memory, of large ones the rows are read that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch

from tonearm.core import storage
from tonearm.core.errors import DatasetError
from tonearm.core.node_copies import node_folder
from tonearm.core.seeding import digest
from tonearm.datasets.columns import ROWS_AT_ONCE
from tonearm.datasets.manifest import Track
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import TableFeature, TableScaling, fit_table, scale_table, unknown_value

if TYPE_CHECKING:
    from tonearm.training.readers import WindowPosition

IN_MEMORY_BYTES = 16 * 2**20  # of a table in float64
DEFINITION = 1  # of what is kept of a large table
FITTED_BYTES = 32 * 2**20  # of a large one that scaling is fitted to at a time


class TableReader:
    """Numeric metadata as vectors, scaled.

    Parameters
    ----------
    tracks
        All tracks, with splits.

    Raises
    ------
    DatasetError
        If a column is no number, infinite, or unknown for a track where that is refused; if the width is another.
    """

    def __init__(self, feature: TableFeature, tracks: Sequence[Track], metadata: Metadata) -> None:
        self.feature = feature
        self._row = {t.track_id: i for i, t in enumerate(tracks)}
        self._columns = [metadata.column(name) for name in feature.columns]
        self._metadata_rows = metadata.rows(self._row)
        self._widths = [c.shape[1] if len(c.shape) == 2 else 1 for c in self._columns]
        texts = [name for name, c in zip(feature.columns, self._columns, strict=True) if c.kind == "O"]
        if texts:
            raise DatasetError(f"the metadata {', '.join(texts)} are texts: a table holds numbers")
        if sum(self._widths) != feature.size:
            raise DatasetError(
                f"the metadata {', '.join(feature.columns[:8])} have {sum(self._widths)} numbers, the table's size is "
                f"{feature.size}: set feature.width to {sum(self._widths)}"
            )
        train = np.array([self._row[t.track_id] for t in tracks if t.split == "train"], dtype=np.int64)
        small = 8 * len(tracks) * feature.size <= IN_MEMORY_BYTES
        self.fitted = self._checked_fit(train) if small else self._kept_fit(train, tracks, metadata)
        self._scaled: torch.Tensor | None = None
        if small:
            self._scaled = self._read(np.arange(len(tracks)))

    def read(
        self, tracks: Sequence[Track], positions: Sequence[WindowPosition], gains: np.ndarray, seed: int
    ) -> torch.Tensor:
        return self._read(np.array([self._row[t.track_id] for t in tracks], dtype=np.int64))

    def windows(self, track: Track) -> torch.Tensor:
        return self._read(np.array([self._row[track.track_id]]))

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        if self._scaled is not None:
            return self._scaled[rows]
        return torch.from_numpy(scale_table(self._values(rows), self.feature, self.fitted))

    def _values(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, float64 (rows, size), not scaled."""
        return np.column_stack([c.take(self._metadata_rows[rows]) for c in self._columns]).astype(np.float64)

    def _numbers(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Some numbers of these rows after others, float64 (rows, n): all at once where the table is small."""
        if 8 * len(rows) * self.feature.size <= FITTED_BYTES:
            yield self._values(rows)
            return
        for column, width in zip(self._columns, self._widths, strict=True):
            parts = min(max(1, width // 2), -(-8 * len(rows) * width // FITTED_BYTES))
            for numbers in np.array_split(np.arange(width), parts):
                taken = column.take(self._metadata_rows[rows], slice(int(numbers[0]), int(numbers[-1]) + 1))
                yield taken.reshape(len(rows), -1).astype(np.float64)

    def _kept_fit(self, train: np.ndarray, tracks: Sequence[Track], metadata: Metadata) -> TableScaling:
        """What is found out of all values of a large table, by the first of all trials on this machine."""
        if not metadata.known_signature:
            return self._checked_fit(train)
        splits = [[t.track_id, t.split] for t in tracks]
        key = digest(metadata.known_signature, self.feature.to_dict(), splits, np.__version__, DEFINITION)
        with node_folder(f"table-{key}") as folder:
            file = str(folder / "scaling.json")
            if not storage.exists(file):
                storage.write_json(file, asdict(self._checked_fit(train)))
            kept = storage.read_json(file)
        return TableScaling(*(tuple(kept[name]) for name in ("shift", "scale", "mean")))

    def _checked_fit(self, train: np.ndarray) -> TableScaling:
        unknown, fits, first = self._require_finite(), [], 0
        for values in self._numbers(train):
            fits.append(fit_table(values, self.feature, first))
            first += values.shape[1]
        if unknown and self.feature.missing == "refuse":
            raise unknown
        shift, scale, mean = (sum((getattr(f, name) for f in fits), ()) for name in ("shift", "scale", "mean"))
        return TableScaling(shift, scale, mean)

    def _require_finite(self) -> DatasetError | None:
        """Check all values, some rows at a time; returns what would be said of unknown ones, if there are any."""
        number, unknown, first = -1, 0, 0
        for start in range(0, len(self._row), ROWS_AT_ONCE):
            values = self._values(np.arange(start, min(start + ROWS_AT_ONCE, len(self._row))))
            if np.isinf(values).any():
                raise DatasetError(
                    f"a number of the metadata {', '.join(self.feature.columns[:8])} is infinite: correct the table"
                )
            missing = np.isnan(values)
            if missing.any() and not unknown:
                first, number = (int(i[0]) for i in np.nonzero(missing))
                first += start
            unknown += int(missing.any(axis=1).sum())
        return unknown_value(self.feature, number, unknown, len(self._row), first) if unknown else None
