"""The inner loops of Time and Freq on a CPU: plain functions, turned into machine code when first needed.

Every tensor but the input is (batch, channels, across, pitch): ``pitch`` is the length of the axis that kernels run
along, rounded up to whole vectors, and cells beyond the length hold 0. A kernel works on a few rows at a time in
scratch memory that stays in the cache: it normalises, pools and rectifies what it reads, convolves, and writes only
what the next batch normalisation must see. The scratch has one row of ``SPAN`` cells a channel; since that distance is
constant and indices are unsigned, the compiler can prove that rows do not overlap and vectorises.

``scale`` and ``shift`` are a batch normalisation as x * scale + shift; comparisons are written so that NaN stays NaN.
Sums and weight gradients are kept for each example and added up later: results do not depend on the threads.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

VECTOR = 16  # float32 in the widest registers, 512 bits
SPAN = 1040  # longest pitch; no power of two, which would map all rows to the same cache lines
BLOCK = 384  # cells of a row of scratch worth filling: so many channels of it still fit the second-level cache
_STEP = np.uint64(SPAN)
_ZERO = np.float32(0)


def multiply(w: Array, x: Array, y: Array, length: int, starts: Integers, stops: Integers) -> None:
    """y += w @ x for scratch x and y, four by four channels so that every cell loaded is used four times."""
    n, p1 = np.uint64(length), _STEP
    p2, p3 = p1 + p1, p1 + p1 + p1
    for block in range(w.shape[0] // 4):
        o = 4 * block
        q = np.uint64(o) * _STEP
        for i in range(starts[block], stops[block], 4):
            p = np.uint64(i) * _STEP
            a0, a1, a2, a3 = w[o, i], w[o, i + 1], w[o, i + 2], w[o, i + 3]
            b0, b1, b2, b3 = w[o + 1, i], w[o + 1, i + 1], w[o + 1, i + 2], w[o + 1, i + 3]
            c0, c1, c2, c3 = w[o + 2, i], w[o + 2, i + 1], w[o + 2, i + 2], w[o + 2, i + 3]
            d0, d1, d2, d3 = w[o + 3, i], w[o + 3, i + 1], w[o + 3, i + 2], w[o + 3, i + 3]
            for t in range(n):
                x0, x1, x2, x3 = x[p + t], x[p + p1 + t], x[p + p2 + t], x[p + p3 + t]
                y[q + t] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                y[q + p1 + t] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                y[q + p2 + t] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                y[q + p3 + t] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3


def correlate(y: Array, x: Array, w: Array, length: int, starts: Integers, stops: Integers) -> None:
    """w += y @ x.T for scratch x and y: the gradient of :func:`multiply` by its weights."""
    n, p1 = np.uint64(length), _STEP
    p2, p3 = p1 + p1, p1 + p1 + p1
    for block in range(w.shape[0] // 4):
        o = 4 * block
        q = np.uint64(o) * _STEP
        for i in range(starts[block], stops[block], 4):
            p = np.uint64(i) * _STEP
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = _ZERO
            for t in range(n):
                x0, x1, x2, x3 = x[p + t], x[p + p1 + t], x[p + p2 + t], x[p + p3 + t]
                y0, y1, y2, y3 = y[q + t], y[q + p1 + t], y[q + p2 + t], y[q + p3 + t]
                a0, a1, a2, a3 = a0 + y0 * x0, a1 + y0 * x1, a2 + y0 * x2, a3 + y0 * x3
                b0, b1, b2, b3 = b0 + y1 * x0, b1 + y1 * x1, b2 + y1 * x2, b3 + y1 * x3
                c0, c1, c2, c3 = c0 + y2 * x0, c1 + y2 * x1, c2 + y2 * x2, c3 + y2 * x3
                d0, d1, d2, d3 = d0 + y3 * x0, d1 + y3 * x1, d2 + y3 * x2, d3 + y3 * x3
            for j, v in enumerate((a0, a1, a2, a3)):
                w[o, i + j] += v
            for j, v in enumerate((b0, b1, b2, b3)):
                w[o + 1, i + j] += v
            for j, v in enumerate((c0, c1, c2, c3)):
                w[o + 2, i + j] += v
            for j, v in enumerate((d0, d1, d2, d3)):
                w[o + 3, i + j] += v


def activate(y: Array, b: int, pooled: bool, scale: float, shift: float, left: int, width: int, x: Array) -> None:
    """Row b of relu(pool(y * scale + shift)) into x, from cell ``left`` on, zeros behind; y is (across, pitch)."""
    first = 2 * b if pooled else b
    row = y[first]
    other = y[first + 1] if pooled and first + 1 < y.shape[0] else row
    out = x[left:]
    for t in range(np.uint64(row.shape[0])):
        u, v = row[t] * scale + shift, other[t] * scale + shift
        u = v if v > u else u
        out[t] = _ZERO if u < _ZERO else u
    out[width : width + 2 * VECTOR] = _ZERO


def depthwise(x: Array, w: Array, out: Array) -> None:
    """out = x convolved with w, whose length is a multiple of three."""
    out[:] = _ZERO
    for k in range(0, w.shape[0], 3):
        x0, x1, x2, w0, w1, w2 = x[k:], x[k + 1 :], x[k + 2 :], w[k], w[k + 1], w[k + 2]
        for t in range(np.uint64(out.shape[0])):
            out[t] += w0 * x0[t] + w1 * x1[t] + w2 * x2[t]


def emit(scratch: Array, rows: int, width: int, b0: int, y: Array, sums: Doubles) -> None:
    """Rows of scratch into y, (channels, across, pitch), zeros behind; adds their sums and sums of squares."""
    for c in range(y.shape[0]):
        for r in range(rows):
            start = c * SPAN + r * y.shape[2]
            source, out = scratch[start : start + y.shape[2]], y[c, b0 + r]
            source[width:] = _ZERO
            total = square = _ZERO
            for t in range(np.uint64(y.shape[2])):
                v = source[t]
                out[t] = v
                total, square = total + v, square + v * v
            sums[0, c] += total
            sums[1, c] += square


def route(y: Array, b: int, pooled: bool, scale: float, shift: float, back: Array, g: Array, width: int, out: Array) -> None:
    """The gradient at row b of y from that after pool and ReLU: out = back[0] * routed g + back[1] * y + back[2]."""
    row, g_row = y[b], g[b // 2 if pooled else b]
    partner = b + 1 - 2 * (b % 2)
    other = y[partner] if pooled and partner < y.shape[0] else row
    flip = np.float32(1 - 2 * (b % 2))
    k0, k1, k2 = back[0], back[1], back[2]
    for t in range(np.uint64(row.shape[0])):
        u, v = row[t] * scale + shift, other[t] * scale + shift
        wins = (u >= v) if flip > _ZERO else (u > v)  # of equals the first wins, as torch has it
        out[t] = k0 * (g_row[t] if wins and u > _ZERO else _ZERO) + k1 * row[t] + k2
    out[width:] = _ZERO


def tally(y: Array, b: int, pooled: bool, scale: float, shift: float, g: Array, sums: Doubles, c: int) -> None:
    """Adds what the batch normalisation of y needs: the sums of its output's gradient, and of that times y."""
    first = 2 * b if pooled else b
    row = y[first]
    other = y[first + 1] if pooled and first + 1 < y.shape[0] else row
    total = product = _ZERO
    for t in range(np.uint64(row.shape[0])):
        u, v = row[t] * scale + shift, other[t] * scale + shift
        winner = row[t] if u >= v else other[t]
        u = u if u >= v else v
        d = g[t] if u > _ZERO else _ZERO
        total, product = total + d, product + d * winner
    sums[0, c] += total
    sums[1, c] += product
