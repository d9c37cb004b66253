"""Features that an older decoder took from a wrong place are made anew, once; those of good recordings never."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.builders import encode, music, track, write_part
from tests.odd_audio import mp3, with_xing_count
from tonearm.audio.recording import open_audio
from tonearm.audio.windows import ClipConfig
from tonearm.datasets.manifest import Track
from tonearm.features import Mel
from tonearm.features.row_store import FINGERPRINT_TABLE, write_rows
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.store_index import write_index
from tonearm.pipelines import extract, outdated
from tonearm.pipelines.extract import extract_features
from tonearm.pipelines.extractor import Extractor
from tonearm.pipelines.outdated import DECODER_TABLE, find_outdated, keep_decoder

CLIP, MEL = ClipConfig(seconds=2.0), Mel(n_mels=16, n_fft=512, hop=256)
GOOD = {"wav": lambda: encode(music(4.0)), "mp3": lambda: mp3(4.0), "flac": lambda: encode(music(4.0), 22050, "FLAC"),
        "ogg": lambda: encode(music(4.0), 22050, "OGG")}  # fmt: skip


def lying() -> bytes:
    return with_xing_count(mp3(8.0), lambda n: 10 * n)


def stored(root: Path, name: str, data: bytes) -> Track:
    """A recording whose features are in the store, as an older decoder left them: short and of another place."""
    path = root / name
    path.write_bytes(data)
    made = dataclasses.replace(track(name), source=str(path))
    key = track_key(made.content, CLIP)
    write_part(prepare_store(str(root), MEL), [key], [np.ones((16, 12), np.float32)])
    write_rows(str(root), FINGERPRINT_TABLE, [{"track_key": key, "fingerprint": b""}])
    return made


def test_headers_that_are_right_are_known(tmp_path: Path) -> None:
    for make in GOOD.values():
        with open_audio(make()) as file:
            assert not file.header_lies
    for data in (lying(), mp3(2.0) + mp3(3.0), encode(music(4.0), container="FLAC")[:30_000]):
        with open_audio(data) as file:
            assert file.header_lies


def test_good_recordings_are_looked_at_once_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [stored(tmp_path, f"a.{kind}", make()) for kind, make in GOOD.items()]
    opened = []
    monkeypatch.setattr(outdated, "open_audio", lambda source: opened.append(source) or open_audio(source))  # type: ignore[func-returns-value]
    for _ in range(2):
        report = extract_features(tracks, [MEL], CLIP, str(tmp_path), 0.1, start=lambda: pytest.fail("extracted"))
        assert (report.stored, report.extracted) == (4, 0) and len(opened) == 4


def test_a_lying_header_is_extracted_anew_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [stored(tmp_path, "good.mp3", mp3(4.0)), stored(tmp_path, "lies.mp3", lying())]
    keys = [track_key(t.content, CLIP) for t in tracks]

    def results(items: list[dict[str, str]], job: dict[str, object], gpu: str) -> object:
        columns = Extractor(**job)({name: [i[name] for i in items] for name in items[0]})
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    monkeypatch.setattr(extract, "_worker_results", results)
    report = extract_features(tracks, [MEL], CLIP, str(tmp_path), 1.0)  # 12 frames would be too short for it
    assert [r.track_id for r in report.rejects] == ["good.mp3"] and report.extracted == 1
    store = FeatureStore(prepare_store(str(tmp_path), MEL))
    assert store.frames(keys[1]) > 160 and store.read(keys[1]).start == pytest.approx(3.0, abs=0.1)
    assert store.frames(keys[0]) == 12
    assert list(report.notes.values()) == ["claims 81 s, holds 8 s"]
    again = extract_features(tracks, [MEL], CLIP, str(tmp_path), 0.1, start=lambda: pytest.fail("extracted"))
    assert again.stored == 2


def test_what_is_missing_today_is_looked_at_another_day(tmp_path: Path) -> None:
    lies = stored(tmp_path, "lies.mp3", lying())
    key, there = track_key(lies.content, CLIP), [FeatureStore(prepare_store(str(tmp_path), MEL))]
    Path(lies.source).rename(tmp_path / "away")
    assert find_outdated(str(tmp_path), {key: lies.source}, there) == set()
    (tmp_path / "away").rename(lies.source)
    assert find_outdated(str(tmp_path), {key: lies.source}, there) == {key}
    keep_decoder(str(tmp_path), [key])
    assert find_outdated(str(tmp_path), {key: lies.source}, there) == set()
    assert (tmp_path / DECODER_TABLE).is_dir()


def test_the_part_that_was_written_last_counts(tmp_path: Path) -> None:
    uri = prepare_store(str(tmp_path), MEL)
    for value in range(1, 6):
        write_part(uri, ["k"], [np.full((16, 20), value, np.float32)])
        write_index(uri)
        assert float(FeatureStore(uri).read("k").values[0, 0]) == value
