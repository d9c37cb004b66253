"""Parts that cannot be joined, and stores where nothing can be, end no extraction: they stay as they are."""

from __future__ import annotations

import errno
import logging
import os
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from tests.unit.test_join_parts import MEL, TRACKS, parts, small, whole, write
from tonearm.core import storage
from tonearm.features import join_parts as join_module
from tonearm.features.join_parts import PartJoiner, join_small_parts
from tonearm.features.row_store import join_rows, read_keys, write_rows
from tonearm.features.store import prepare_store
from tonearm.features.store_index import read_index

__all__ = ["small"]  # a fixture


def stored(uri: str, tracks: int) -> list[str]:
    return [write(uri, MEL, i) for i in range(tracks)]


@pytest.mark.parametrize("suffix", [".npy", ".frames.npy"])
@pytest.mark.parametrize("kind", ["shorter", "longer", "other type", "other shape"])
def test_a_part_that_is_not_what_its_index_says_is_left_alone(
    kind: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = prepare_store(str(tmp_path), MEL)
    names = stored(uri, 4)
    path = Path(uri, "parts", names[1] + suffix)
    kept, array = path.read_bytes(), np.load(path)
    changed = {"shorter": array[..., :-3], "longer": np.concatenate([array, array], axis=-1),
               "other type": array.astype(np.float64), "other shape": array[None]}  # fmt: skip
    np.save(path, changed[kind])
    with caplog.at_level(logging.WARNING):
        assert join_small_parts(uri, MEL) == 2
    assert caplog.text.count("a part is not joined with others") == 1 and f"{names[1]}" in caplog.text
    assert "delete it and its .parquet, then extract" in caplog.text
    path.write_bytes(kept)
    whole(uri, tracks=4)


def test_a_worker_leaves_such_a_part_alone_too(
    small: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_module, "PART_BYTES", 10)
    path = Path(small, "parts", write(small, MEL, TRACKS) + ".npy")
    kept = path.read_bytes()
    np.save(path, np.load(path)[:-10])
    PartJoiner().add(small, MEL, path.stem, 100)
    assert "a part is not joined with others" in caplog.text
    path.write_bytes(kept)
    whole(small, tracks=TRACKS + 1)


def test_a_part_that_another_job_joins_after_it_was_looked_at_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = prepare_store(f"memory://{uuid.uuid4().hex}/features", MEL)
    names = stored(uri, 4)
    read, reads = storage.read_bytes, list[str]()

    def counted(place: str) -> bytes:
        reads.append(place)
        data = read(place)
        if place.endswith(f"{names[1]}.npy"):  # gone as soon as it was read
            join_module.remove_part(uri, names[1])
        return data

    monkeypatch.setattr(storage, "read_bytes", counted)
    join_small_parts(uri, MEL)
    arrays = [place for place in reads if place.endswith(".npy")]
    assert len(arrays) == len(set(arrays)) <= 2 * 4  # each is fetched once
    assert {"key0", "key2", "key3"} <= set(read_index(uri).column("key").to_pylist())


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_mount_without_locks_is_not_joined_and_a_line_says_so(
    code: int, small: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(join_module, "PART_BYTES", 10)
    before = parts(small)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(fcntl, "flock", refuse)
        patch.setattr(join_module, "LOCK_SECONDS", 0.2)
        for name in before[:3]:
            PartJoiner().add(small, MEL, name.removesuffix(".parquet"), 100)
        assert join_small_parts(small, MEL) == 0
        write_rows(small, "table-1", [{"track_key": "a"}])
        write_rows(small, "table-1", [{"track_key": "b"}])
        assert join_rows(small, "table-1") == 0
    assert parts(small) == before and read_keys(small, "table-1") == {"a", "b"}
    assert caplog.text.count(f"small files of {small} stay as they are") == 1
    assert join_small_parts(small, MEL) >= 0 and join_rows(small, "table-1") == 1


def rows_by_age(uri: str) -> dict[str, float]:
    """Of each track in a store, how many days ago its part was written."""
    index = read_index(uri)
    return {
        key: round((storage.age(f"{uri}/parts/{part}.parquet") or 0.0) / 86_400, 1)
        for key, part in zip(index.column("key").to_pylist(), index.column("part").to_pylist(), strict=True)
    }


def test_a_store_that_grows_every_day_has_old_parts(tmp_path: Path) -> None:
    uri = prepare_store(str(tmp_path), MEL)
    for i, days in enumerate((9, 9, 5, 3)):
        path = Path(uri, "parts", write(uri, MEL, i) + ".parquet")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    for i in range(4, 7):
        write(uri, MEL, i)
    assert join_small_parts(uri, MEL) == 5 and len(parts(uri)) == 2
    assert rows_by_age(uri) == dict.fromkeys(("key0", "key1", "key2", "key3"), 3.0) | dict.fromkeys(
        ("key4", "key5", "key6"), 0.0
    )
    whole(uri, tracks=7)
    assert join_small_parts(uri, MEL) == 0


def test_many_small_parts_of_an_old_store_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = prepare_store(str(tmp_path), MEL)
    stored(uri, 40)
    monkeypatch.setattr(join_module, "PART_BYTES", 4 * 2 * 7 * 2 * 2)
    join_small_parts(uri, MEL)
    assert f"40 small parts of {uri} are joined to large ones" in caplog.text
    assert "40/40 small parts joined" in capsys.readouterr().out
    whole(uri, tracks=40)
