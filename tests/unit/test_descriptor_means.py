"""A track's descriptors are of all its clips; its loudness is that of its channels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.builders import RATE, encode, music
from tonearm.audio.decode import decode, decode_layouts
from tonearm.audio.windows import ClipConfig
from tonearm.core.types import Waveform
from tonearm.features import Mel
from tonearm.features.descriptor_means import describe_track
from tonearm.features.descriptors import Descriptors, describe_music
from tonearm.features.loudness import measure_loudness
from tonearm.features.row_store import DESCRIPTOR_TABLE, read_rows
from tonearm.pipelines.extractor import Extractor

QUIET = Descriptors(tempo=None, key=None, mode=None, key_strength=None, loudness=-47.0, energy=0.01, brightness=900.0,
                    dynamic_range=None, onset_rate=0.0)  # fmt: skip
BEAT = Descriptors(tempo=100.0, key="A", mode="minor", key_strength=0.8, loudness=-20.0, energy=0.1, brightness=1500.0,
                   dynamic_range=4.0, onset_rate=3.0)  # fmt: skip


def test_one_clip_is_what_it_is() -> None:
    assert describe_track([BEAT]) == BEAT.to_dict()
    assert set(describe_track([])) == set(BEAT.to_dict()) and set(describe_track([]).values()) == {None}


def test_several_clips_are_all_counted() -> None:
    found = describe_track([QUIET, BEAT, dataclasses.replace(BEAT, tempo=102.0, key="C", mode="major", loudness=-17.0)])
    assert found["tempo"] == 101.0 and (found["key"], found["mode"], found["key_strength"]) == ("A", "minor", 0.8)
    assert found["loudness"] == pytest.approx(10 * np.log10((10**-2.0 + 10**-1.7) / 2))  # the quiet one is gated
    assert found["energy"] == pytest.approx(np.sqrt((0.01**2 + 2 * 0.1**2) / 3))
    assert found["onset_rate"] == 2.0 and found["dynamic_range"] == 4.0


def stereo(seconds: float) -> np.ndarray:
    left, right = music(seconds, 44_100, 1), music(seconds, 44_100, 2)
    bright = np.random.default_rng(0).normal(0, 0.05, left.shape).astype(np.float32)  # much of it above 11 kHz
    return np.stack([left + bright, right - bright], axis=1)


def extracted(path: Path, clip: ClipConfig, root: Path) -> dict[str, object]:
    feature = Mel(n_mels=16, n_fft=512, hop=256)
    worker = Extractor(features=[feature.to_dict()], clip=clip.to_dict(), root=str(root), min_seconds=1.0, attempts="d")
    lacking = f"{feature.store_name()} {DESCRIPTOR_TABLE}"
    found = worker({"source": [str(path)], "key": ["k"], "lacking": [lacking], "stamp": [""]})
    assert found["reason"] == [""]
    return read_rows(str(root), DESCRIPTOR_TABLE)["k"]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_stored_loudness_is_that_of_the_recording(channels: int, tmp_path: Path) -> None:
    samples = stereo(8.0)[:, np.arange(channels) % 2]
    path = tmp_path / "a.flac"
    path.write_bytes(encode(samples, 44_100, "FLAC"))
    stored = extracted(path, ClipConfig(seconds=30.0), tmp_path / "out")["loudness"]
    kept = np.round(samples * 32768).clip(-32768, 32767).astype(np.float32).T / 32768
    assert stored == pytest.approx(measure_loudness(Waveform(kept, 44_100)).integrated, abs=0.02)
    if channels == 2:
        mono = describe_music(decode(path)).loudness
        assert mono is not None and stored > mono + 3.0  # type: ignore[operator]


def test_descriptors_of_whole_tracks_are_not_those_of_the_first_clip(tmp_path: Path) -> None:
    faint = np.random.default_rng(0).normal(0, 1e-3, 5 * RATE).astype(np.float32)
    path = tmp_path / "a.wav"
    path.write_bytes(encode(np.concatenate([faint, music(20.0)])))
    found = extracted(path, ClipConfig(seconds=5.0, position="all"), tmp_path / "out")
    assert found["loudness"] == pytest.approx(describe_music(Waveform(music(20.0)[None], RATE)).loudness, abs=1.0)
    assert found["onset_rate"] > 1.0 and found["tempo"] is not None  # type: ignore[operator]


def test_all_channels_come_back_as_they_are() -> None:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (4000, 3)).astype(np.float32)
    layouts = [(RATE, "all"), (RATE, 1), (8000, "all")]
    found = decode_layouts(encode(samples, subtype="FLOAT"), layouts)  # type: ignore[arg-type]
    assert np.array_equal(found[RATE, "all"].samples, samples.T)
    assert found[8000, "all"].samples.shape == (3, 1451)
