"""Small parts become large ones; whenever that is cut off, each track is read once and whole."""

from __future__ import annotations

import errno
import logging
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import write_part
from tests.killing import killed_after
from tonearm.core import storage
from tonearm.core.types import FloatArray
from tonearm.features import Mel, RawWaveform, Representation
from tonearm.features import join_parts as join_module
from tonearm.features.computed import ComputedClip
from tonearm.features.join_parts import PartJoiner, join_small_parts
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store
from tonearm.features.store_index import read_index, write_index

MEL = Mel(n_mels=4, n_fft=64, hop=32)
KINDS: list[Representation] = [MEL, MEL.replace({"channels": 2}), RawWaveform(), RawWaveform(channels=2)]
TRACKS = 20


def values(feature: Representation, seed: int) -> FloatArray:
    shape = (feature.planes, feature.freq_bins, 5 + seed % 7)
    made = np.random.default_rng(seed).normal(-40, 9, shape).astype(np.float32)
    return made if feature.planes == 2 else made[0]


def write(uri: str, feature: Representation, track: int, clips: int = 2) -> str:
    """A part with one track."""
    writer = ShardWriter(uri)
    for clip in range(clips):
        made = values(feature, 10 * track + clip)
        writer.add(f"key{track}", ComputedClip(made, made), 2 * clip, 0.5 * clip)
    writer.close()
    return writer.part


def whole(uri: str, feature: Representation = MEL, tracks: int = TRACKS) -> FeatureStore:
    """The store, in which all tracks are what was written."""
    store = FeatureStore(uri)
    assert sorted(store) == sorted(f"key{i}" for i in range(tracks))
    for i in range(tracks):
        assert store.clip_numbers(f"key{i}") == [0, 2]
        for clip, stored in enumerate(store.read_clips(f"key{i}")):
            wanted = values(feature, 10 * i + clip)
            assert np.array_equal(stored.values, wanted.astype(np.float16)) and stored.start == 0.5 * clip
            noted = ComputedClip(wanted, wanted).statistics()
            assert stored.stats.mean == noted.mean and stored.stats.deviation == noted.deviation
            if feature.freq_bins > 1:
                assert np.array_equal(stored.stats.frame_mean, noted.frame_mean)
    return store


