"""Approximate neighbours of many vectors: an inverted file of faiss, mapped into memory.

Vectors lie in lists by the nearest of 4·√n centres; a query looks through the lists of :data:`PROBES` centres. Equal
vectors lie in one list and hide no others.

References
----------
Jégou, Douze and Schmid 2011, *Product quantization for nearest neighbor search* (the inverted file); Douze et al. 2024,
*The Faiss library*.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from tonearm.core.errors import BundleError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray
from tonearm.recommend.library import BoolArray, IntArray

PROBES = 32  # lists that are looked through; make bench NAME=recommend says what is found so
LISTS = 4.0  # times the root of the number of vectors
SAMPLE = 50  # vectors a list of which centres are made
ROUNDS = 10  # of k-means
ROWS_AT_ONCE = 65_536
CHECKED = 1_000  # vectors that an index must find
MORE = 20  # are asked for, since the exact comparison may order the last ones otherwise


class ApproximateIndex:
    """An index that was built, opened from its file without reading it."""

    def __init__(self, path: Path) -> None:
        import faiss

        self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        # Else each query starts 32 threads that read its lists beforehand: 1.1 ms of CPU, where the search needs 0.1.
        faiss.downcast_InvertedLists(self._index.invlists).prefetch_nthread = 0

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def nearest(self, unit: FloatArray, k: int, allowed: BoolArray | None = None) -> IntArray:
        """Rows that are probably the ``k`` nearest, and some more, in no order.

        Parameters
        ----------
        unit
            float32 (dim,), of unit length.
        allowed
            (rows,); None: all are.
        """
        return _nearest(self._index, unit, k, allowed)


def build_index(vectors: np.ndarray, path: Path) -> None:
    """Write the index of float16 vectors (rows, dim) of unit length to a file.

    Raises
    ------
    BundleError
        If it does not find vectors that are in it; they are named by their rows.
    """
    import faiss

    count, dim = vectors.shape
    lists = max(1, round(LISTS * math.sqrt(count)))
    centres = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(
        centres, dim, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    rng = np.random.default_rng(derive_seed("centres of a catalogue", count, dim))
    index.cp.spherical, index.cp.niter, index.cp.seed = True, ROUNDS, 1
    index.cp.min_points_per_centroid = 1
    sample = np.sort(rng.choice(count, min(count, SAMPLE * lists), replace=False))
    index.train(vectors[sample].astype(np.float32))
    for start in range(0, count, ROWS_AT_ONCE):
        index.add(vectors[start : start + ROWS_AT_ONCE].astype(np.float32))
    require_finds(index, vectors, np.sort(rng.choice(count, min(count, CHECKED), replace=False)))
    faiss.write_index(index, str(path))


def require_finds(index: Any, vectors: np.ndarray, rows: IntArray) -> None:
    """Check that an index finds vectors that are in it, each itself or an equal one.

    Raises
    ------
    BundleError
        If it does not.
    """
    lost = []
    for row in rows:
        found = _nearest(index, vectors[row].astype(np.float32), 1, None)
        if not (vectors[found] == vectors[row]).all(axis=1).any():
            lost.append(int(row))
    if lost:
        raise BundleError(
            f"the approximate index does not find {len(lost)} of {len(rows)} of its own vectors, e.g. rows "
            f"{', '.join(map(str, lost[:5]))}: it is not used. Make the catalogue again; if this remains, report it"
        )


def _nearest(index: Any, unit: FloatArray, k: int, allowed: BoolArray | None) -> IntArray:
    import faiss

    selected, bits = None, None
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        selected = faiss.IDSelectorBitmap(bits)
    parameters = faiss.SearchParametersIVF(sel=selected, nprobe=PROBES)
    _, found = index.search(
        np.ascontiguousarray(unit[None], np.float32), min(k + MORE, index.ntotal), params=parameters
    )
    rows: IntArray = found[0][found[0] >= 0].astype(np.int64)
    return rows
