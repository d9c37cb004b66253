"""Descriptors of a recording: tempo, key, loudness, brightness. They explain and filter recommendations.

One Fourier transform of the mono signal at 22 050 Hz gives tempo, onsets, key and brightness; loudness is measured on
the channels as they are (``loudness``). What cannot be measured is None.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tonearm.audio.checks import SILENCE_PEAK, check_samples
from tonearm.core.errors import AudioError
from tonearm.core.types import FloatArray, Waveform
from tonearm.features.definition import MelBands, Spectrum
from tonearm.features.loudness import measure_loudness
from tonearm.features.onsets import HOP, RATE, onset_strength, pick_onsets
from tonearm.features.spectral import fourier_power
from tonearm.features.tempo import measure_tempo

Floats = npt.NDArray[np.float64]
Mode = Literal["major", "minor"]

LOWEST_SAMPLE_RATE = 8_000  # Hz
SHORTEST_SECONDS = 0.4  # one block of the loudness measurement
N_FFT = 2048
SPECTRUM = Spectrum(N_FFT, N_FFT, HOP)
MEL = MelBands(RATE, N_FFT, 128, 0.0, RATE / 2)  # what librosa's onset strength is made of
FRAMES_AT_ONCE = 256  # 1 MiB of power stays in the cache
LOWEST_BIN = 2  # 21.5 Hz; the window spreads a constant offset over the bins below

PITCH_BINS = slice(9, 465)  # 97..4995 Hz: below, the notes of a chord share a peak; above are only overtones
PEAK_RANGE = math.log(1e-3)  # 30 dB: more would take the window's side lobes, at -31 dB, for partials
LEAST_PITCH, FEWEST_PITCHES = 0.01, 3  # above a hundredth of the strongest; a lone tone or fifth has no mode
LEAST_PITCHEDNESS = 0.1  # how far the peaks agree on one tuning, 0..1: noise 0.01-0.05, a piano 0.8

FIRST_ONSET = 5  # frame: before it, the rise is that from the zeros the analysis puts before the recording (46 ms)
LEAST_ONSET = 1.0  # dB, mean of all bands, above the median: noise fluctuates by 0.8, the softest music by 1.04

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
#: How often each degree sounds in the Kostka-Payne corpus: D. Temperley, Music and Probability, MIT Press, 2007.
#: For 36 rendered Bach chorales it gave 25 keys as written (6 more: the relative key), Krumhansl and Kessler's 18.
KEY_PROFILES: dict[Mode, tuple[float, ...]] = {
    "major": (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
    "minor": (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
}


@dataclass(frozen=True)
class Descriptors:
    """Attributes of a recording that people understand. None is what could not be measured; no value is NaN.

    Attributes
    ----------
    tempo
        Beats a minute, 30..320 by librosa's estimator, which prefers tempi near 120: very slow and very fast music is
        often given at twice or half its tempo. None without a regular pulse, or for fewer than three beats.
    key
        The tonic: C, C#, D, D#, E, F, F#, G, G#, A, A# or B. None where fewer than three pitches sound, or where noise
        or drums cover them.
    mode
        ``"major"`` or ``"minor"``; None where there is no key.
    key_strength
        Correlation of the pitch classes with that key's profile, -1..1; below about 0.6 the key is a guess.
    loudness
        Integrated, LUFS (ITU-R BS.1770-4), -70 to about 0; of mono as one channel.
    energy
        Root mean square of all samples, 0..1 of full scale (above 1 only if the samples are).
    brightness
        Spectral centroid, Hz, 21..11 025: the median over frames, weighted by their amplitude.
    dynamic_range
        Loudness range (EBU Tech 3342), LU, >= 0; None for less than 6 s.
    onset_rate
        Onsets a second, >= 0; 0 for silence, a steady tone and steady noise.
    no_tempo
        Why there is no tempo; "" where there is one. It is not stored.
    """

    tempo: float | None
    key: str | None
    mode: Mode | None
    key_strength: float | None
    loudness: float | None
    energy: float
    brightness: float | None
    dynamic_range: float | None
    onset_rate: float
    no_tempo: str = dataclasses.field(default="", compare=False)

    def to_dict(self) -> dict[str, float | str | None]:
        """The values by name, as JSON types."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "no_tempo"}


