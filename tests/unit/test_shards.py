"""Writing a store: ragged clips, several a track, failures half-way, killed writers, the common index."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import write_part
from tonearm.core import storage
from tonearm.core.errors import AudioError, StoreError
from tonearm.core.types import FloatArray
from tonearm.features import Mel, RawWaveform, Representation
from tonearm.features.computed import ComputedClip
from tonearm.features.normalisation import statistics
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store
from tonearm.features.store_copy import copy_to_node
from tonearm.features.store_index import read_index, write_index

MEL = Mel(n_mels=6, n_fft=64, hop=32)
STEREO = Mel(n_mels=6, n_fft=64, hop=32, channels=2)
WAVEFORM = RawWaveform(sample_rate=8000)
STEREO_WAVEFORM = RawWaveform(sample_rate=8000, channels="mid_side")
REPRESENTATIONS: list[Representation] = [MEL, STEREO, WAVEFORM, STEREO_WAVEFORM]


def values(feature: Representation, frames: int, seed: int) -> FloatArray:
    """Decibels, as a representation has them."""
    shape = (feature.freq_bins, frames) if feature.planes == 1 else (2, feature.freq_bins, frames)
    return np.random.default_rng(seed).normal(-40, 15, shape).astype(np.float32)


def assert_stored(store: FeatureStore, key: str, wanted: Sequence[FloatArray]) -> None:
    """The key's clips are these, to the bit that half precision has, with the statistics of full precision."""
    assert store.clips(key) == len(wanted) == len(store.read_clips(key))
    for clip, (stored, array) in enumerate(zip(store.read_clips(key), wanted, strict=True)):
        assert stored.values.dtype == np.float16 and np.array_equal(stored.values, array.astype(np.float16))
        assert stored.frames == store.frames(key, clip) == array.shape[-1]
        noted = statistics(array)
        assert (stored.stats.mean, stored.stats.deviation) == (noted.mean, noted.deviation)
        for name in ("frame_mean", "frame_deviation"):
            got, exact = getattr(stored.stats, name), getattr(noted, name)
            assert np.array_equal(got.reshape(exact.shape), exact)
            assert got.size == (0 if array.shape[-2] == 1 else array.size // array.shape[-2])


def files(uri: str) -> list[str]:
    return sorted(p.name for p in (Path(uri) / "parts").iterdir())


def part_of(uri: str, key: str) -> str:
    return str({r["key"]: r["part"] for r in read_index(uri).to_pylist()}[key])


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return prepare_store(str(tmp_path / "features"), MEL)


# --- what is written is read

PLAN = st.lists(st.tuples(st.lists(st.integers(1, 30), max_size=4), st.booleans()), max_size=6)


@given(plan=PLAN, feature=st.sampled_from(REPRESENTATIONS))
@settings(max_examples=60, deadline=None)
def test_ragged_clips_come_back_and_dropped_tracks_do_not(
    plan: list[tuple[list[int], bool]], feature: Representation
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uri = prepare_store(folder, feature)
        writer, kept = ShardWriter(uri), {}
        for i, (frames, fails) in enumerate(plan):
            clips = [values(feature, n, 10 * i + j) for j, n in enumerate(frames)]
            for clip in clips:
                writer.add(f"key{i}", ComputedClip(clip, clip))
            if fails:
                writer.drop(f"key{i}")
            elif clips:
                kept[f"key{i}"] = clips
        written = writer.close()
        assert written == sum(p.stat().st_size for p in (Path(uri) / "parts").glob("*"))
        assert len(files(uri)) == (3 if kept else 0)
        store = FeatureStore(uri)
        assert len(store) == len(kept)
        for key, clips in kept.items():
            assert_stored(store, key, clips)


def test_statistics_are_of_all_rows_and_not_of_those_that_are_kept(uri: str) -> None:
    whole = values(MEL.replace({"n_mels": 9}), 20, 1)
    writer = ShardWriter(uri)
    writer.add("key", ComputedClip(whole[:6], whole))
    writer.close()
    stored, noted = FeatureStore(uri).read("key"), statistics(whole)
    assert np.array_equal(stored.values, whole[:6].astype(np.float16))
    assert stored.stats.mean == noted.mean and np.array_equal(stored.stats.frame_mean, noted.frame_mean)


def test_half_precision_is_numpys_to_the_last_bit(uri: str) -> None:
    odd = [0, -0.0, 6e-8, 2.9e-8, 1e-30, 6.1e-5, 65504, -65504, 1 + 2**-11, 1 + 3 * 2**-11, 1 / 3, 2049]
    array = np.array(odd, np.float32).reshape(6, 2)
    write_part(uri, ["key"], [array])
    assert FeatureStore(uri).read("key").values.tobytes() == array.astype(np.float16).tobytes()


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "not_finite"), (np.inf, "not_finite"), (-np.inf, "not_finite"), (65505, "too_loud"), (-1e30, "too_loud")],
)
def test_failing_third_clip_leaves_the_other_tracks_intact(uri: str, value: float, reason: str) -> None:
    before, after = [values(MEL, n, n) for n in (5, 9)], [values(MEL, n, n) for n in (30, 2, 7)]
    bad = values(MEL, 4, 0)
    bad[3, 2] = value
    writer = ShardWriter(uri)
    for key, clips in (("before", before), ("broken", [values(MEL, 40, 1), values(MEL, 3, 2)])):
        for clip in clips:
            writer.add(key, ComputedClip(clip, clip))
    with pytest.raises(AudioError) as caught, np.errstate(invalid="ignore"):
        writer.add("broken", ComputedClip(bad, bad))
    assert caught.value.reason == reason
    writer.drop("broken")
    writer.drop("never added")
    for clip in after:
        writer.add("after", ComputedClip(clip, clip))
    writer.close()
    store = FeatureStore(uri)
    assert store.missing(["before", "broken", "after"]) == ["broken"]
    assert_stored(store, "before", before)
    assert_stored(store, "after", after)


