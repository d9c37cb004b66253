"""Stores of many parts: few descriptors, whole data for readers, and no word of damage where there is none."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.builders import write_part
from tonearm.core import mapped
from tonearm.core.damage import describe_unreadable, is_damage
from tonearm.core.errors import BundleError, DatasetError, StoreError
from tonearm.core.mapped import RowReader, map_array, map_halves
from tonearm.datasets.manifest import load_manifest
from tonearm.datasets.metadata import load_metadata
from tonearm.features import Mel
from tonearm.features import store as store_module
from tonearm.features.row_store import read_rows, write_rows
from tonearm.features.store import FeatureStore, prepare_store
from tonearm.features.store_index import write_index
from tonearm.recommend.index import CatalogueIndex

MEL = Mel(n_mels=4, n_fft=64, hop=32)
PARTS = 400  # two files each; macOS lets a process open 256


def values(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(-40, 9, (4, 5)).astype(np.float32)


def many_parts(root: Path, parts: int = PARTS) -> str:
    uri = prepare_store(str(root), MEL)
    for i in range(parts):
        write_part(uri, [f"key{i}"], [values(i)])
    write_index(uri)
    return uri


@contextmanager
def few_descriptors(limit: int = 256) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, open_files() + 16), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files() -> int:
    return len(list(Path("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd").iterdir()))


def test_many_parts_are_read_and_held_with_few_descriptors(tmp_path: Path) -> None:
    uri = many_parts(tmp_path)
    before = open_files()
    with few_descriptors():
        store = FeatureStore(uri)
        held = [store.read(f"key{i}") for i in range(PARTS)]
        windows = store.read_windows([(f"key{i}", 0, 1) for i in range(PARTS)], 3)
        assert open_files() <= before + 1
    for i, stored in enumerate(held):
        assert np.array_equal(stored.values, values(i).astype(np.float16))
        assert np.array_equal(windows[i, 0], stored.values[:, 1:4])


def test_parts_that_were_not_used_for_long_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAPPED_PARTS", 5)
    store = FeatureStore(many_parts(tmp_path, 12))
    first = store.read("key0")
    for _ in range(2):
        for i in range(12):
            assert np.array_equal(store.read(f"key{i}").values, values(i).astype(np.float16))
            assert len(store._parts) <= 5
    assert np.array_equal(first.values, values(0).astype(np.float16))  # who holds it keeps it


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_is_of_the_process_or_the_disk_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    uri = many_parts(tmp_path, 2)
    write_rows(str(tmp_path), "notes-1", [{"track_key": "a"}])
    (tmp_path / "manifest.parquet").write_bytes(b"")
    store = FeatureStore(uri)

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fails)
    monkeypatch.setattr(Path, "read_bytes", fails)
    for kind, read in (
        (StoreError, lambda: store.read("key1")),
        (StoreError, lambda: store.read_windows([("key1", 0, 0)], 2)),
        (StoreError, lambda: FeatureStore(uri)),
        (StoreError, lambda: read_rows(str(tmp_path), "notes-1")),
        (DatasetError, lambda: load_manifest(str(tmp_path / "manifest.parquet"))),
        (DatasetError, lambda: load_metadata(str(tmp_path / "manifest.parquet"))),
    ):
        with pytest.raises(kind, match=f"cannot be read now .*{os.strerror(number)}.*not mean it is damaged: ") as told:
            read()
        assert "delete" not in str(told.value) and "again:" not in str(told.value)


def test_maps_that_the_system_refuses_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.ones(2))
    too_large = ((2**59,), False, np.dtype(float), 0, 2**62)
    monkeypatch.setattr(mapped, "_header", lambda _: too_large)
    with pytest.raises(OSError, match="Cannot allocate memory") as told:
        map_array(tmp_path / "x.npy")
    assert told.value.errno == errno.ENOMEM and not is_damage(told.value)


def test_a_map_ends_with_its_last_array_and_keeps_no_descriptor(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(10.0))
    held = Path("/proc/self/maps")
    if not held.exists():
        pytest.skip("only Linux tells of maps in /proc")
    before = len(list(Path("/proc/self/fd").iterdir()))
    part = map_array(tmp_path / "x.npy")[3:]
    assert str(tmp_path) in held.read_text() and part[0] == 3 and len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(ValueError, match="WRITEABLE"):
        part.flags.writeable = True
    del part
    assert str(tmp_path) not in held.read_text()


def test_what_is_damage_says_what_to_delete() -> None:
    for error in (
        FileNotFoundError(errno.ENOENT, "none"),
        ValueError("no table"),
        OSError("Corrupt snappy"),
        EOFError(),
    ):
        assert is_damage(error) and "is damaged" in describe_unreadable("x", error, "delete it")
    assert not is_damage(MemoryError())
    assert "cannot be read now (no memory is left)" in describe_unreadable("x", MemoryError(), "delete it")


@pytest.mark.parametrize("array", [np.ones((2, 0), np.float32), np.arange(6.0).reshape(2, 3), np.asfortranarray(
    np.arange(6).reshape(2, 3)), np.array(3.0), np.arange(3, dtype=np.float16)])  # fmt: skip
def test_mapped_arrays_are_what_was_saved(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    mapped = map_array(tmp_path / "x.npy")
    assert np.array_equal(mapped, array) and mapped.dtype == array.dtype and not mapped.flags.writeable


@pytest.mark.parametrize("shape", [(3, 5), (0, 4)])
def test_halves_are_mapped(tmp_path: Path, shape: tuple[int, int]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(map_halves(tmp_path / "x.npy"), array)


@pytest.mark.parametrize("array", [np.ones((2, 2), np.float32), np.ones((2, 3), np.float16).T, np.ones(2, ">f2")])
def test_what_are_no_halves_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match="expected float16, a row after the other"):
        map_halves(tmp_path / "x.npy")


def test_rows_are_read_where_they_lie(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float16)
    np.save(tmp_path / "x.npy", array)
    reader = RowReader(tmp_path / "x.npy")
    for places in ([3, 0, 8, 3], []):
        np.testing.assert_array_equal(reader.read(np.array(places, np.int64)), array[places])
    np.save(tmp_path / "x.npy", np.asfortranarray(array))
    with pytest.raises(ValueError, match="expected rows, one after the other"):
        RowReader(tmp_path / "x.npy")


def test_catalogue_of_a_process_without_descriptors_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonearm.recommend import index as index_module

    def fails(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(index_module, "read_description", lambda *_: {})
    monkeypatch.setattr(index_module.storage, "read_bytes", fails)
    with pytest.raises(BundleError, match=r"cannot be read now .*Too many open files"):
        CatalogueIndex.load(str(tmp_path))
