"""The same definitions on batches with torch, for a GPU: batched transforms and matrix products.

Clips of different lengths share a batch: each is padded with zeros, which a centred analysis does anyway, and frames
beyond a clip's own end are ignored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch

from tonearm.audio.decode import Layout
from tonearm.core.errors import ConfigError
from tonearm.core.precision import float32_products
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.base import Representation
from tonearm.features.computed import ComputedClip, check_fits, total_and_kept_frames
from tonearm.features.constant_q import lower_rate, octaves
from tonearm.features.definition import AMIN_POWER, TOP_DB, ConstantQ, ContrastBands, Definition, MelBands, Spectrum
from tonearm.features.derived import analysed, derived_clips
from tonearm.features.filters import halving_filter
from tonearm.features.spectral import window

FRAMED_SAMPLES = 2**26  # at most so many samples are laid out in frames at once: 256 MiB


def extract_batch(
    clips: Sequence[Mapping[Layout, Waveform]], features: Sequence[Representation], device: str = "cuda"
) -> list[list[ComputedClip]]:
    """Compute representations of many clips at once.

    Parameters
    ----------
    clips
        Of each the waveform in every layout that the representations need.
    features
        What to compute of each; what several need is made once.
    device
        Of torch: ``"cuda"``, ``"cuda:1"``, ``"cpu"``.

    Returns
    -------
    list
        For each clip what :func:`tonearm.features.engine.compute` gives, within 0.02 dB (``cqt`` 0.05).

    Raises
    ------
    ConfigError
        If there is no such device.
    AudioError
        If a waveform does not fit a representation.
    """
    place = _device(device)
    for clip in clips:
        for config in map(analysed, features):
            check_fits(clip[config.layout], config)
    if not clips or not features:
        return [[] for _ in clips]
    found: list[list[ComputedClip | None]] = [[None] * len(features) for _ in clips]
    by_layout: dict[Layout, list[int]] = defaultdict(list)
    for i, config in enumerate(features):
        by_layout[config.layout].append(i)
    with torch.inference_mode(), float32_products():  # TF32 would cost some tenths of a decibel
        for layout, indices in by_layout.items():
            batch = _Batch([clip[layout] for clip in clips], place)
            own = dict.fromkeys(analysed(features[i]) for i in indices)
            computed = {config: batch.compute(config) for config in own}
            for i in indices:
                for row, made in zip(found, derived_clips(features[i], computed, device), strict=True):
                    row[i] = made
    return [[c for c in row if c is not None] for row in found]


def _device(name: str) -> torch.device:
    try:
        place = torch.device(name)
        if place.type == "meta":
            raise RuntimeError("it only knows shapes")
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} computes no representations here ({str(error).splitlines()[0]}): use 'cpu' or a GPU "
            "that torch.cuda.is_available() finds"
        ) from None
    return place


class _Batch:
    """Clips of one layout, and the transforms that were made of them."""

    def __init__(self, waveforms: Sequence[Waveform], device: torch.device) -> None:
        self._arrays = [w.samples for w in waveforms]
        self.lengths = [samples.shape[1] for samples in self._arrays]
        self.samples = _pad(self._arrays).to(device)
        self._kept: dict[Hashable, torch.Tensor] = {}

    def compute(self, config: Representation) -> list[ComputedClip]:
        """One representation of every clip."""
        definition = config.definition()
        counts = [total_and_kept_frames(n, config) for n in self.lengths]
        used = [total if definition.scale == "power_db_all" else kept for total, kept in counts]
        values = self._power(definition)[..., : max(used)]
        if min(used) < max(used):  # frames beyond a clip's end must not count in its maximum
            beyond = torch.arange(max(used), device=values.device) >= torch.tensor(used, device=values.device)[:, None]
            values = values.masked_fill(beyond[:, None, None], 0.0)
        if definition.scale in ("power_db", "power_db_all"):
            values = _to_db(values)
        elif definition.scale == "amplitude":
            values = values.sqrt()
        if definition.contrast:
            values = _contrast(values, definition.contrast)
        if definition.projection:
            values = torch.matmul(torch.from_numpy(definition.projection.matrix()).to(values.device), values)
        if definition.peak_normalised:
            highest = values.amax(dim=2, keepdim=True)
            values = values / torch.where(highest < torch.finfo(torch.float32).tiny, 1.0, highest)
        out = []
        for clip, (_, kept) in zip(values.cpu().numpy(), counts, strict=True):
            whole: FloatArray = (clip[0] if clip.shape[0] == 1 else clip)[..., :kept]
            out.append(ComputedClip(whole[..., : definition.rows, :] if definition.rows else whole, whole))
        return out

    def _power(self, definition: Definition) -> torch.Tensor:
        if definition.analysis is None:
            return self.samples[:, :, None]
        key = (definition.analysis, definition.bands)
        if key not in self._kept:
            self._kept[key] = self._transform(definition.analysis, definition.bands)
        return self._kept[key]

    def _transform(self, analysis: Spectrum | ConstantQ, bands: MelBands | None) -> torch.Tensor:
        if isinstance(analysis, ConstantQ):
            return self._constant_q(analysis)
        if bands is None:
            return _fourier_power(self.samples, analysis)
        whole = self._kept.setdefault((analysis, None), _fourier_power(self.samples, analysis))
        return torch.matmul(torch.from_numpy(bands.matrix()).to(whole.device), whole)

    def _constant_q(self, analysis: ConstantQ) -> torch.Tensor:
        frames = 1 + self.samples.shape[2] // analysis.hop
        early = octaves(analysis)[0].decimation
        if early == 1:
            return _constant_q_power(self.samples, self.lengths, analysis, frames)
        # Of low transforms alone. soxr's filters for more than halving change with the place, so soxr does it itself.
        lowered = [np.stack([lower_rate(c, early) for c in clip]) for clip in self._arrays]
        samples = _pad(lowered).to(self.samples.device)
        return _constant_q_power(samples, [clip.shape[1] for clip in lowered], analysis, frames)


def _pad(clips: Sequence[FloatArray]) -> torch.Tensor:
    """Clips (planes, samples) of different lengths as one tensor (clips, planes, samples), zeros behind their ends."""
    padded = np.zeros((len(clips), clips[0].shape[0], max(c.shape[1] for c in clips)), dtype=np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[:, : clip.shape[1]] = clip
    return torch.from_numpy(padded)


def _fourier_power(samples: torch.Tensor, analysis: Spectrum) -> torch.Tensor:
    hann = torch.from_numpy(window(analysis)).to(samples.device)
    spectra = torch.stft(
        samples.flatten(0, 1).to(hann.dtype),
        analysis.n_fft,
        analysis.hop,
        window=hann,
        pad_mode="constant",
        return_complex=True,
    )
    power: torch.Tensor = (spectra.real.square() + spectra.imag.square()).float()
    return power.view(*samples.shape[:2], *power.shape[1:])


def _to_db(power: torch.Tensor) -> torch.Tensor:
    """:func:`tonearm.features.spectral.power_to_db` of (clips, planes, rows, frames), each clip with its own floor."""
    db = 10 * power.clamp(min=AMIN_POWER).log10()
    return torch.maximum(db, db.amax(dim=(1, 2, 3), keepdim=True) - TOP_DB)


def _contrast(amplitude: torch.Tensor, bands: ContrastBands) -> torch.Tensor:
    """:func:`tonearm.features.spectral.contrast_db` of (clips, planes, 1 + n_fft // 2, frames), each with its floor."""

    def of(largest: bool) -> torch.Tensor:
        means = [amplitude[:, :, bins].topk(n, 2, largest, sorted=False).values.mean(2) for bins, n in bands.slices()]
        return _to_db(torch.stack(means, dim=2))

    return of(largest=True) - of(largest=False)


def _constant_q_power(samples: torch.Tensor, lengths: Sequence[int], analysis: ConstantQ, frames: int) -> torch.Tensor:
    """Power (clips, planes, n_bins, frames); the definition of :mod:`tonearm.features.constant_q`, with its kernels."""
    clips, planes, length = samples.shape
    flat = samples.reshape(clips * planes, length)
    ends = torch.tensor(lengths, device=samples.device).repeat_interleave(planes)[:, None]
    out = torch.empty((clips * planes, analysis.n_bins, frames), device=samples.device)
    for i, octave in enumerate(octaves(analysis)):
        if i and octave.decimation == 2:  # the first octave's was done before
            ends = (ends + 1) // 2
            flat = _halve_rate(flat)
            # A clip that is alone ends here; padded, the filter would ring on.
            flat = flat.masked_fill(torch.arange(flat.shape[1], device=flat.device) >= ends, 0.0)
        kernel = torch.from_numpy(octave.kernel).to(flat.device)
        n_fft, width = kernel.shape[0], kernel.shape[1] // 2
        needed = (frames - 1) * octave.hop + n_fft
        after = max(n_fft // 2, needed - flat.shape[1] - n_fft // 2)
        framed = torch.nn.functional.pad(flat, (n_fft // 2, after)).unfold(1, n_fft, octave.hop)
        block = max(1, FRAMED_SAMPLES // (n_fft * len(flat)))
        for start in range(0, frames, block):
            parts = framed[:, start : min(frames, start + block)].matmul(kernel).square()
            power = parts[..., :width] + parts[..., width:]
            out[:, octave.bins, start : start + block] = power.transpose(1, 2)
    return out.reshape(clips, planes, analysis.n_bins, frames)


def _halve_rate(samples: torch.Tensor) -> torch.Tensor:
    """:func:`tonearm.features.constant_q.lower_rate` by two, of a batch (rows, samples)."""
    taps = halving_filter()  # symmetric
    kernel = torch.from_numpy(taps).to(samples.device)
    padded = torch.nn.functional.pad(samples, (len(taps) // 2, len(taps) // 2))
    return torch.nn.functional.conv1d(padded[:, None], kernel[None, None], stride=2)[:, 0]