# --- what was not finished is not there


def test_nothing_is_seen_before_the_end_nor_after_a_discard(uri: str) -> None:
    abandoned, discarded = ShardWriter(uri), ShardWriter(uri)
    for writer in (abandoned, discarded):
        writer.add("key", ComputedClip(values(MEL, 5, 0), values(MEL, 5, 0)))
        assert len(FeatureStore(uri)) == 0
    discarded.discard()
    discarded.discard()
    assert len(files(uri)) == 1 and storage.list_files(f"{uri}/parts") == []  # the abandoned one's, which is hidden
    abandoned.discard()
    assert files(uri) == []


def test_part_of_nothing_is_no_part(uri: str) -> None:
    assert ShardWriter(uri).close() == 0 and files(uri) == [] and len(FeatureStore(uri)) == 0


@pytest.mark.parametrize("killed_at", ["publish", "write_bytes", "index"])
def test_writer_that_is_killed_while_it_publishes_loses_its_part_only(
    uri: str, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(uri, ["old"], [values(MEL, 5, 0)])
    write = storage.write_bytes

    def killed(place: object, data: object = b"") -> None:
        if killed_at != "index" or str(place).endswith(".parquet"):
            raise KeyboardInterrupt
        write(place, data)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_bytes" if killed_at == "index" else killed_at, killed)
        with pytest.raises(KeyboardInterrupt):
            write_part(uri, ["new"], [values(MEL, 6, 1)])
    write_index(uri)
    assert FeatureStore(uri).missing(["old", "new"]) == ["new"]
    write_part(uri, ["new"], [values(MEL, 6, 1)])
    assert_stored(FeatureStore(uri), "new", [values(MEL, 6, 1)])


@pytest.mark.integration
def test_process_that_is_killed_leaves_a_file_that_is_cleared_when_it_is_old(uri: str) -> None:
    write_part(uri, ["old"], [values(MEL, 5, 0)])
    complete = files(uri)
    code = (
        "import os, signal, sys, numpy as np\n"
        "from tonearm.features.shards import ShardWriter\n"
        "from tonearm.features.computed import ComputedClip\n"
        "array = np.ones((6, 100_000), np.float32)\n"
        "writer = ShardWriter(sys.argv[1])\n"
        "writer.add('new', ComputedClip(array, array))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, uri], check=False).returncode == -signal.SIGKILL
    (left,) = (Path(uri) / "parts" / name for name in files(uri) if name not in complete)
    assert len(FeatureStore(uri)) == 1 and left.stat().st_size > 1_000_000
    prepare_store(str(Path(uri).parent), MEL)
    assert left.exists()  # it may be a writer's that is at work
    os.utime(left, (0, time.time() - 90_000))
    prepare_store(str(Path(uri).parent), MEL)
    assert files(uri) == complete


# --- the common index


def test_common_index_is_used_completed_and_rid_of_deleted_parts(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {k: values(MEL, 4 + i, i) for i, k in enumerate("abcde")}
    for key in "abc":
        write_part(uri, [key], [arrays[key]])
    write_index(uri)
    write_part(uri, ["d", "e"], [arrays["d"], arrays["e"]])
    read, seen = storage.read_bytes, list[str]()

    def noted(place: str) -> bytes:
        seen.append(Path(place).name)
        return read(place)

    monkeypatch.setattr(storage, "read_bytes", noted)
    store = FeatureStore(uri)
    assert sorted(seen) == sorted(["representation.json", "index.parquet", f"{part_of(uri, 'd')}.parquet"])
    for key, array in arrays.items():
        assert_stored(store, key, [array])
    for path in list((Path(uri) / "parts").glob(f"{part_of(uri, 'b')}.*")):
        path.unlink()
    assert FeatureStore(uri).missing("abcde") == ["b"]
    write_index(uri)
    assert FeatureStore(uri).missing("abcde") == ["b"] and read_index(uri).num_rows == 4
    write_part(uri, ["b"], [arrays["b"]])
    assert_stored(FeatureStore(uri), "b", [arrays["b"]])


def test_index_of_an_empty_store_is_empty(uri: str) -> None:
    write_index(uri)
    assert len(FeatureStore(uri)) == 0
    write_part(uri, ["a"], [values(MEL, 3, 0)])
    assert "a" in FeatureStore(uri)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_common_index_is_named(uri: str, damage: str) -> None:
    write_part(uri, ["a"], [values(MEL, 3, 0)])
    write_index(uri)
    index = Path(uri) / "index.parquet"
    data = index.read_bytes()
    index.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "text": b"no table"}[damage])
    with pytest.raises(StoreError, match=r"index\.parquet is damaged.*delete it"):
        FeatureStore(uri)
    index.unlink()
    assert "a" in FeatureStore(uri)


@pytest.mark.parametrize("first", [0, 1])
def test_key_in_two_parts_is_one_of_them_whole_and_the_newer_one_than_the_index(uri: str, first: int) -> None:
    parts = [[("twice", values(MEL, n, n)) for n in (5, 9, 4)], [("twice", values(MEL, n, n)) for n in (7, 3)]]
    for i in (first, 1 - first):
        writer = ShardWriter(uri)
        for key, array in [*parts[i], (f"other{i}", values(MEL, 3, i))]:
            writer.add(key, ComputedClip(array, array))
        writer.close()
        store = FeatureStore(uri)
        assert_stored(store, "twice", [a for _, a in parts[i]])
        assert_stored(store, f"other{i}", [values(MEL, 3, i)])
        write_index(uri)
    assert len(store) == 3


# --- remote stores


@pytest.mark.parametrize("feature", REPRESENTATIONS)
def test_remote_store_is_written_and_copied(
    feature: Representation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    remote = prepare_store(f"memory://{uuid.uuid4().hex}/features", feature)
    clips = [values(feature, n, n) for n in (4, 9, 2)]
    for clip, writer in ((clips[0], ShardWriter(remote)), (clips[0], ShardWriter(remote))):
        writer.add("lost", ComputedClip(clip, clip))
        writer.discard()
    assert write_part(remote, ["track"] * 3, clips) > 0
    assert list(tmp_path.glob("*.tmp")) == [] and len(storage.list_files(f"{remote}/parts")) == 3
    write_index(remote)
    local = copy_to_node(remote, str(tmp_path / "cache"))
    assert_stored(FeatureStore(local), "track", clips)
    assert FeatureStore(local).missing(["lost"]) == ["lost"] and len(files(local)) == 3
