"""musicnn (Pons and Serra 2019) as TorchScript, from the checkpoint in its package: a network for tagging music.

Of 3 s of the waveform at 16 kHz it makes a mel spectrogram (512 samples, 256 apart, 96 bands, log10(10000 x + 1)), over
which filters of the shapes of timbre (7 frames x 38 or 67 bands) and of rhythm (128, 64 or 32 frames) go. Three layers
follow, and pools over time: the greatest value and the mean of 753 features, and a dense layer of 200, the penultimate.
These three are kept, the tags are not.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from tonearm.core.errors import ConfigError
from tonearm.features.filters import mel_filters

RATE, N_FFT, HOP, BANDS = 16_000, 512, 256, 96
EPSILON = 1e-3  # of batch normalisation, TensorFlow's default
#: Of the first layers: filters, frames, bands. All hear 7 frames, or one band.
FRONT = ((204, 7, 38), (204, 7, 67), (51, 128, 1), (51, 64, 1), (51, 32, 1))
MIDDLE, PENULTIMATE = 64, 200
POOLED = sum(filters for filters, _, _ in FRONT) + 3 * MIDDLE  # features that are pooled over time

Tensors = Mapping[str, npt.NDArray[np.generic]]


class Normalised(nn.Module):
    """A convolution of (n, 1, frames, bands), frames padded; what is positive, normalised; of bands the greatest."""

    if TYPE_CHECKING:  # the scripting compiler reads annotations of a class
        kernel: Tensor
        bias: Tensor

    def __init__(self, tensors: Tensors, number: int) -> None:
        super().__init__()
        kernel = _tensor(tensors, _numbered("conv2d", number) + "/kernel").permute(3, 2, 0, 1).contiguous()
        frames = kernel.shape[2]
        self.before, self.after = (frames - 1) // 2, frames // 2
        self.register_buffer("kernel", kernel)
        self.register_buffer("bias", _tensor(tensors, _numbered("conv2d", number) + "/bias"))
        self.norm = Scaled(tensors, number + 1)

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (0, 0, self.before, self.after))
        found: Tensor = self.norm(functional.relu(functional.conv2d(padded, self.kernel, self.bias)))
        return found.amax(dim=3)


class Scaled(nn.Module):
    """Batch normalisation by what was kept, over the second axis."""

    if TYPE_CHECKING:  # the scripting compiler reads annotations of a class
        scale: Tensor
        shift: Tensor

    def __init__(self, tensors: Tensors, number: int) -> None:
        super().__init__()
        name = _numbered("batch_normalization", number)
        gamma, beta, mean, variance = (
            _tensor(tensors, f"{name}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / torch.sqrt(variance + EPSILON)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", beta - mean * scale)

    def forward(self, x: Tensor) -> Tensor:
        shape = [1, self.scale.shape[0]] + [1] * (x.dim() - 2)
        return x * self.scale.view(shape) + self.shift.view(shape)


class Musicnn(nn.Module):
    """From patches of the waveform (patches, samples) to the three pools.

    Parameters
    ----------
    tensors
        Of the checkpoint, by name.

    Raises
    ------
    ConfigError
        If they are not those of such a network.
    """

    if TYPE_CHECKING:  # the scripting compiler reads annotations of a class
        window: Tensor
        filters: Tensor
        dense: Tensor
        dense_bias: Tensor

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self.n_fft, self.hop = N_FFT, HOP
        self.register_buffer("window", torch.hann_window(N_FFT))
        self.register_buffer("filters", torch.from_numpy(mel_filters(RATE, N_FFT, BANDS, 0.0, RATE / 2)))
        self.norm = Scaled(tensors, 0)
        layers = [Normalised(tensors, number) for number in range(len(FRONT))]
        self.front = nn.ModuleList(layers)
        self.first, self.second, self.third = (Normalised(tensors, len(FRONT) + n) for n in range(3))
        self.pooled_norm = Scaled(tensors, len(FRONT) + 4)
        self.register_buffer("dense", _tensor(tensors, "dense/kernel"))
        self.register_buffer("dense_bias", _tensor(tensors, "dense/bias"))
        self.dense_norm = Scaled(tensors, len(FRONT) + 5)
        found = [(n, frames, bands) for n, _, frames, bands in (layer.kernel.shape for layer in layers)]
        if found != list(FRONT) or tuple(self.dense.shape) != (2 * POOLED, PENULTIMATE):
            raise ConfigError(f"the checkpoint is of another network: its first layers are {found}, not {list(FRONT)}")

    def spectrogram(self, x: Tensor) -> Tensor:
        """(patches, frames, bands) of (patches, samples); frames lie within the patch."""
        spectrum = torch.stft(x, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.matmul(self.filters, power).half().float()  # as it was trained: its mel bands are float16
        return torch.log10(10000 * mel + 1).transpose(1, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        image = self.norm(self.spectrogram(x)[:, None])
        front = torch.cat([layer(image) for layer in self.front], dim=1)
        first = self.first(_as_image(front))
        second = self.second(_as_image(first)) + first
        third = self.third(_as_image(second)) + second
        features = torch.cat([front, first, second, third], dim=1)
        greatest, mean = features.amax(dim=2), features.mean(dim=2)
        pooled = self.pooled_norm(torch.stack([greatest, mean], dim=2).flatten(1))
        dense = self.dense_norm(functional.relu(torch.matmul(pooled, self.dense) + self.dense_bias))
        return {"mean": mean, "max": greatest, "penultimate": dense}


def _as_image(x: Tensor) -> Tensor:
    """(n, 1, frames, features) of (n, features, frames): the next filters hear all features."""
    return x.transpose(1, 2)[:, None]


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _tensor(tensors: Tensors, name: str) -> Tensor:
    if name not in tensors:
        raise ConfigError(f"the checkpoint is of another network: it has no {name}")
    return torch.from_numpy(tensors[name].astype(np.float32))


def to_torchscript(network: nn.Module) -> bytes:
    """A network as a TorchScript file; the same network gives the same bytes, wherever this code lies."""
    saved, plain = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(network.eval()), saved)
    with zipfile.ZipFile(saved) as full, zipfile.ZipFile(plain, "w") as out:
        for name in full.namelist():
            if not name.endswith(".debug_pkl"):  # where each line of the code came from
                out.writestr(zipfile.ZipInfo(name), full.read(name))
    return plain.getvalue()
