"""The one feature engine: extraction, training and serving all compute representations here.

Any set of representations goes through in one pass: a transform that several need is made once, and so are its bands
and its decibels.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from tonearm.audio.checks import check_samples
from tonearm.audio.decode import Layout
from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.base import Representation
from tonearm.features.computed import ComputedClip, check_fits, total_and_kept_frames
from tonearm.features.constant_q import constant_q_power
from tonearm.features.definition import ConstantQ, Definition, MelBands, Spectrum
from tonearm.features.derived import Found, analysed, derived_clips
from tonearm.features.presets import as_representation, cut_problem, display_name
from tonearm.features.spectral import contrast_db, fourier_power, power_to_db

logger = logging.getLogger(__name__)

INTEGER_SCALE = 100.0  # times full scale: no float samples of music, but integers that were only cast


class ExtractedFeatures(dict[str, FloatArray]):
    """Arrays by the name of their representation; the config is understood as its name, and so is its store's name.

    Attributes
    ----------
    configs
        The representations, by the same names.
    """

    def __init__(self, configs: Mapping[str, Representation]) -> None:
        super().__init__()
        self.configs = dict(configs)

    def __missing__(self, key: object) -> FloatArray:
        if (name := self._name(key)) is None:
            raise KeyError(f"{key!r} was not extracted; extracted were {', '.join(self) or 'none'}")
        return self[name]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._name(key) is not None

    def get(self, key: Any, default: Any = None, /) -> Any:
        """What ``self[key]`` gives, or the default where that is an error."""
        try:
            return self[key]
        except KeyError:
            return default

    def _name(self, key: object) -> str | None:
        """The name under which a config or a store's name is found."""
        return next((name for name, config in self.configs.items() if key in (config, config.store_name())), None)


def extract(
    waveform: Waveform, features: str | Representation | Sequence[str | Representation], device: str = "cpu"
) -> ExtractedFeatures:
    """Compute representations of one waveform.

    Parameters
    ----------
    waveform
        At the sample rate of the representations, with their channels.
    features
        Names (``"mel"``) or configs, or a single one.
    device
        ``"cpu"``, or a torch device (``"cuda"``), where :func:`tonearm.features.batched.extract_batch` computes.

    Returns
    -------
    ExtractedFeatures
        A dict from names, as they were given, a config's as it would be typed (``"mel(n_mels=64)"``), to float32
        arrays of shape (freq_bins, frames), or (2, freq_bins, frames) for two planes; in decibels (chroma, mfcc and
        waveform as they are), not normalised. Each has its own memory. Where ``frames`` drops more of the waveform than
        an edge, that is logged, and so are samples that have the scale of integers.

    Raises
    ------
    AudioError
        ``wrong_channels``, ``wrong_rate`` or ``too_short`` if the waveform does not fit a representation;
        ``wrong_type``, ``not_finite`` or ``too_loud`` if its samples are no float32 of shape (channels, samples).
    ConfigError
        If it is no waveform, or a representation is none.
    """
    if not isinstance(waveform, Waveform):
        raise ConfigError(
            f"{type(waveform).__name__} is no waveform: pass decode(path), or Waveform(samples, rate) with float32 "
            "samples of shape (channels, samples)"
        )
    if np.ndim(waveform.samples) != 2 or np.size(waveform.samples):  # of none each representation says what it needs
        low, high = check_samples(waveform, 0.0)
        if (peak := float(max(-low.min(), high.max()))) > INTEGER_SCALE:
            logger.warning("samples reach %.0f times full scale: if they were integers, divide them by their maximum, "
                           "32768 of 16 bits", peak)  # fmt: skip
    single = isinstance(features, str) or not isinstance(features, Iterable)
    features = cast("list[str | Representation]", [features] if single else list(cast(Iterable[Any], features)))
    configs = [as_representation(f) for f in features]
    if device == "cpu":
        computed = compute(waveform, configs)
    else:
        from tonearm.features.batched import extract_batch

        for config in configs:
            check_fits(waveform, analysed(config))
        computed = extract_batch([{c.layout: waveform for c in configs}], configs, device)[0]
    names = [f if isinstance(f, str) else display_name(f) for f in features]
    for config in configs:
        if lost := cut_problem(config, waveform.duration):
            logger.warning("%s", lost)
    found = ExtractedFeatures(dict(zip(names, configs, strict=True)))
    for name, c in zip(names, computed, strict=True):
        shared = any(np.may_share_memory(c.values, other) for other in found.values())
        found[name] = c.values.copy() if shared else c.values
    return found