@dataclass(frozen=True)
class DescriptorRange:
    """Unit and usual range of a descriptor: what a slider shows."""

    unit: str
    low: float
    high: float


DESCRIPTORS: dict[str, DescriptorRange] = {
    "tempo": DescriptorRange("BPM", 40.0, 220.0),
    "key_strength": DescriptorRange("correlation", 0.0, 1.0),
    "loudness": DescriptorRange("LUFS", -40.0, -5.0),
    "energy": DescriptorRange("of full scale", 0.0, 0.5),
    "brightness": DescriptorRange("Hz", 200.0, 5000.0),
    "dynamic_range": DescriptorRange("LU", 0.0, 25.0),
    "onset_rate": DescriptorRange("onsets/s", 0.0, 10.0),
}
"""The numeric descriptors; values outside a range occur and are no errors."""


def describe_music(waveform: Waveform, as_recorded: Waveform | None = None) -> Descriptors:
    """Measure all descriptors.

    Parameters
    ----------
    waveform
        One or two channels, 8 kHz or more, 0.4 s or more. Tempo, key, brightness and onsets are those of the
        channels' mean. Silence is no error.
    as_recorded
        The same music with all its channels and at 44.1 kHz or so, for the loudness: a mean of channels at a lower
        rate is 3 to 6 LU softer. None: the waveform's own.

    Raises
    ------
    AudioError
        ``wrong_type``, ``too_many_channels``, ``low_sample_rate``, ``too_short``, ``not_finite``, ``too_loud``.
    """
    _check(waveform)
    samples = waveform.samples
    energy = math.sqrt(float(np.einsum("ct,ct->", samples, samples, dtype=np.float64)) / samples.size)
    loudness = measure_loudness(waveform if as_recorded is None else as_recorded)
    mono = _mono(waveform)
    if float(np.ptp(mono)) / 2 < SILENCE_PEAK:
        return Descriptors(
            tempo=None, key=None, mode=None, key_strength=None, loudness=loudness.integrated, energy=energy,
            brightness=None, dynamic_range=loudness.range, onset_rate=0.0, no_tempo="silence",
        )  # fmt: skip
    frames = _analyse(mono)
    strength = onset_strength(frames.mel)
    strength[:FIRST_ONSET] = 0
    if strength.max() - np.median(strength) < LEAST_ONSET:
        strength = np.zeros_like(strength)
    key, mode, key_strength = _key(frames.partials)
    tempo, no_tempo = measure_tempo(strength, waveform.duration)
    return Descriptors(
        tempo=tempo, no_tempo=no_tempo, key=key, mode=mode, key_strength=key_strength,
        loudness=loudness.integrated, energy=energy, brightness=_brightness(frames),
        dynamic_range=loudness.range, onset_rate=len(pick_onsets(strength)) / waveform.duration,
    )  # fmt: skip


def _check(waveform: Waveform) -> None:
    samples, rate = waveform.samples, waveform.sample_rate
    if samples.ndim == 2 and not 1 <= len(samples) <= 2:
        raise AudioError("too_many_channels", f"{len(samples)} channels: give one or two")
    if rate < LOWEST_SAMPLE_RATE:
        raise AudioError("low_sample_rate", f"{rate} Hz, at least {LOWEST_SAMPLE_RATE} Hz are needed")
    check_samples(waveform, SHORTEST_SECONDS)


def _mono(waveform: Waveform) -> FloatArray:
    """The channels' mean at 22 050 Hz, float32 of shape (samples,)."""
    mono: FloatArray = waveform.samples.mean(axis=0) if len(waveform.samples) > 1 else waveform.samples[0]
    if waveform.sample_rate != RATE:
        import soxr

        mono = soxr.resample(mono, waveform.sample_rate, RATE, quality="HQ")
    return mono


