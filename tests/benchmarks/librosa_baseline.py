"""The six representations as librosa gives them, a call each: what the thesis ran, and what ours must equal."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np

from tonearm.core.types import FloatArray

RATE, FRAMES, HOP, N_FFT = 22_050, 643, 1024, 4096


def _stft(samples: FloatArray) -> FloatArray:
    spectrum = np.abs(librosa.stft(samples, n_fft=N_FFT, hop_length=HOP, pad_mode="constant"))
    db: FloatArray = librosa.amplitude_to_db(spectrum[:, :FRAMES])
    return db


def _mel_power(samples: FloatArray) -> FloatArray:
    power: FloatArray = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=256, pad_mode="constant"
    )
    return power


def _cqt(samples: FloatArray) -> FloatArray:
    q = librosa.cqt(
        samples, sr=RATE, hop_length=HOP, fmin=librosa.note_to_hz("C1"), n_bins=168, bins_per_octave=24
    )  # fmt: skip
    db: FloatArray = librosa.amplitude_to_db(np.abs(q)[:, :FRAMES])
    return db


def _chroma(samples: FloatArray) -> FloatArray:
    chroma: FloatArray = librosa.feature.chroma_cqt(
        y=samples, sr=RATE, hop_length=HOP, n_chroma=12, n_octaves=7, bins_per_octave=24, tuning=0.0
    )
    return chroma[:, :FRAMES]


CALLS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "stft": _stft,
    "stft_halved": lambda y: _stft(y)[:1024],
    "mel": lambda y: librosa.power_to_db(_mel_power(y)[:, :FRAMES]),
    "cqt": _cqt,
    "chroma": _chroma,
    "mfcc": lambda y: librosa.feature.mfcc(S=librosa.power_to_db(_mel_power(y)), n_mfcc=13)[1:, :FRAMES],
}


def kinder(path: str) -> dict[str, FloatArray]:
    """The file decoded once, then a call each."""
    samples, _ = librosa.load(path, sr=RATE)
    return {name: call(samples) for name, call in CALLS.items()}


def naive(path: str) -> dict[str, FloatArray]:
    """The file decoded for every call."""
    return {name: call(librosa.load(path, sr=RATE)[0]) for name, call in CALLS.items()}
