"""Clips to measure with: 30 s, 44.1 kHz, stereo, as MP3 (256 kbit/s), OGG and FLAC; of recordings, or made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from tests.builders import music
from tonearm.audio.decode import AUDIO_SUFFIXES, decode
from tonearm.core.types import FloatArray

RATE, SECONDS = 44_100, 30.0
MP3_256K = 0.21  # libsndfile's compression level for a constant 256 kbit/s
FORMATS = ("mp3", "ogg", "flac")


def make_corpus(folder: Path, clips: int, audio: Path | None) -> dict[str, list[Path]]:
    """Write the clips in every format; from the recordings in ``audio``, or generated music."""
    recordings = sorted(p for p in audio.rglob("*") if p.suffix in AUDIO_SUFFIXES) if audio else []
    recordings = recordings[:: max(1, len(recordings) // clips)][:clips]
    out: dict[str, list[Path]] = {name: [] for name in FORMATS}
    for i in range(clips):
        if i < len(recordings):
            samples = soxr.resample(decode(recordings[i]).samples[0], 22050, RATE, quality="VHQ")
        else:
            samples = music(SECONDS, RATE, seed=i)
        stereo = _stereo(samples[: round(SECONDS * RATE)], i)
        for name in FORMATS:
            path = folder / f"{i:03}.{name}"
            if name == "mp3":
                with soundfile.SoundFile(
                    path, "w", RATE, 2, "MPEG_LAYER_III", format="MP3",
                    bitrate_mode="CONSTANT", compression_level=MP3_256K,
                ) as file:  # fmt: skip
                    file.write(stereo)
            else:
                soundfile.write(path, stereo, RATE, format=name.upper())
            out[name].append(path)
    return out


def _stereo(samples: FloatArray, seed: int) -> FloatArray:
    """Two channels that differ, as those of a recording do."""
    late, noise = np.roll(samples, 17), np.random.default_rng(seed).normal(0, 1e-4, len(samples))
    return np.stack([0.8 * samples + 0.1 * late, 0.7 * samples - 0.2 * late + noise], axis=1).clip(-1, 1)
