"""The largest of the products of all rows with a query: faiss's loop over arrays that lie anywhere; none is copied."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tonearm.core.types import FloatArray
from tonearm.recommend.library import BoolArray, IntArray

Kind = Literal["QT_fp16", "QT_8bit_direct_signed"]  # how faiss calls float16, and bytes of which 128 stands for 0


def largest_products(
    kind: Kind, rows: np.ndarray, query: FloatArray, most: int, allowed: BoolArray | None = None
) -> tuple[FloatArray, IntArray]:
    """The largest products of rows with a query, float32, and the places of their rows, in no order.

    Products that are no numbers are passed over.

    Parameters
    ----------
    kind
        ``QT_fp16``: products are float32 sums. ``QT_8bit_direct_signed``: of some lengths faiss rounds the query to
        bytes; where it holds whole numbers within ±127 it loses nothing by that, and a sum below 2**24 is exact.
    rows
        float16 or uint8 (rows, dim), contiguous.
    query
        (dim,).
    most
        How many, at least 1; of more rows these are found.
    allowed
        (rows,); None: all are.
    """
    import faiss

    count, dim = rows.shape
    quantizer = faiss.ScalarQuantizer(dim, getattr(faiss.ScalarQuantizer, kind))
    bits = None if allowed is None else np.packbits(allowed, bitorder="little")  # faiss reads it: it must stay
    selector = None if bits is None else faiss.IDSelectorBitmap(bits)
    scanner = quantizer.select_InvertedListScanner(faiss.METRIC_INNER_PRODUCT, None, True, selector, False)
    try:
        scanner.list_no = 0  # so that what it calls a row is its place
        asked, data = np.ascontiguousarray(query, np.float32), rows.view(np.uint8).reshape(-1)
        values, places = np.full(most, -np.inf, np.float32), np.full(most, -1, np.int64)
        scanner.set_query(faiss.swig_ptr(asked))
        scanner.scan_codes(count, faiss.swig_ptr(data), None, faiss.swig_ptr(values), faiss.swig_ptr(places), most)
    finally:  # nobody else frees it; where Python is made its owner, faiss 1.15 counts references wrongly and crashes
        faiss.InvertedListScanner.__swig_destroy__(scanner)
    there = places >= 0
    return values[there], places[there]
