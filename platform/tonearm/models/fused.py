"""Time and Freq on a CPU in few passes over memory: another execution of the same weights, exact gradients included.

Plain layers spend most of their time moving activations: a pad, a depthwise convolution, a pointwise one, statistics,
scaling, pooling and rectifying each read and write all of them, and backward does so again. Only batch normalisation
needs a whole batch's output at once, so here one pass goes from one layer's raw outputs to the next one's, and
backward computes again, row by row in the cache, what lay between. See :mod:`tonearm.models.kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tonearm.core.errors import TrainingError
from tonearm.models.blocks import same_length, same_padding
from tonearm.models.execution import Workspace, over_batch
from tonearm.models.kernels import compiled


@dataclass(frozen=True)
class TrunkShape:
    """The network settings that the kernels need.

    Attributes
    ----------
    kernels
        Lengths of the first layer's kernels.
    stride
        Of the first layer.
    separable
        Kernel length of the separable layers.
    same
        Whether these pad as TensorFlow's "same" does.
    pools
        A pool halves the other axis after so many of the separable layers.
    norms
        The batch normalisations, the first layer's and the separable ones'.
    workspace
        Where activations are kept; one a network.
    batch_statistics
        Whether to normalise by the batch, as in training, or by the running statistics.
    """

    kernels: tuple[int, ...]
    stride: int
    separable: int
    same: bool
    pools: int
    norms: tuple[nn.BatchNorm2d, ...]
    workspace: Workspace
    batch_statistics: bool

    @property
    def left(self) -> int:
        """Cells that a separable layer pads before its axis."""
        return (self.separable - 1) // 2 if self.same else 0

    def pooled(self, layer: int) -> bool:
        """Whether a pool follows layer 0 (the first), 1, ... (the separable ones)."""
        return 1 <= layer <= self.pools


def _padded(x: Tensor, *multiples: int) -> Tensor:
    pads: list[int] = []
    for size, m in zip(reversed(x.shape), reversed(multiples), strict=True):
        pads += [0, -size % m]
    return F.pad(x, pads).contiguous()


def _rows(weight: Tensor) -> Tensor:
    return weight.flatten(1).contiguous()


def _taps(depthwise: Tensor) -> Tensor:
    """(channels, taps), zeros behind up to the multiple of 3 that the kernels take at a time."""
    return _padded(depthwise.flatten(1), 1, 3)


def _matrix(pointwise: Tensor) -> Tensor:
    """(outputs, inputs), zeros behind up to the multiples of 4 that the kernels take at a time."""
    return _padded(pointwise.flatten(1), 4, 4)


def _whole(matrix: Tensor) -> tuple[Any, Any]:
    """The columns, first and past the last, that each four rows of a full matrix use."""
    fours = len(matrix) // 4
    return np.zeros(fours, np.int64), np.full(fours, matrix.shape[1], np.int64)


class Taps:
    """The first layer's kernels laid into one matrix: (outputs, taps * channels), zeros where a kernel does not reach.

    Four outputs share a range of columns, so short kernels do not pay for long ones.
    """

    def __init__(self, kernels: tuple[int, ...], outputs: int, channels: int, length: int, stride: int) -> None:
        befores = [same_padding(length, k, stride)[0] for k in kernels]
        self.left, self.outputs, self.channels = max(befores), outputs, channels
        self.places = [(self.left - b, self.left - b + k) for b, k in zip(befores, kernels, strict=True)]
        self.taps = -(-max(stop for _, stop in self.places) // 4) * 4  # then times channels is a multiple of 4 too
        each = [place for place in self.places for _ in range(outputs)]
        fours = [each[i : i + 4] for i in range(0, len(each), 4)]
        self.rows = 4 * len(fours)
        self.starts = np.array([min(p[0] for p in f) * channels // 4 * 4 for f in fours], np.int64)
        self.stops = np.array([-(-max(p[1] for p in f) * channels // 4) * 4 for f in fours], np.int64)

    def matrix(self, weights: list[Tensor]) -> Tensor:
        out = weights[0].new_zeros(self.rows, self.taps, self.channels)
        for i, (w, (start, stop)) in enumerate(zip(weights, self.places, strict=True)):
            rows = slice(i * self.outputs, (i + 1) * self.outputs)
            out[rows, start:stop] = w.reshape(self.outputs, self.channels, -1).transpose(1, 2)
        return out.flatten(1)

    def split(self, matrix: Tensor, weights: list[Tensor]) -> list[Tensor]:
        """The inverse of :meth:`matrix`, for the gradient."""
        taps = matrix.view(self.rows, self.taps, self.channels).transpose(1, 2)
        return [
            taps[i * self.outputs : (i + 1) * self.outputs, :, start:stop].reshape(w.shape)
            for i, (w, (start, stop)) in enumerate(zip(weights, self.places, strict=True))
        ]


class Normalised:
    """A layer's raw outputs and its batch normalisation as x * scale + shift."""

    def __init__(self, raw: Tensor, sums: Tensor, norm: nn.BatchNorm2d, batch_statistics: bool) -> None:
        self.raw, self.batch_statistics = raw, batch_statistics
        self.count = raw.shape[0] * raw.shape[2] * raw.shape[3]
        if batch_statistics:
            mean, square = sums.sum(0) / self.count
            variance = (square - mean * mean).clamp_min(0)
            _update_running(norm, mean, variance, self.count)
        else:
            mean, variance = (v.double() for v in (norm.running_mean, norm.running_var) if v is not None)
        self.mean, self.rate = mean, (variance + norm.eps).rsqrt()
        scale = norm.weight.detach().double() * self.rate
        self.scale, self.shift = scale.float(), (norm.bias.detach().double() - mean * scale).float()

    def backward(self, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the sums of the gradient g and of g * raw: gradients of weight and bias, and k of k0*g + k1*raw + k2."""
        bias, product = sums.sum(0)
        weight = self.rate * (product - self.mean * bias)
        back = torch.zeros(3, len(weight), dtype=torch.float64)
        back[0] = self.scale
        if self.batch_statistics:
            back[1] = -self.scale * self.rate * weight / self.count
            back[2] = -self.scale * bias / self.count - back[1] * self.mean
        return weight.float(), bias.float(), back.float()


def _update_running(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.float(), share)
    norm.running_var.lerp_((variance * count / max(count - 1, 1)).float(), share)


class FusedTrunk(torch.autograd.Function):
    """The input to the flattening layer's depthwise output: (batch, channels, across, along) to (batch, C, along')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: TrunkShape, *parameters: Tensor) -> Tensor:
        kernels, batch = compiled(), x.shape[0]
        n_long = len(shape.kernels)
        weights = [p.detach() for p in parameters]
        long, separable, flatten = weights[:n_long], weights[n_long + 2 : -1], weights[-1]
        x = x.transpose(1, 2).contiguous()  # (batch, across, channels, along)
        taps = Taps(shape.kernels, long[0].shape[0], x.shape[2], x.shape[3], shape.stride)
        width, across = same_length(x.shape[3], shape.stride), x.shape[1]

        def fresh(channels: int) -> tuple[Tensor, Tensor]:
            raw = shape.workspace.take(batch, channels, across, width)
            return raw, torch.zeros(batch, 2, channels, dtype=torch.float64)

        raw, sums = fresh(n_long * long[0].shape[0])
        over_batch(kernels.long_forward, batch, x, taps.matrix(long), taps.starts, taps.stops, shape.stride, taps.left,
                   raw, sums)  # fmt: skip
        layers = [Normalised(raw, sums, shape.norms[0], shape.batch_statistics)]
        for i in range(1, len(shape.norms)):
            before, pooled = layers[-1], shape.pooled(i - 1)
            width = width if shape.same else width - shape.separable + 1
            across = same_length(across, 2) if pooled else across
            raw, sums = fresh(separable[4 * i - 3].shape[0])
            wd, wp = _taps(separable[4 * i - 4]), _matrix(separable[4 * i - 3])
            over_batch(kernels.separable_forward, batch, before.raw, pooled, before.scale, before.shift, shape.left,
                       width + shape.separable - 1, wd, wp, *_whole(wp), raw, sums)  # fmt: skip
            layers.append(Normalised(raw, sums, shape.norms[i], shape.batch_statistics))
        last = layers[-1]
        out = torch.zeros(batch, last.raw.shape[1], width)
        over_batch(kernels.flatten_forward, batch, last.raw, last.scale, last.shift, _rows(flatten), out)
        if any(ctx.needs_input_grad):
            ctx.x, ctx.shape, ctx.taps, ctx.layers = x, shape, taps, layers
            ctx.save_for_backward(*parameters)
        else:
            shape.workspace.give(*(layer.raw for layer in layers))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        with torch.no_grad():
            found = _backward(ctx, gradients[0])
        if torch.is_grad_enabled():  # they will be differentiated again, or may be
            found = OnlyFirstDerivatives.apply(gradients[0], *ctx.saved_tensors, *found)  # type: ignore[no-untyped-call]
        return (None, None, *found)


