"""Stored features: what is written is read, what is incomplete is not, what is damaged is named."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from tests.builders import toy_spectrogram, write_part
from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import StoreError
from tonearm.core.types import FloatArray
from tonearm.features import Mel, RawWaveform, Representation
from tonearm.features.normalisation import statistics
from tonearm.features.store import FeatureStore, prepare_store, store_uri, track_key
from tonearm.features.store_copy import copy_to_node

FEATURE = Mel(n_mels=32, n_fft=512, hop=256)
KEYS = ["key-c", "key-a", "key-b"]


def arrays() -> list[FloatArray]:
    return [toy_spectrogram("bass", i, frames=40 + 7 * i) for i in range(3)]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    uri = prepare_store(str(tmp_path / "features"), FEATURE)
    write_part(uri, KEYS, arrays())
    return uri


def only_part(uri: str, suffix: str) -> Path:
    (path,) = (p for p in (Path(uri) / "parts").iterdir() if p.name.split(".", 1)[1] == suffix)
    return path


def test_stored_values_come_back_within_half_precision(uri: str) -> None:
    store = FeatureStore(uri)
    assert len(store) == 3 and store.representation == FEATURE
    for key, values in zip(KEYS, arrays(), strict=True):
        stored = store.read(key)
        assert key in store and store.frames(key) == stored.frames == values.shape[1]
        assert stored.values.dtype == np.float16 and stored.values.shape == values.shape
        np.testing.assert_allclose(stored.values, values, rtol=2**-11)


def test_statistics_are_exact_and_not_those_of_half_precision(uri: str) -> None:
    store = FeatureStore(uri)
    for key, values in zip(KEYS, arrays(), strict=True):
        wanted, got = statistics(values), store.read(key).stats
        assert (got.mean, got.deviation) == (wanted.mean, wanted.deviation)
        assert np.array_equal(got.frame_mean, wanted.frame_mean)
        assert np.array_equal(got.frame_deviation, wanted.frame_deviation)


def test_values_stay_on_disk_and_are_read_only(uri: str) -> None:
    values = FeatureStore(uri).read("key-a").values
    at = values.__array_interface__["data"][0]
    maps = Path("/proc/self/maps")
    if maps.exists():  # Linux says of what file the memory at an address is
        lines = [line.split() for line in maps.read_text().splitlines()]
        spans = [([int(end, 16) for end in line[0].split("-")], line[-1]) for line in lines]
        assert [file for (low, high), file in spans if low <= at < high] == [str(only_part(uri, "npy"))]
    assert not values.flags.owndata
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        values.flags.writeable = True
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 1


def test_parts_are_added_and_the_store_opened_again(uri: str) -> None:
    assert FeatureStore(uri).missing(["key-d", "key-a", "key-e"]) == ["key-d", "key-e"]
    write_part(uri, ["key-d"], [toy_spectrogram("flute", 9)])
    prepare_store(str(Path(uri).parent), FEATURE)
    store = FeatureStore(uri)
    assert len(store) == 4 and store.missing(["key-d", "key-a"]) == []
    np.testing.assert_allclose(store.read("key-d").values, toy_spectrogram("flute", 9), rtol=2**-11)


def test_written_bytes_are_counted(tmp_path: Path) -> None:
    uri = prepare_store(str(tmp_path), FEATURE)
    written = write_part(uri, KEYS, arrays())
    assert written == sum(p.stat().st_size for p in (Path(uri) / "parts").iterdir())


def test_part_without_its_index_is_not_read(uri: str) -> None:
    only_part(uri, "parquet").unlink()
    store = FeatureStore(uri)
    assert len(store) == 0 and store.missing(KEYS) == KEYS


def test_unknown_key_is_named(uri: str) -> None:
    store = FeatureStore(uri)
    for reader in (
        store.read,
        store.frames,
        store.clips,
        store.read_clips,
        lambda k: store.read_windows([(k, 0, 0)], 4),
    ):
        with pytest.raises(StoreError, match=r"track key nothing is not in the store .*mel-"):
            reader("nothing")


def test_absent_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no feature store at .*tonearm extract"):
        FeatureStore(str(tmp_path / "absent"))


def damaged(path: Path, damage: str) -> None:
    """Do harm to an array's file."""
    data = path.read_bytes()
    if damage in ("short", "other type"):
        array = np.load(path)
        np.save(path, array[..., : array.shape[-1] // 2] if damage == "short" else array.astype(np.float64))
    elif damage == "absent":
        path.unlink()
    else:
        path.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "text": b"not an array"}[damage])


@pytest.mark.parametrize("suffix", ["npy", "frames.npy"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "absent", "short", "other type"])
def test_damaged_part_is_an_error_with_its_path(uri: str, suffix: str, damage: str) -> None:
    part = only_part(uri, suffix)
    damaged(part, damage)
    for read in (FeatureStore(uri).read, lambda key: FeatureStore(uri).read_windows([(key, 0, 0)], 4)):
        with pytest.raises(StoreError, match=f"{part.name}.*delete it"):
            read("key-b")  # the last one in it


