"""The one feature engine: extraction, training and serving all compute representations here."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.base import Representation


def resolve(feature: str | Representation) -> Representation:
    """A representation's config from its name or from itself.

    Raises
    ------
    UnknownNameError
        For a name that is none, with the known ones.
    """
    return feature if isinstance(feature, Representation) else Representation.registry[feature]()


def extract(waveform: Waveform, features: Sequence[str | Representation], device: str = "cpu") -> dict[str, FloatArray]:
    """Compute representations of one waveform.

    Parameters
    ----------
    waveform
        Mono, at the sample rate of the representations.
    features
        Names (``"mel"``) or configs; a config's key in the answer is its ``store_name()``, a name's is the name.
    device
        ``"cpu"``.

    Returns
    -------
    dict
        To float32 arrays of shape (freq_bins, frames), in decibels, not normalised.

    Raises
    ------
    AudioError
        ``not_mono`` or ``wrong_rate`` if the waveform does not fit the representation.
    """
    if device != "cpu":
        raise ConfigError(f"device {device!r} computes no representations: use 'cpu'")
    out = {}
    for feature in features:
        config = resolve(feature)
        if waveform.samples.shape[0] != 1:
            raise AudioError("not_mono", f"{waveform.samples.shape[0]} channels, {config.kind} takes one")
        if waveform.sample_rate != config.sample_rate:
            raise AudioError("wrong_rate", f"{waveform.sample_rate} Hz, {config.kind} takes {config.sample_rate} Hz")
        out[feature if isinstance(feature, str) else config.store_name()] = config.compute(waveform)
    return out