class _Frames(NamedTuple):
    mel: FloatArray  # power, (128, frames)
    level: FloatArray  # root of the power, (frames,)
    centroid: FloatArray  # Hz, (frames,)
    partials: tuple[FloatArray, FloatArray]  # the spectral peaks of all frames: Hz, magnitude


def _analyse(mono: FloatArray) -> _Frames:
    """Reduce the spectrogram block by block, so that it is never held whole."""
    count, margin = 1 + len(mono) // HOP, N_FFT // 2 // HOP
    frequencies = np.arange(LOWEST_BIN, 1 + N_FFT // 2, dtype=np.float32) * np.float32(RATE / N_FFT)
    mel, level, centroid, partials = [], [], [], []
    for first in range(0, count, FRAMES_AT_ONCE):
        last = min(first + FRAMES_AT_ONCE, count)
        start = max(0, first - margin)  # the analysis pads with zeros: frames that reach them are computed and dropped
        powers = fourier_power(mono[start * HOP : (last + margin) * HOP], SPECTRUM, last - start, {None, MEL})
        power, bands = powers[None][:, first - start :], powers[MEL][:, first - start :]
        magnitude = np.sqrt(power[LOWEST_BIN:])
        total = magnitude.sum(axis=0)
        mel.append(bands)
        level.append(np.sqrt(power[LOWEST_BIN:].sum(axis=0)))
        centroid.append(frequencies @ magnitude / np.maximum(total, np.finfo(np.float32).tiny))
        partials.append(_peaks(power))
    found, heights = zip(*partials, strict=True)
    return _Frames(
        np.concatenate(mel, axis=1), np.concatenate(level), np.concatenate(centroid),
        (np.concatenate(found), np.concatenate(heights)),
    )  # fmt: skip


def _peaks(power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Frequency in Hz and magnitude of each frame's spectral peaks, interpolated by a parabola through log power."""
    log_power = np.log(np.maximum(power[PITCH_BINS], np.finfo(np.float32).tiny))
    inner, below, above = log_power[1:-1], log_power[:-2], log_power[2:]
    bins, frames = np.nonzero((inner > below) & (inner >= above) & (inner > inner.max(axis=0) + PEAK_RANGE))
    left, peak, right = below[bins, frames], inner[bins, frames], above[bins, frames]
    shift = (left - right) / (2 * (left - 2 * peak + right))
    frequency = (bins + (PITCH_BINS.start + 1) + shift) * (RATE / N_FFT)
    return frequency.astype(np.float32), np.exp((peak - (left - right) * shift / 4) / 2)


def _key(partials: tuple[FloatArray, FloatArray]) -> tuple[str | None, Mode | None, float | None]:
    """Tonic, mode and correlation. Pitch classes of spectral peaks (after Gómez, 2006), as tuned."""
    frequencies, magnitudes = partials
    semitones = 12 * np.log2(frequencies / 440.0) + 9  # from C
    # The mean angle of the deviations from equal temperament is the tuning, found without a search.
    direction = complex(np.sum(magnitudes * np.exp(2j * np.pi * semitones)))
    if abs(direction) <= LEAST_PITCHEDNESS * float(magnitudes.sum()):
        return None, None, None
    tuning = float(np.angle(direction)) / (2 * math.pi)
    nearest = np.round(semitones - tuning)
    weights = magnitudes * np.cos(np.pi * (semitones - tuning - nearest)) ** 2
    chroma = np.bincount(nearest.astype(np.int64) % 12, weights, minlength=12)
    if (chroma > LEAST_PITCH * chroma.max()).sum() < FEWEST_PITCHES:
        return None, None, None
    strengths = {
        (tonic, mode): float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1])
        for mode, profile in KEY_PROFILES.items()
        for tonic in range(12)
    }
    tonic, mode = max(strengths, key=strengths.__getitem__)
    return PITCH_CLASSES[tonic], mode, strengths[tonic, mode]


def _brightness(frames: _Frames) -> float | None:
    order = np.argsort(frames.centroid, kind="stable")
    share = np.cumsum(frames.level[order], dtype=np.float64)  # silence has no level, so no weight
    if share[-1] == 0:
        return None
    return float(frames.centroid[order][np.searchsorted(share, share[-1] / 2)])
