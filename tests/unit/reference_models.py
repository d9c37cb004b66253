"""Plain PyTorch transcriptions of Simple, Time and Freq, layer by layer as the thesis lists them for one spectrogram.

They know nothing of ``tonearm.models``: tests compare outputs and gradients with them, the benchmark compares speed.
Parameters have the same names, so that one ``state_dict`` serves both.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TensorFlowSame(nn.Module):
    """Pads so that the next layer leaves ceil(n / stride) cells, the odd cell at the end."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], value: float = 0.0) -> None:
        super().__init__()
        self.kernel, self.stride, self.value = kernel, stride, value

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for axis in (1, 0):  # torch wants the last axis first
            n, k, s = x.shape[2 + axis], self.kernel[axis], self.stride[axis]
            total = max((math.ceil(n / s) - 1) * s + k - n, 0)
            pads += [total // 2, total - total // 2]
        return F.pad(x, pads, value=self.value)


class ReferenceSeparable(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], same: bool = False) -> None:
        super().__init__()
        self.pad = TensorFlowSame(kernel, (1, 1)) if same else nn.Identity()
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(self.pad(x))))  # type: ignore[no-any-return]


def pool(kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(TensorFlowSame(kernel, stride, -math.inf), nn.MaxPool2d(kernel, stride))


class ReferenceSimple(nn.Module):
    """Simple on mel: strides 2 ("same") and 1 ("valid"), separable layers "valid"."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.pad = TensorFlowSame((3, 3), (2, 2))
        self.first = nn.Conv2d(1, 8, 3, 2, bias=False)
        self.first_norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, bias=False)
        self.second_norm = nn.BatchNorm2d(16)
        widths = [16, 32, 64, 128, 256, 512, 1024]
        self.separable = nn.ModuleList(ReferenceSeparable(widths[i], widths[i + 1], (3, 3)) for i in range(6))
        self.pool = pool((3, 3), (2, 2))
        self.classifier = nn.Linear(1024, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first_norm(self.first(self.pad(x))))
        x = torch.relu(self.second_norm(self.second(x)))
        for i, layer in enumerate(self.separable):
            x = layer(x)
            x = torch.relu(self.pool(x) if i in (1, 2, 3, 4) else x)
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


class ReferenceTime(nn.Module):
    """Time on a spectrogram of ``freq_bins`` x ``frames``."""

    divisors = (4, 8, 16, 32, 64, 96)

    def __init__(self, freq_bins: int, frames: int, outputs: int) -> None:
        super().__init__()
        kernels = [(1, frames // d) for d in self.divisors]
        self.pads = nn.ModuleList(TensorFlowSame(k, (1, 2)) for k in kernels)
        self.long = nn.ModuleList(nn.Conv2d(1, 2, k, (1, 2), bias=False) for k in kernels)
        self._rest((1, 9), (2, 1), (math.ceil(freq_bins / 8), 1), outputs)

    def _rest(self, kernel: tuple[int, int], stride: tuple[int, int], last: tuple[int, int], outputs: int) -> None:
        self.long_norm = nn.BatchNorm2d(12)
        widths = [12, 16, 32, 64, 128]
        self.separable = nn.ModuleList(ReferenceSeparable(widths[i], widths[i + 1], kernel) for i in range(4))
        self.pool = pool(stride, stride)
        self.flatten = ReferenceSeparable(128, 256, last)
        self.classifier = nn.Linear(256, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([layer(pad(x)) for pad, layer in zip(self.pads, self.long, strict=True)], dim=1)
        x = torch.relu(self.long_norm(x))
        for i, layer in enumerate(self.separable):
            x = layer(x)
            x = torch.relu(self.pool(x) if i < 3 else x)
        x = torch.relu(self.flatten(x))
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]


class ReferenceFreq(ReferenceTime):
    """Freq on mel, written out as it stands, not as a transpose."""

    divisors = (6, 8, 12, 24, 32, 64)

    def __init__(self, freq_bins: int, frames: int, outputs: int) -> None:
        nn.Module.__init__(self)
        kernels = [(freq_bins // d, 1) for d in self.divisors]
        self.pads = nn.ModuleList(TensorFlowSame(k, (2, 1)) for k in kernels)
        self.long = nn.ModuleList(nn.Conv2d(1, 2, k, (2, 1), bias=False) for k in kernels)
        self._rest((9, 1), (1, 2), (1, math.ceil(frames / 8)), outputs)


def reference(name: str, freq_bins: int, frames: int, outputs: int) -> nn.Module:
    """The reference of a model by its registered name."""
    if name == "simple":
        return ReferenceSimple(outputs)
    return {"time": ReferenceTime, "freq": ReferenceFreq}[name](freq_bins, frames, outputs)
