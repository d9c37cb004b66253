"""The inner loops of Time and Freq on a CPU: plain functions, turned into machine code when first needed.

Every tensor but the input is (batch, channels, across, along), kernels running along the last axis. A layer kernel
works on a few rows at a time in scratch memory that stays in the cache: it normalises, pools and rectifies what it
reads, convolves, and writes only what the next batch normalisation must see.

Scratch is flat, ``SPAN`` cells a channel, which holds rows one behind the other, ``segment`` cells each: a row with its
padding, and at least (kernel - 1) zeros between the gradients of two rows, so that one loop convolves them all. Since
the distance of channels is constant and indices are unsigned, the compiler can prove that nothing overlaps and
vectorises; arrays are indexed in full rather than sliced, as each slice would cost a reference count.

``scale`` and ``shift`` are a batch normalisation as x * scale + shift; comparisons are written so that NaN stays NaN.
All is in one file since numba, which keeps machine code on disk, notices changes only in the file of the caller. Sums
and weight gradients are kept for each example and added up later: results do not depend on the threads.
"""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from tonearm.core.compiled import compile_function

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SPAN = 1168  # cells of scratch a channel; no power of two, which would map all channels to the same cache lines
BLOCK = 384  # cells of them worth filling: that much of 128 channels still fits the second-level cache
LINE = 16  # cells of a cache line
_STEP = np.uint64(SPAN)
_ZERO = np.float32(0)


