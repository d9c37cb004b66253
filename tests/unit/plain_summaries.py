"""Plain references of the summaries: loops, as one would write them down."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tests.builders import RATE
from tonearm.features.patterns import (
    CorrelationPattern,
    DeltaSpectralPattern,
    FluctuationPattern,
    OnsetMoments,
    Periodicity,
    RiseVariance,
    SpectralPattern,
)
from tonearm.features.summaries import Changes, Correlations, Floats, Level, Moments, Profile, Summary

FRAME_RATE = RATE / 512


def plain_levels(x: Floats, bands: int) -> Floats:
    heard = np.maximum(x, x.max() - 80)
    each = len(x) // bands
    found = np.array([[heard[b * each : (b + 1) * each, t].mean() for t in range(x.shape[1])] for b in range(bands)])
    return found - found.mean()


def blocks_of(x: Floats, length: int, step: int) -> list[Floats]:
    return [x[:, s : s + length] for s in range(0, x.shape[1] - length + 1, step)]


def plain_spectral(x: Floats) -> Floats:
    return np.percentile([np.sort(b, axis=1) for b in blocks_of(plain_levels(x, 32), 10, 5)], 90, axis=0).ravel()


def plain_rises(x: Floats) -> list[Floats]:
    own = plain_levels(x, 32)
    rises = np.array([[max(0.0, row[t + 3] - row[t]) for t in range(len(row) - 3)] for row in own])
    return [-np.sort(-b, axis=1) for b in blocks_of(rises, 25, 5)]


def plain_fluctuation(x: Floats) -> Floats:
    frequencies, edges = np.arange(257) * FRAME_RATE / 512, np.geomspace(0.2, 20, 25)
    found = []
    for block in blocks_of(plain_levels(x, 32), 512, 128):
        amplitude = np.abs(np.fft.rfft(block - block.mean(axis=1, keepdims=True), axis=1)) / 256
        row = []
        for low, high in pairwise(edges.tolist()):
            inside = [i for i, f in enumerate(frequencies) if low <= f < high]
            inside = inside or [int(np.argmin(np.abs(frequencies - np.sqrt(low * high))))]
            row.append(np.log10(1e-3 + np.sqrt(np.mean(amplitude[:, inside] ** 2, axis=1))))
        found.append(np.stack(row, axis=1))
    return np.percentile(found, 60, axis=0).ravel()


def pairs(x: Floats) -> Floats:
    found = np.corrcoef(x)
    return np.array([found[i, j] for i in range(len(x)) for j in range(i + 1, len(x))])


def plain_correlations(x: Floats) -> Floats:
    return np.median([pairs(b) for b in blocks_of(plain_levels(x, 32), 256, 64)], axis=0)


def plain_onsets(x: Floats) -> Floats:
    heard = np.maximum(x, x.max() - 80)
    rises = np.maximum(heard[:, 1:] - heard[:, :-1], 0)
    rows = [rises[k : k + 32].mean(axis=0) for k in (0, 32, 64, 96)] + [rises.mean(axis=0)]
    skew = [((r - r.mean()) ** 3).mean() / r.std() ** 3 for r in rows]
    return np.array([r.mean() for r in rows] + [r.std() for r in rows] + skew)


def plain_periodicity(x: Floats) -> Floats:
    heard = np.maximum(x, x.max() - 80)
    rises = np.maximum(heard[:, 1:] - heard[:, :-1], 0)
    rows = [rises[k : k + 32].mean(axis=0) for k in (0, 32, 64, 96)] + [rises.mean(axis=0)]
    lags = sorted({round(lag * FRAME_RATE) for lag in np.geomspace(0.14, 4.0, 36)})
    out = []
    for row in rows:
        own = row - row.mean()
        out += [float((own[: len(own) - lag] * own[lag:]).sum() / (own * own).sum()) for lag in lags]
    return np.array(out)


REFERENCES: dict[str, tuple[Summary, Callable[[Floats], Floats]]] = {
    "moments": (Moments(), lambda x: np.concatenate([x.mean(axis=1), x.std(axis=1)])),
    "moments with changes": (
        Moments(changes=True),
        lambda x: np.concatenate([x.mean(axis=1), x.std(axis=1), (x[:, 1:] - x[:, :-1]).std(axis=1)]),
    ),
    "changes": (
        Changes(),
        lambda x: np.concatenate([np.abs(x[:, 1:] - x[:, :-1]).mean(axis=1), (x[:, 1:] - x[:, :-1]).std(axis=1)]),
    ),
    "correlations": (Correlations(), pairs),
    "level": (Level(), lambda x: np.array([np.maximum(x, x.max() - 80).mean()])),
    "profile": (
        Profile(),
        lambda x: np.concatenate([plain_levels(x, 64).mean(axis=1), plain_levels(x, 64).std(axis=1)]),
    ),
    "spectral_pattern": (SpectralPattern(), plain_spectral),
    "delta_spectral_pattern": (
        DeltaSpectralPattern(),
        lambda x: np.percentile([b[:, :14] for b in plain_rises(x)], 90, axis=0).ravel(),
    ),
    "variance_delta_spectral_pattern": (RiseVariance(), lambda x: np.var(plain_rises(x), axis=0).ravel()),
    "fluctuation_pattern": (FluctuationPattern(), plain_fluctuation),
    "correlation_pattern": (CorrelationPattern(), plain_correlations),
    "onset_moments": (OnsetMoments(), plain_onsets),
    "periodicity": (Periodicity(), plain_periodicity),
}
