"""Extractions one after the other on one store, their workers in this process: what one asks must not harm another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from tests.builders import RATE, encode, music, tone
from tests.extract_in_process import extract_in_process
from tonearm.audio import ClipConfig, decode, sources
from tonearm.audio.decode import describe
from tonearm.core.errors import AudioError, ConfigError, JobError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Track
from tonearm.features import Mel, Representation
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.pipelines.extract import ExtractionReport, extract_features
from tonearm.workflows.set_aside import require_enough

MONO = Mel(n_mels=64, n_fft=1024, hop=512)
SIDE = Mel(n_mels=64, n_fft=1024, hop=512, channels="mid_side")
CLIP = ClipConfig(seconds=3.0)


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    extract_in_process(monkeypatch)


def write(folder: Path, **files: bytes) -> list[Track]:
    tracks = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        tracks.append(Track(track_id=name, source=str(folder / name), content=digest(data), label="x", group=name))
    return tracks


def run(
    root: Path, tracks: list[Track], *features: Representation, least: float = 1.0, **more: Any
) -> ExtractionReport:
    return extract_features(tracks, features, CLIP, str(root / "out"), least, **more)


def pitch(root: Path, track: Track) -> float:
    """Hz of the loudest band."""
    values = FeatureStore(store_uri(str(root / "out"), MONO)).read(track_key(track.content, CLIP)).values
    return float(MONO.frequencies()[int(values.astype(np.float32).mean(axis=1).argmax())])


def test_a_part_that_was_deleted_comes_back_right_in_any_order(tmp_path: Path) -> None:
    tracks = write(tmp_path, low=encode(tone(300, 3.0)), high=encode(tone(3000, 3.0)))
    run(tmp_path, tracks, MONO)
    for part in Path(store_uri(str(tmp_path / "out"), MONO)).glob("parts/*"):
        part.unlink()
    assert run(tmp_path, tracks[::-1], MONO).extracted == 2
    assert pitch(tmp_path, tracks[0]) == pytest.approx(300, rel=0.1)
    assert pitch(tmp_path, tracks[1]) == pytest.approx(3000, rel=0.1)


def test_a_reject_holds_for_its_request_only(tmp_path: Path) -> None:
    six = np.stack([music(3.0, seed=i) for i in range(6)], axis=1)
    tracks = write(tmp_path, surround=encode(six), good=encode(music(3.0)))
    assert not run(tmp_path, tracks, MONO).rejects
    refused = run(tmp_path, tracks, SIDE).rejects
    assert [(r.track_id, r.reason) for r in refused] == [("surround", "too_many_channels")]
    assert not run(tmp_path, tracks, MONO, known_rejects=refused).rejects
    again = run(tmp_path, tracks, SIDE, known_rejects=refused)
    assert again.extracted == 0 and [r.reason for r in again.rejects] == ["too_many_channels"]


def test_the_least_length_is_that_of_the_request(tmp_path: Path) -> None:
    tracks = write(tmp_path, short=encode(music(1.5)), long=encode(music(3.0, seed=1)))
    refused = run(tmp_path, tracks, MONO, least=2.0).rejects
    assert [(r.track_id, r.reason) for r in refused] == [("short", "too_short")]
    assert not run(tmp_path, tracks, MONO, least=1.0, known_rejects=refused).rejects
    later = run(tmp_path, tracks, MONO, least=2.0)
    assert later.extracted == 0 and [(r.track_id, r.reason) for r in later.rejects] == [("short", "too_short")]


def test_facts_do_not_depend_on_the_features_and_refuse_nothing(tmp_path: Path) -> None:
    song = music(3.0)
    opposite = np.stack([song, -song], axis=1)
    tracks = write(tmp_path, opposite=encode(opposite, subtype="FLOAT"), good=encode(music(3.0, seed=1)))
    assert not run(tmp_path, tracks, SIDE, descriptors=True).rejects  # as mono it would be silent
    slow = Mel(n_mels=16, n_fft=512, hop=256, sample_rate=6000)
    (reject,) = run(tmp_path, tracks, slow).rejects
    assert (reject.track_id, reject.reason) == ("opposite", "silent")


def test_too_many_rejects_fail_with_the_table_named(tmp_path: Path) -> None:
    tracks = write(tmp_path, bad=b"no audio", good=encode(music(3.0)))
    report = run(tmp_path, tracks, MONO)
    require_enough(report.rejects, len(tracks), 0.5, "there.parquet")
    with pytest.raises(JobError, match=r"1 of 2 tracks .*undecodable 1.*more than 40%.*bad.*there\.parquet"):
        require_enough(report.rejects, len(tracks), 0.4, "there.parquet")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "tpu"])
def test_an_unknown_device_is_named_before_anything_starts(device: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use cpu, or cuda"):
        run(tmp_path, [], MONO, device=device)
    assert not (tmp_path / "out").exists()


class Breaking:
    """A remote file whose connection breaks."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, 60_000

    def readinto(self, buffer: Any) -> int:
        return len(self._take(len(buffer), buffer))

    def read(self, size: int = -1) -> bytes:
        return self._take(size, None)

    def _take(self, size: int, buffer: Any) -> bytes:
        self._left -= max(0, size)
        if self._left < 0:
            raise ConnectionResetError("reset by peer")
        data: bytes = self._file.read(size)
        if buffer is not None:
            buffer[: len(data)] = data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_broken_connection_is_no_end_of_a_file(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(music(20.0), container=container)
    fsspec.filesystem("memory").pipe_file(f"/song.{container}", data)
    assert decode(f"memory://song.{container}").duration == pytest.approx(20, abs=0.1)
    watched = sources.WatchedFile
    monkeypatch.setattr(sources, "WatchedFile", lambda file: watched(Breaking(file)))
    with pytest.raises(AudioError) as caught:
        decode(f"memory://song.{container}")
    assert caught.value.reason == "missing" and "reset by peer" in caught.value.detail


def test_a_stream_that_does_not_know_its_length_is_counted() -> None:
    data = bytearray(encode(music(20.0), container="FLAC"))
    data[21] &= 0xF0  # the 36 bits of STREAMINFO's total samples
    data[22:26] = bytes(4)
    assert describe(bytes(data)).duration == pytest.approx(20)
    assert decode(bytes(data), RATE, 1, 10.0, 3.0).duration == pytest.approx(3)


@pytest.mark.parametrize("head", [b".snd", b"caff", b"MATLAB 5.0 MAT", b"NIST_1A", b"Creative Voice File", b"8SVX"])
def test_what_nobody_keeps_music_in_is_not_given_to_the_decoder(head: bytes) -> None:
    with pytest.raises(AudioError, match="none of the known formats"):
        decode(head + bytes(5000))