def compute(waveform: Waveform, features: Sequence[Representation]) -> list[ComputedClip]:
    """Compute representations of one waveform on the CPU, in their order; what several need is made once."""
    own = list(dict.fromkeys(analysed(config) for config in features))
    for config in own:
        check_fits(waveform, config)
    planes = [_ChannelTransforms(samples, own) for samples in waveform.samples]
    kept: dict[Hashable, FloatArray] = {}
    found: Found = {config: [_finish(config, planes, kept)] for config in own}
    return [derived_clips(config, found)[0] for config in features]


def compute_layouts(waveforms: Mapping[Layout, Waveform], features: Sequence[Representation]) -> list[ComputedClip]:
    """:func:`compute` for representations of several sample rates or channels, each from its layout's waveform."""
    by_layout: dict[Layout, list[int]] = defaultdict(list)
    for i, config in enumerate(features):
        by_layout[config.layout].append(i)
    found: dict[int, ComputedClip] = {}
    for layout, indices in by_layout.items():
        found |= zip(indices, compute(waveforms[layout], [features[i] for i in indices]), strict=True)
    return [found[i] for i in range(len(features))]


class _ChannelTransforms:
    """The transforms of one channel, each made once for all representations that need it."""

    def __init__(self, samples: FloatArray, features: Sequence[Representation]) -> None:
        self.samples = samples
        self._power: dict[Hashable, FloatArray] = {}
        self._uses: dict[Hashable, set[Hashable]] = defaultdict(set)
        fourier: dict[Spectrum, tuple[int, set[MelBands | None]]] = {}
        constant_q: dict[ConstantQ, int] = {}
        for config in features:
            definition = config.definition()
            total, kept = total_and_kept_frames(len(samples), config)
            frames = total if definition.scale == "power_db_all" else kept
            self._uses[definition.analysis, definition.bands].add((definition.scale, frames))
            if isinstance(definition.analysis, Spectrum):
                most, outputs = fourier.get(definition.analysis, (0, set()))
                fourier[definition.analysis] = (max(most, frames), outputs | {definition.bands})
            elif definition.analysis:
                constant_q[definition.analysis] = max(constant_q.get(definition.analysis, 0), frames)
        for spectrum, (frames, outputs) in fourier.items():
            for bands, power in fourier_power(samples, spectrum, frames, outputs).items():
                self._power[spectrum, bands] = power
        for analysis, frames in constant_q.items():
            self._power[analysis, None] = constant_q_power(samples, analysis, frames)

    def is_last_use(self, definition: Definition) -> bool:
        """Whether nothing else will be made of this power, so that it may be overwritten."""
        return len(self._uses[definition.analysis, definition.bands]) == 1

    def power(self, definition: Definition) -> FloatArray:
        """Power of shape (rows, frames), of at least as many frames as are used."""
        return self.samples[None] if definition.analysis is None else self._power[definition.analysis, definition.bands]


def _finish(
    config: Representation, planes: Sequence[_ChannelTransforms], kept: dict[Hashable, FloatArray]
) -> ComputedClip:
    definition = config.definition()
    total, frames = total_and_kept_frames(len(planes[0].samples), config)
    used = total if definition.scale == "power_db_all" else frames

    def once(key: Hashable, make: Callable[[], FloatArray]) -> FloatArray:
        return kept[key] if key in kept else kept.setdefault(key, make())

    def scaled() -> FloatArray:
        power = [plane.power(definition) for plane in planes]
        stacked = power[0][None] if len(power) == 1 else np.stack(power)
        if definition.scale == "amplitude":
            return np.sqrt(stacked[..., :used])
        if definition.scale == "none":
            return np.array(stacked[..., :used])
        return power_to_db(stacked, used, overwrite=planes[0].is_last_use(definition))

    scale: Any = "power_db" if definition.scale == "power_db_all" else definition.scale
    values = once((definition.analysis, definition.bands, scale, used), scaled)
    if definition.contrast:
        values = contrast_db(values, definition.contrast)
    if definition.projection:
        values = np.matmul(definition.projection.matrix(), values)
    values = values[:, :, :frames]
    if definition.peak_normalised:
        highest = values.max(axis=1, keepdims=True)
        highest[highest < np.finfo(np.float32).tiny] = 1
        values = values / highest
    whole = values[0] if len(planes) == 1 else values
    return ComputedClip(whole[..., : definition.rows, :] if definition.rows else whole, whole)