def parts(uri: str) -> list[str]:
    return storage.list_files(f"{uri}/parts", ".parquet")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of a part a track; seven and more make a large one."""
    monkeypatch.setattr(join_module, "PART_BYTES", 4 * 2 * 7 * 2 * 7)
    uri = prepare_store(str(tmp_path), MEL)
    for i in range(TRACKS):
        write(uri, MEL, i)
    return uri


@pytest.mark.parametrize("feature", KINDS, ids=lambda f: f"{f.kind}{f.planes}")
def test_a_store_of_small_parts_becomes_one_part(feature: Representation, tmp_path: Path) -> None:
    uri = prepare_store(str(tmp_path), feature)
    for i in range(TRACKS):
        write(uri, feature, i)
    before = whole(uri, feature)
    assert join_small_parts(uri, feature) == TRACKS - 1 and len(parts(uri)) == 1
    assert len(storage.list_files(f"{uri}/parts")) == 3
    whole(uri, feature)
    write_index(uri)
    whole(uri, feature)
    for i in range(TRACKS):  # what was opened before finds what it did not read as yet
        assert before.read(f"key{i}", 2).frames == values(feature, 10 * i + 1).shape[-1]
    assert join_small_parts(uri, feature) == 0


def test_parts_are_large_and_stay_as_they_are(small: str) -> None:
    join_small_parts(small, MEL)
    write_index(small)
    sizes = sorted(Path(small, "parts", p.replace(".parquet", ".npy")).stat().st_size - 128 for p in parts(small))
    assert 2 <= len(sizes) <= 4 and all(size >= join_module.PART_BYTES for size in sizes[1:])
    kept = set(parts(small))
    write(small, MEL, TRACKS)
    join_small_parts(small, MEL)
    assert len(kept & set(parts(small))) >= len(kept) - 1  # the last remainder grew, the others are as they were
    whole(small, tracks=TRACKS + 1)


@pytest.mark.parametrize("at", range(0, 76, 5))
def test_joining_that_is_killed_anywhere_loses_and_doubles_nothing(small: str, at: int) -> None:
    if at % 2:
        write_index(small)
    with killed_after(at, storage, ("publish", "write_bytes", "remove")):
        join_small_parts(small, MEL)
    whole(small)
    write_index(small)
    whole(small)
    join_small_parts(small, MEL)
    write_index(small)
    store = whole(small)
    assert read_index(small).num_rows == 2 * TRACKS == sum(store.clips(k) for k in store)
    named = {p.removesuffix(".parquet") for p in parts(small)}
    orphans = [n for n in storage.list_files(f"{small}/parts") if n.partition(".")[0] not in named]
    assert len(orphans) <= 2  # arrays whose index was not written, or was deleted first


def test_readers_see_whole_data_while_parts_are_joined(small: str) -> None:
    failed: list[BaseException] = []
    over = threading.Event()

    def read() -> None:
        try:
            while not over.is_set():
                whole(small)
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    join_small_parts(small, MEL)
    write_index(small)
    over.set()
    for reader in readers:
        reader.join()
    assert not failed


def test_two_jobs_join_one_after_the_other(small: str) -> None:
    threads = [threading.Thread(target=join_small_parts, args=(small, MEL)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole(small)
    assert read_index(small).num_rows == 2 * TRACKS


def test_a_part_that_cannot_be_read_is_left_alone(small: str, caplog: pytest.LogCaptureFixture) -> None:
    broken = Path(small, "parts", parts(small)[3].replace(".parquet", ".npy"))
    kept = broken.read_bytes()
    broken.write_bytes(kept[:150])
    with caplog.at_level(logging.WARNING):
        join_small_parts(small, MEL)
    assert broken.name in caplog.text and broken.exists()
    broken.write_bytes(kept)
    whole(small)


def test_of_a_track_in_two_parts_the_one_that_is_read_is_kept(tmp_path: Path) -> None:
    uri = prepare_store(str(tmp_path), MEL)
    write_part(uri, ["twice", "key0"], [values(MEL, 1), values(MEL, 2)])
    write_index(uri)
    write_part(uri, ["twice", "key1"], [values(MEL, 3), values(MEL, 4)])
    before = FeatureStore(uri).read("twice").values.copy()
    assert join_small_parts(uri, MEL) == 1 and read_index(uri).num_rows == 3
    assert np.array_equal(FeatureStore(uri).read("twice").values, before)


def test_workers_join_what_they_wrote(small: str) -> None:
    joiner = PartJoiner()
    for i in range(TRACKS, TRACKS + 30):
        joiner.add(small, MEL, write(small, MEL, i), 100)
    assert len(parts(small)) < TRACKS + 15
    whole(small, tracks=TRACKS + 30)


def test_a_full_disk_ends_no_extraction(small: str, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    joiner = PartJoiner()
    names = [write(small, MEL, i) for i in range(TRACKS, TRACKS + 3)]
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(storage, "publish", full)
        for name in names:
            joiner.add(small, MEL, name, 300)
    assert "could not be joined" in caplog.text and not list(Path(small, "parts").glob(".*"))
    whole(small, tracks=TRACKS + 3)


def test_stores_elsewhere_are_joined_too(tmp_path: Path) -> None:
    uri = prepare_store(f"memory://{uuid.uuid4().hex}/features", MEL)
    for i in range(6):
        write_part(uri, [f"key{i}"], [values(MEL, i)])
    assert join_small_parts(uri, MEL) == 5 and len(storage.list_files(f"{uri}/parts")) == 3
    assert read_index(uri).num_rows == 6
