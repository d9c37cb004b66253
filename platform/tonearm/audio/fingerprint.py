"""The same recording under two ids: audio fingerprints and the search for duplicates among them.

A recording that is encoded anew, louder, a little delayed or cut elsewhere keeps the signs of the differences of energy
between neighbouring bands and moments; another recording of the same piece does not. The method is that of J. Haitsma
and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002, with two changes that were measured on clips
of 348 game soundtracks, 23 of them changed in 14 ways:

- A hop of 46 ms, not 11.6 ms, costs a quarter of the time. Its worst misalignment, half a hop, alone flips 14 % of
  the bits where the difference is taken between neighbouring frames. Over :data:`LAG` frames it flips 10 %, and no
  other distortion that was tried flips more bits than before.
- Where the signal is digital silence there is no bit to compare; the paper does not treat it, but three recordings
  that end in silence matched each other by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from tonearm.core.errors import AudioError, ConfigError
from tonearm.core.types import FloatArray, Waveform

Fingerprint = npt.NDArray[np.uint32]
"""Sub-fingerprints of shape (frames,), :data:`FRAMES_PER_SECOND` of them a second; 0 where the signal is silent."""

RATE = 5512.5  # Hz, an eighth of 44.1 kHz: the bands end at 2 kHz
LOWEST_RATE = 8000  # Hz; below it the resampler's filter would touch the bands
WINDOW = 2048  # samples: 0.37 s, as in the paper
HOP = 256  # samples: 46 ms, an eighth of a window
LAG = 4  # frames (0.19 s) between the two energies that are compared
BANDS = 33  # between neighbours of them there are 32 differences, the bits of one sub-fingerprint
LOWEST, HIGHEST = 300.0, 2000.0  # Hz: the range of the bands, in the paper that of greatest relevance to hearing
FRAMES_PER_SECOND = RATE / HOP
SILENCE_RMS = 2.0**-15  # one step of 16-bit audio, -90 dBFS
BLOCK_FRAMES = 64  # transformed at once: they stay in the cache until they are summed to bands

#: The most bits that may differ between two of the same recording. The paper allows 0.35 for 3 s at a hop of 11.6 ms,
#: from the spread of unrelated fingerprints. Here unrelated clips differ in 0.40 at least (at the best of all offsets),
#: re-encoded ones in 0.19 at most (an MP3 of 16 kbit/s cut elsewhere); in between are a cover of a song (0.34) and
#: two arrangements that share their stems (0.27), which are other recordings. At 8 kbit/s half of the copies are lost.
MOST_ERRORS = 0.25
#: And at least so much of what sounds in the shorter one: two folk songs on one synthesised piano may share a phrase.
LEAST_SHARE = 0.5
LEAST_OVERLAP = 65  # frames that sound in both, 3 s: the length that the paper's threshold is derived for
#: A sub-fingerprint is paired with so many of the next equal ones. What is more common than that (a loop, a jingle, an
#: often copied track) is paired only with its neighbours in the index, so that the work grows linearly with it.
LINKS = 16


@dataclass(frozen=True)
class Match:
    """Two ids of the same recording.

    Attributes
    ----------
    first, second
        The ids; ``first < second``.
    error_rate
        The share of bits that differ over all the frames that sound in both, 0 to :data:`MOST_ERRORS`.
    offset_seconds
        Where ``second`` starts on the time axis of ``first``, to about 23 ms: positive if it is cut from a later place.
    """

    first: str
    second: str
    error_rate: float
    offset_seconds: float


def fingerprint(waveform: Waveform) -> Fingerprint:
    """The sub-fingerprints of a recording.

    Bit ``m`` of frame ``n``, the highest bit first, is 1 where ``E(n, m) - E(n, m+1) > E(n-LAG, m) - E(n-LAG, m+1)``,
    ``E`` being the energy of a band in a Hann window (Haitsma & Kalker 2002, equation 1).

    Parameters
    ----------
    waveform
        Samples (channels, samples) at 8000 Hz or more; of several channels the mean is taken. Samples that are not
        finite count as silence (``check_waveform`` refuses them).

    Returns
    -------
    numpy.ndarray
        uint32 of shape (frames,), 21.5 a second; 0 where one of the two windows is silent (below -90 dBFS in the
        bands), which no comparison counts. Empty where the audio is shorter than 0.56 s.

    Raises
    ------
    AudioError
        ``wrong_type`` (not (channels, samples)), ``low_rate``.
    """
    samples = waveform.samples
    if samples.ndim != 2 or samples.shape[0] == 0:
        raise AudioError("wrong_type", f"samples of shape {samples.shape}, not (channels, samples)")
    if waveform.sample_rate < LOWEST_RATE:
        raise AudioError("low_rate", f"{waveform.sample_rate} Hz: a fingerprint needs at least {LOWEST_RATE} Hz")
    energy = _band_energy(_resample(samples, waveform.sample_rate))
    if len(energy) <= LAG:
        return np.empty(0, dtype=np.uint32)
    difference = energy[:, :-1] - energy[:, 1:]
    packed = np.packbits(difference[LAG:] > difference[:-LAG], axis=1)
    # One-sided power of a windowed signal: WINDOW / 2 * sum(hann**2) * rms**2, where the sum is 3/8 of WINDOW.
    total = energy.sum(axis=1)
    sounds = np.isfinite(total) & (total > 3 / 16 * WINDOW**2 * SILENCE_RMS**2)
    values: Fingerprint = packed.view(">u4")[:, 0].astype(np.uint32)
    values[~(sounds[LAG:] & sounds[:-LAG])] = 0
    return values


def find_duplicates(fingerprints: Mapping[str, Fingerprint]) -> list[Match]:
    """All pairs of ids that are the same recording, wherever they overlap.

    An index of equal sub-fingerprints proposes pairs and offsets; a pair is a match if at the best of its offsets the
    bits differ in no more than :data:`MOST_ERRORS` over the whole overlap, silence apart, and that is 3 s or more. It
    needs about 30 bytes a sub-fingerprint.

    Parameters
    ----------
    fingerprints
        What :func:`fingerprint` gave, by id.

    Returns
    -------
    list of Match
        Sorted by the ids, each pair once. Of a recording with more than ``LINKS + 1`` copies not every pair need be
        listed; :func:`duplicate_groups` connects them.

    Raises
    ------
    ConfigError
        A value that is no fingerprint.
    """
    for name, values in fingerprints.items():
        if values.dtype != np.uint32 or values.ndim != 1:
            raise ConfigError(
                f"{name!r} has {values.dtype} of shape {values.shape} for a fingerprint: pass the uint32 values of "
                "shape (frames,) that tonearm.audio.fingerprint.fingerprint returns"
            )
    names = sorted(fingerprints)
    tracks = [fingerprints[name] for name in names]
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for first, second, offset in _candidates(tracks):
        rate = _error_rate(tracks[first], tracks[second], offset)
        if rate <= MOST_ERRORS:
            found = (rate, abs(offset), offset)  # of equal rates (a loop) the one with the longest overlap
            best[first, second] = min(best.get((first, second), found), found)
    return [
        Match(names[first], names[second], rate, offset / FRAMES_PER_SECOND)
        for (first, second), (rate, _, offset) in sorted(best.items())
    ]


def duplicate_groups(matches: Iterable[Match]) -> list[tuple[str, ...]]:
    """Ids that are connected by matches: each group sorted, and the groups by their first id."""
    groups: dict[str, set[str]] = {}
    for match in matches:
        merged = groups.get(match.first, {match.first}) | groups.get(match.second, {match.second})
        groups.update(dict.fromkeys(merged, merged))
    return sorted({tuple(sorted(group)) for group in groups.values()})


def _resample(samples: FloatArray, sample_rate: int) -> FloatArray:
    """The mean of the channels at :data:`RATE`, (samples,)."""
    import soxr

    mono: FloatArray = samples[0] if len(samples) == 1 else samples.mean(axis=0)
    if len(mono) == 0:
        return mono
    resampled: FloatArray = soxr.resample(np.ascontiguousarray(mono, np.float32), sample_rate, RATE, quality="LQ")
    return resampled


def _band_energy(samples: FloatArray) -> FloatArray:
    """Energy of the bands, (frames, BANDS)."""
    if len(samples) < WINDOW:
        return np.empty((0, BANDS), dtype=np.float32)
    frames = sliding_window_view(samples, WINDOW)[::HOP]
    window, edges = _window(), _band_edges()
    energy = np.empty((len(frames), BANDS), dtype=np.float32)
    for start in range(0, len(frames), BLOCK_FRAMES):
        spectrum = scipy.fft.rfft(frames[start : start + BLOCK_FRAMES] * window)
        parts = spectrum.view(np.float32)[:, 2 * edges[0] : 2 * edges[-1]]  # real and imaginary parts in turn
        energy[start : start + BLOCK_FRAMES] = np.add.reduceat(parts * parts, 2 * (edges[:-1] - edges[0]), axis=1)
    return energy


@cache
def _window() -> FloatArray:
    window: FloatArray = np.hanning(WINDOW).astype(np.float32)
    return window


@cache
def _band_edges() -> npt.NDArray[np.intp]:
    """The bins where the bands start, and the one after the last: equal ratios of frequency, (BANDS + 1,)."""
    return np.round(np.geomspace(LOWEST, HIGHEST, BANDS + 1) * WINDOW / RATE).astype(np.intp)


def _candidates(tracks: list[Fingerprint]) -> list[tuple[int, int, int]]:
    """(first track, second track, offset in frames) at which some sub-fingerprint of both is equal, sorted."""
    starts = np.cumsum([0, *(len(track) for track in tracks)])
    if starts[-1] == 0:
        return []
    index = np.concatenate(tracks).astype(np.uint64)
    used = index != 0
    used[1:] &= index[1:] != index[:-1]  # of a sustained sound the first frame is enough
    index <<= np.uint64(32)
    index |= np.arange(len(index), dtype=np.uint64)
    index = index[used]
    index.sort()
    values, places = (index >> np.uint64(32)).astype(np.uint32), (index & np.uint64(2**32 - 1)).astype(np.uint32)
    span = 2 * max(len(track) for track in tracks)  # of the offsets, so that a candidate is one number: fast to sort
    found = []
    for step in range(1, min(LINKS + 1, len(values))):
        equal = np.flatnonzero(values[step:] == values[:-step])
        if len(equal) == 0:
            break
        here, there = places[equal].astype(np.int64), places[equal + step].astype(np.int64)
        first, second = (np.searchsorted(starts, place, side="right") - 1 for place in (here, there))
        offset = (here - starts[first]) - (there - starts[second])
        packed = (first * len(tracks) + second) * span + offset + span // 2
        found.append(np.unique(packed[first != second]))
    if not found:
        return []
    pairs, offsets = np.divmod(np.unique(np.concatenate(found)), span)
    firsts, seconds = np.divmod(pairs, len(tracks))
    return list(zip(firsts.tolist(), seconds.tolist(), (offsets - span // 2).tolist(), strict=True))


def _error_rate(first: Fingerprint, second: Fingerprint, offset: int) -> float:
    """The share of bits that differ where ``second`` starts ``offset`` frames into ``first``; 1 without an overlap."""
    shortest = min(np.count_nonzero(first), np.count_nonzero(second))
    first, second = first[max(0, offset) :], second[max(0, -offset) :]
    frames = min(len(first), len(second))
    first, second = first[:frames], second[:frames]
    sound = (first != 0) & (second != 0)
    count = int(np.count_nonzero(sound))
    if count < max(LEAST_OVERLAP, LEAST_SHARE * shortest):
        return 1.0
    return float(np.bitwise_count((first ^ second)[sound]).sum(dtype=np.int64)) / (32 * count)