def scratch(channels: int) -> Array:
    """Zeros, beginning at a cache line: a vector that spans two lines costs twice."""
    cells = np.zeros(channels * SPAN + LINE, np.float32)
    skip = -(cells.ctypes.data // 4) % LINE
    return cells[skip : skip + channels * SPAN]


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


def activate(
    x: Array, n: int, c: int, b0: int, rows: int, pooled: bool, scale: float, shift: float, left: int, segment: int,
    out: Array, base: int,
) -> None:  # fmt: skip
    """Rows b0.. of relu(pool(x * scale + shift)) into scratch, from cell ``left`` of each segment on, else zeros."""
    inside = x.shape[3]
    for r in range(rows):
        first = 2 * (b0 + r) if pooled else b0 + r
        second = min(first + 1, x.shape[2] - 1) if pooled else first
        start = np.uint64(base + r * segment + left)
        for t in range(np.uint64(inside)):
            u, v = x[n, c, first, t] * scale + shift, x[n, c, second, t] * scale + shift
            u = v if v > u else u
            out[start + t] = _ZERO if u < _ZERO else u
        for t in range(np.uint64(inside), np.uint64(segment)):
            out[start + t] = _ZERO


def convolve(x: Array, base: int, w: Array, c: int, out: Array, at: int, count: int) -> None:
    """out[at + t] = sum over k of x[base + t + k] * w[c, k]; the kernel's length is a multiple of three."""
    q = np.uint64(at)
    for k in range(0, w.shape[1], 3):
        p0, p1, p2 = np.uint64(base + k), np.uint64(base + k + 1), np.uint64(base + k + 2)
        w0, w1, w2 = w[c, k], w[c, k + 1], w[c, k + 2]
        if k == 0:
            for t in range(np.uint64(count)):
                out[q + t] = w0 * x[p0 + t] + w1 * x[p1 + t] + w2 * x[p2 + t]
        else:
            for t in range(np.uint64(count)):
                out[q + t] += w0 * x[p0 + t] + w1 * x[p1 + t] + w2 * x[p2 + t]


def convolve_weights(x: Array, base: int, g: Array, at: int, count: int, dw: Array, n: int, c: int) -> None:
    """Adds to dw[n, c] the gradient of :func:`convolve` by its kernel, g being that of what it gave."""
    q = np.uint64(at)
    for k in range(0, dw.shape[2], 3):
        p0, p1, p2 = np.uint64(base + k), np.uint64(base + k + 1), np.uint64(base + k + 2)
        s0 = s1 = s2 = _ZERO
        for t in range(np.uint64(count)):
            v = g[q + t]
            s0, s1, s2 = s0 + v * x[p0 + t], s1 + v * x[p1 + t], s2 + v * x[p2 + t]
        dw[n, c, k] += s0
        dw[n, c, k + 1] += s1
        dw[n, c, k + 2] += s2


def emit(source: Array, rows: int, segment: int, y: Array, n: int, b0: int, sums: Doubles) -> None:
    """The rows of scratch ``source`` into y; adds their sums and sums of squares by channel."""
    for c in range(y.shape[1]):
        for r in range(rows):
            start = np.uint64(c * SPAN + r * segment)
            total = square = _ZERO
            for t in range(np.uint64(y.shape[3])):
                v = source[start + t]
                y[n, c, b0 + r, t] = v
                total, square = total + v, square + v * v
            sums[n, 0, c] += total
            sums[n, 1, c] += square


def route(
    y: Array, n: int, c: int, b0: int, rows: int, pooled: bool, scale: float, shift: float, back: Array, g: Array,
    segment: int, out: Array,
) -> None:  # fmt: skip
    """Gradients at rows b0.. of y from those after its pool and ReLU: back[0] * routed g + back[1] * y + back[2]."""
    k0, k1, k2 = back[0, c], back[1, c], back[2, c]
    width = y.shape[3]
    for b in range(b0, b0 + rows):
        later = pooled and b % 2 == 1
        other = b - 1 if later else min(b + 1, y.shape[2] - 1) if pooled else b
        source = b // 2 if pooled else b
        start = np.uint64(c * SPAN + (b - b0) * segment)
        for t in range(np.uint64(width)):
            u, v = y[n, c, b, t] * scale + shift, y[n, c, other, t] * scale + shift
            wins = (u > v) if later else (u >= v)  # of equals the first wins, as torch has it
            out[start + t] = k0 * (g[n, c, source, t] if wins and u > _ZERO else _ZERO) + k1 * y[n, c, b, t] + k2
        for t in range(np.uint64(width), np.uint64(segment)):
            out[start + t] = _ZERO


def tally(
    x: Array, n: int, c: int, b0: int, rows: int, pooled: bool, scale: float, shift: float, left: int, segment: int,
    g: Array, dx: Array, sums: Doubles,
) -> None:  # fmt: skip
    """Gradients g after :func:`activate` into dx; adds their sum after ReLU, and that of them times what won of x."""
    for r in range(rows):
        first = 2 * (b0 + r) if pooled else b0 + r
        second = min(first + 1, x.shape[2] - 1) if pooled else first
        start = np.uint64(r * segment + left)
        total = product = _ZERO
        for t in range(np.uint64(x.shape[3])):
            y, z, d = x[n, c, first, t], x[n, c, second, t], g[start + t]
            u, v = y * scale + shift, z * scale + shift
            dx[n, c, b0 + r, t] = d
            d = d if (u if u >= v else v) > _ZERO else _ZERO
            total, product = total + d, product + d * (y if u >= v else z)
        sums[n, 0, c] += total
        sums[n, 1, c] += product


def clear(cells: Array, base: int, channels: int, count: int) -> None:
    """Zeros in the first cells of each channel of scratch."""
    for c in range(channels):
        start = np.uint64(base + c * SPAN)
        for t in range(np.uint64(count)):
            cells[start + t] = _ZERO


def frame(x: Array, n: int, b: int, stride: int, left: int, width: int, phase: Array, columns: Array, at: int) -> None:
    """Shifted copies of one input row as channels of scratch: cell t of copy q is x[stride * t + q - left].

    The strided phases come first, so that all copies are of neighbouring cells. Copies are tap by tap, channels inside.
    """
    channels, length = x.shape[2:]
    taps = columns.shape[0] // SPAN // channels
    for c in range(channels):
        for t in range(length):
            phase[(t + left) % stride, (t + left) // stride] = x[n, b, c, t]
        for q in range(taps):
            start, p, shift = np.uint64((q * channels + c) * SPAN + at), q % stride, np.uint64(q // stride)
            for t in range(np.uint64(width)):
                columns[start + t] = phase[p, shift + t]


def long_forward(
    n0: int, n1: int, x: Array, w: Array, starts: Integers, stops: Integers, stride: int, left: int, y: Array,
    sums: Doubles,
) -> None:  # fmt: skip
    """The first layer for examples n0..n1: x (batch, across, channels, length), w (outputs, taps * channels)."""
    width, taps = y.shape[3], w.shape[1] // x.shape[2]
    columns, out = scratch(w.shape[1]), scratch(w.shape[0])
    phase = np.zeros((stride, max(width + taps // stride, (left + x.shape[3]) // stride) + 1), np.float32)
    step = max(1, BLOCK // width)
    for n in range(n0, n1):
        for b0 in range(0, x.shape[1], step):
            rows = min(step, x.shape[1] - b0)
            for r in range(rows):
                frame(x, n, b0 + r, stride, left, width, phase, columns, r * width)
            clear(out, 0, w.shape[0], rows * width)
            multiply(w, columns, out, rows * width, starts, stops)
            emit(out, rows, width, y, n, b0, sums)


def long_backward(
    n0: int, n1: int, x: Array, starts: Integers, stops: Integers, stride: int, left: int, y: Array, scale: Array,
    shift: Array, back: Array, g: Array, dw: Array,
) -> None:  # fmt: skip
    """The gradient dw (batch, outputs, taps * channels) of the first layer's weights."""
    width, taps = y.shape[3], dw.shape[2] // x.shape[2]
    columns, dy = scratch(dw.shape[2]), scratch(dw.shape[1])
    phase = np.zeros((stride, max(width + taps // stride, (left + x.shape[3]) // stride) + 1), np.float32)
    step = max(1, BLOCK // width)
    for n in range(n0, n1):
        for b0 in range(0, x.shape[1], step):
            rows = min(step, x.shape[1] - b0)
            for r in range(rows):
                frame(x, n, b0 + r, stride, left, width, phase, columns, r * width)
            for o in range(y.shape[1]):
                route(y, n, o, b0, rows, False, scale[o], shift[o], back, g, width, dy)
            correlate(dy, columns, dw[n], rows * width, starts, stops)


def separable_forward(
    n0: int, n1: int, x: Array, pooled: bool, scale: Array, shift: Array, left: int, segment: int, wd: Array, wp: Array,
    starts: Integers, stops: Integers, y: Array, sums: Doubles,
) -> None:  # fmt: skip
    """A separable layer, from raw outputs x of the layer before to its own raw outputs y."""
    row, middle = scratch(2), scratch(wp.shape[1])
    out = scratch(wp.shape[0])
    step = max(1, BLOCK // segment)
    for n in range(n0, n1):
        for b0 in range(0, y.shape[2], step):
            rows = min(step, y.shape[2] - b0)
            count = rows * segment
            for c in range(x.shape[1]):
                activate(x, n, c, b0, rows, pooled, scale[c], shift[c], left, segment, row, 0)
                convolve(row, 0, wd, c, middle, c * SPAN, count)
            clear(out, 0, wp.shape[0], count)
            multiply(wp, middle, out, count, starts, stops)
            emit(out, rows, segment, y, n, b0, sums)


def separable_backward(
    n0: int, n1: int, x: Array, pooled: bool, scale: Array, shift: Array, left: int, segment: int, wd: Array,
    wd_reversed: Array, wp: Array, starts: Integers, stops: Integers, starts_t: Integers, stops_t: Integers, gap: int,
    y: Array, y_pooled: bool, y_scale: Array, y_shift: Array, back: Array, g: Array, dx: Array, dwd: Array, dwp: Array,
    sums: Doubles,
) -> None:  # fmt: skip
    """Its gradients, from g after y's pool and ReLU: dx after x's pool and ReLU, dwd and dwp for each example.

    ``wp`` is transposed here: (inputs, outputs); ``gap`` is the kernel's length less one. What lay between x and y is
    computed again rather than kept.
    """
    inputs, spread = scratch(x.shape[1] + 1), scratch(1)
    dy, middle = scratch(wp.shape[1]), scratch(wp.shape[0])
    dmiddle, front = scratch(wp.shape[0] + 1), -(-gap // LINE) * LINE
    step = max(1, BLOCK // segment)
    for n in range(n0, n1):
        for b0 in range(0, y.shape[2], step):
            rows = min(step, y.shape[2] - b0)
            count = rows * segment
            for o in range(y.shape[1]):
                route(y, n, o, b0, rows, y_pooled, y_scale[o], y_shift[o], back, g, segment, dy)
            for c in range(x.shape[1]):
                activate(x, n, c, b0, rows, pooled, scale[c], shift[c], left, segment, inputs, c * SPAN)
                convolve(inputs, c * SPAN, wd, c, middle, c * SPAN, count)
            correlate(dy, middle, dwp[n], count, starts, stops)
            clear(dmiddle, front, wp.shape[0], count)
            multiply(wp, dy, dmiddle[front:], count, starts_t, stops_t)
            for c in range(x.shape[1]):
                convolve_weights(inputs, c * SPAN, dmiddle, c * SPAN + front, count, dwd, n, c)
                convolve(dmiddle, c * SPAN + front - gap, wd_reversed, c, spread, 0, count)
                tally(x, n, c, b0, rows, pooled, scale[c], shift[c], left, segment, spread, dx, sums)


def flatten_forward(n0: int, n1: int, x: Array, scale: Array, shift: Array, w: Array, y: Array) -> None:
    """y (batch, channels, along): relu(x * scale + shift) summed over its rows with weights w (channels, across)."""
    for n in range(n0, n1):
        for c in range(x.shape[1]):
            for b in range(x.shape[2]):
                a, h, wb = scale[c], shift[c], w[c, b]
                for t in range(np.uint64(x.shape[3])):
                    u = x[n, c, b, t] * a + h
                    y[n, c, t] += wb * (_ZERO if u < _ZERO else u)


def flatten_backward(
    n0: int, n1: int, x: Array, scale: Array, shift: Array, w: Array, g: Array, dx: Array, dw: Array, sums: Doubles
) -> None:
    """Its gradients: dx and sums as in :func:`separable_backward`, dw for each example."""
    for n in range(n0, n1):
        for c in range(x.shape[1]):
            for b in range(x.shape[2]):
                a, h, wb = scale[c], shift[c], w[c, b]
                weight = total = product = _ZERO
                for t in range(np.uint64(x.shape[3])):
                    v, d = x[n, c, b, t], g[n, c, t]
                    u = v * a + h
                    dx[n, c, b, t] = wb * d
                    d = d if u > _ZERO else _ZERO
                    weight, total, product = weight + d * u, total + d, product + d * v
                dw[n, c, b] = weight
                sums[n, 0, c] += wb * total
                sums[n, 1, c] += wb * product


HELPERS = (
    "scratch", "multiply", "correlate", "activate", "convolve", "convolve_weights", "emit", "route", "tally", "clear",
    "frame",
)  # fmt: skip
LAYERS = (
    "long_forward", "long_backward", "separable_forward", "separable_backward", "flatten_forward", "flatten_backward",
)  # fmt: skip


@cache
def compiled() -> SimpleNamespace:
    """The layer kernels as machine code, compiled at their first call and kept on disk where that is possible."""
    # Not nnan and ninf: a diverged trial must be seen to diverge.
    jit = partial(compile_function, fastmath={"contract", "reassoc", "nsz", "arcp"})
    # In place, since a compiled kernel calls its helpers by their global names.
    for name in HELPERS:
        globals()[name] = jit(globals()[name])
    return SimpleNamespace(**{name: jit(globals()[name]) for name in LAYERS})