def _backward(ctx: Any, gradient: Tensor) -> list[Tensor]:
    kernels, shape, layers, batch = compiled(), ctx.shape, ctx.layers, ctx.x.shape[0]
    if not layers:
        raise TrainingError(
            "a second backward pass through one forward pass: call the network again instead, or call it within "
            "tonearm.models.fused_execution(False)"
        )
    n_long = len(shape.kernels)
    parameters = [p.detach() for p in ctx.saved_tensors]
    long, separable, flatten = parameters[:n_long], parameters[n_long + 2 : -1], parameters[-1]

    def fresh(layer: Normalised, across: int) -> tuple[Tensor, Tensor]:
        channels, width = layer.raw.shape[1], layer.raw.shape[3]
        return shape.workspace.take(batch, channels, across, width), torch.zeros(
            batch, 2, channels, dtype=torch.float64
        )

    last, w = layers[-1], _rows(flatten)
    g, sums = fresh(last, last.raw.shape[2])
    dw = torch.empty(batch, *w.shape)
    over_batch(kernels.flatten_backward, batch, last.raw, last.scale, last.shift, w, gradient.contiguous(), g,
               dw, sums)  # fmt: skip
    found = [dw.sum(0).view_as(flatten)]  # from the last parameter to the first
    for i in range(len(layers) - 1, 0, -1):
        after, before, pooled = layers[i], layers[i - 1], shape.pooled(i - 1)
        weight, bias, back = after.backward(sums)
        depthwise, pointwise = separable[4 * i - 4], separable[4 * i - 3]
        wd, wp, wp_t = _taps(depthwise), _matrix(pointwise), _matrix(pointwise.transpose(0, 1))
        dwd, dwp = torch.zeros(batch, *wd.shape), torch.zeros(batch, *wp.shape)
        dx, sums = fresh(before, after.raw.shape[2])
        over_batch(kernels.separable_backward, batch, before.raw, pooled, before.scale, before.shift, shape.left,
                   after.raw.shape[3] + shape.separable - 1, wd, _taps(depthwise.flatten(1).flip(1)), wp_t,
                   *_whole(wp), *_whole(wp_t), shape.separable - 1, after.raw, shape.pooled(i), after.scale,
                   after.shift, back, g, dx, dwd, dwp, sums)  # fmt: skip
        dwp_sum, dwd_sum = dwp.sum(0)[: pointwise.shape[0], : pointwise.shape[1]], dwd.sum(0)[:, : shape.separable]
        found += [bias, weight, dwp_sum.reshape(pointwise.shape), dwd_sum.reshape(depthwise.shape)]
        shape.workspace.give(g, after.raw)
        g = dx
    first, taps = layers[0], ctx.taps
    weight, bias, back = first.backward(sums)
    dw = torch.zeros(batch, taps.rows, taps.taps * taps.channels)
    over_batch(kernels.long_backward, batch, ctx.x, taps.starts, taps.stops, shape.stride, taps.left, first.raw,
               first.scale, first.shift, back, g, dw)  # fmt: skip
    shape.workspace.give(g, first.raw)
    ctx.layers = ()  # a second backward pass would read memory given back
    found += [bias, weight, *reversed(taps.split(dw.sum(0), long))]
    return found[::-1]


class OnlyFirstDerivatives(torch.autograd.Function):
    """Passes gradients through; a second derivative raises an error with the remedy, since the kernels have none."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *parameters_and_found: Tensor) -> Any:
        return tuple(t.clone() for t in parameters_and_found[len(parameters_and_found) // 2 :])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise TrainingError(
            "the fused execution of Time and Freq has no second derivatives: call the network within "
            "tonearm.models.fused_execution(False)"
        )