def test_pickled_part_is_refused(uri: str) -> None:
    with only_part(uri, "npy").open("wb") as file:
        np.save(file, np.array([{"any": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="damaged"):
        FeatureStore(uri).read("key-a")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_index_is_an_error_with_its_path(uri: str, damage: str) -> None:
    index = only_part(uri, "parquet")
    data = index.read_bytes()
    index.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "text": b"no table"}[damage])
    with pytest.raises(StoreError, match=f"{index.name}.*delete it"):
        FeatureStore(uri)


# --- windows

WIDE: list[Representation] = [FEATURE, FEATURE.replace({"channels": 2}), RawWaveform(), RawWaveform(channels=2)]


@pytest.mark.parametrize("feature", WIDE)
def test_windows_are_slices_of_what_is_read(feature: Representation, tmp_path: Path) -> None:
    rng, uri = np.random.default_rng(0), prepare_store(str(tmp_path), feature)
    shape = (feature.planes, feature.freq_bins)
    lengths = {"a": [30, 12, 25], "b": [12], "c": [40, 13]}
    for keys in ("ab", "c"):
        clips = [(k, rng.normal(0, 9, (*shape, n)).astype(np.float32)) for k in keys for n in lengths[k]]
        clips = [(k, array[0] if feature.planes == 1 else array) for k, array in clips]
        write_part(uri, [k for k, _ in clips], [array for _, array in clips])
    store = FeatureStore(uri)
    places = [
        (k, i, s) for k, frames in lengths.items() for i, n in enumerate(frames) for s in {0, (n - 12) // 2, n - 12}
    ]
    places = [places[i] for i in rng.permutation(len(places))] * 2
    windows = store.read_windows(places, 12)
    assert windows.dtype == np.float16 and windows.shape == (len(places), *shape, 12)
    for window, (key, clip, start) in zip(windows, places, strict=True):
        wanted = store.read(key, clip).values[..., start : start + 12]
        assert np.array_equal(window, wanted.reshape(window.shape)) and window.any()
    out = np.full_like(windows, 7)
    assert store.read_windows(places, 12, out) is out and np.array_equal(out, windows)
    assert store.read_windows([], 12).shape == (0, *shape, 12)


@pytest.mark.parametrize(("key", "clip", "start"), [("key-a", 0, 48), ("key-a", 0, -1), ("key-c", 0, 10**9)])
def test_window_beyond_its_clip_is_named(uri: str, key: str, clip: int, start: int) -> None:
    there = FeatureStore(uri).frames(key, clip)
    with pytest.raises(StoreError, match=f"32 frames from {start} on are not in the {there} of clip {clip} of {key}"):
        FeatureStore(uri).read_windows([("key-b", 0, 0), (key, clip, start)], 32)


@pytest.mark.parametrize("clip", [1, 99, -1])
def test_clip_that_is_not_there_is_named(uri: str, clip: int) -> None:
    store = FeatureStore(uri)
    for read in (store.read, store.frames, lambda key, clip: store.read_windows([(key, clip, 0)], 4)):
        with pytest.raises(StoreError, match="key-a"):
            read("key-a", clip)


# --- copies


def test_remote_store_is_copied_once_and_completed(tmp_path: Path) -> None:
    remote = prepare_store(f"memory://{uuid.uuid4().hex}/features", FEATURE)
    write_part(remote, KEYS, arrays())
    local = copy_to_node(remote, str(tmp_path / "cache"))
    np.testing.assert_allclose(FeatureStore(local).read("key-b").values, arrays()[2], rtol=2**-11)
    before = {p: p.stat().st_mtime_ns for p in Path(local).rglob("*") if p.is_file()}
    write_part(remote, ["key-d"], [toy_spectrogram("flute", 9)])
    assert copy_to_node(remote, str(tmp_path / "cache")) == local
    assert "key-d" in FeatureStore(local)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


def test_local_store_is_used_where_it_lies(uri: str, tmp_path: Path) -> None:
    assert copy_to_node(uri, str(tmp_path / "cache")) == uri
    assert copy_to_node(f"file://{uri}", str(tmp_path / "cache")) == uri
    assert store_uri(str(Path(uri).parent), FEATURE) == uri


def test_track_key_is_of_content_and_clip() -> None:
    clip = ClipConfig()
    others = [ClipConfig(seconds=20), ClipConfig(position="start"), ClipConfig(position="all"), ClipConfig(tail="pad"),
              ClipConfig(position="all", hop=5.0), ClipConfig(position="all", tail="wrap")]  # fmt: skip
    assert track_key("c", clip) == track_key("c", ClipConfig(seconds=30))
    assert len({track_key("c", clip), track_key("d", clip), *(track_key("c", o) for o in others)}) == 8
