"""Tables of rows: small files become one, the last row of a track counts, and nothing is lost on the way."""

from __future__ import annotations

import errno
import logging
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.killing import killed_after
from tonearm.core import storage
from tonearm.features import row_store
from tonearm.features.row_store import WRITTEN, join_rows, prune_rows, read_keys, read_rows, write_rows

TABLE = "table-1"


def files(root: str) -> list[str]:
    return storage.list_files(f"{root}/{TABLE}", ".parquet")


def filled(root: str, count: int = 30) -> dict[str, dict[str, Any]]:
    """Files in which each track is several times; what is to be read of them."""
    rng, wanted = np.random.default_rng(0), {}
    for i in range(count):
        sometimes = None if i % 3 else float(i)
        rows = [{"track_key": f"key{rng.integers(12)}", "value": i, "sometimes": sometimes, "print": None}]
        rows += [{"track_key": f"only{i}", "value": i, "sometimes": None, "print": bytes([i] * 3)}]
        write_rows(root, TABLE, rows)
        wanted |= {row["track_key"]: row for row in rows}
    return wanted


def read(root: str) -> dict[str, dict[str, Any]]:
    return {key: {k: v for k, v in row.items() if v is not None} for key, row in read_rows(root, TABLE).items()}


def known(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {k: v for k, v in row.items() if v is not None} for key, row in rows.items()}


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_small_files_are_joined_and_the_last_row_counts(kind: str, tmp_path: Path) -> None:
    root = str(tmp_path) if kind == "local" else f"memory://{uuid.uuid4().hex}"
    wanted = known(filled(root))
    assert read(root) == wanted and len(files(root)) == 30
    assert join_rows(root, TABLE) == 29 and len(files(root)) == 1
    assert read(root) == wanted and read_keys(root, TABLE) == wanted.keys()
    assert set(read_rows(root, TABLE, ["only3", "key1", "nobody"])) == {"only3", "key1"} & wanted.keys()
    write_rows(root, TABLE, [{"track_key": "only3", "value": 99}])
    assert read_rows(root, TABLE)["only3"]["value"] == 99
    assert join_rows(root, TABLE) == 1 and read_rows(root, TABLE)["only3"]["value"] == 99
    assert join_rows(root, TABLE) == 0 and join_rows(root, "absent-1") == 0


def test_files_that_are_large_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = known(filled(str(tmp_path)))
    monkeypatch.setattr(row_store, "FILE_BYTES", 8000)
    join_rows(str(tmp_path), TABLE)
    assert 1 < len(files(str(tmp_path))) < 15 and read(str(tmp_path)) == wanted
    large = {n for n in files(str(tmp_path)) if (tmp_path / TABLE / n).stat().st_size >= 8000}
    write_rows(str(tmp_path), TABLE, [{"track_key": "more", "value": 1}])
    join_rows(str(tmp_path), TABLE)
    assert large <= set(files(str(tmp_path)))


@pytest.mark.parametrize("at", range(0, 12, 2))
def test_joining_that_is_killed_loses_nothing(tmp_path: Path, at: int) -> None:
    wanted = known(filled(str(tmp_path), 9))
    with killed_after(at, storage, ("write_bytes", "remove")):
        join_rows(str(tmp_path), TABLE)
    assert read(str(tmp_path)) == wanted
    join_rows(str(tmp_path), TABLE)
    assert read(str(tmp_path)) == wanted and len(files(str(tmp_path))) == 1


def test_readers_see_all_rows_while_files_are_joined(tmp_path: Path) -> None:
    wanted, failed, over = known(filled(str(tmp_path))), list[BaseException](), threading.Event()

    def reading() -> None:
        try:
            while not over.is_set():
                assert read(str(tmp_path)) == wanted
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    join_rows(str(tmp_path), TABLE)
    time.sleep(0.05)
    over.set()
    for reader in readers:
        reader.join()
    assert not failed


def test_rows_from_before_times_were_kept_are_older(tmp_path: Path) -> None:
    write_rows(str(tmp_path), TABLE, [{"track_key": "a", "value": 2}])
    pq.write_table(pa.table({"track_key": ["a", "b"], "value": [1, 1]}), tmp_path / TABLE / "zz.parquet")
    for _ in range(2):
        assert {k: r["value"] for k, r in read_rows(str(tmp_path), TABLE).items()} == {"a": 2, "b": 1}
        join_rows(str(tmp_path), TABLE)
    assert len(files(str(tmp_path))) == 1 and WRITTEN not in read_rows(str(tmp_path), TABLE)["a"]


def test_files_that_do_not_fit_together_stay_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_rows(str(tmp_path), TABLE, [{"track_key": "a", "value": 2}])
    write_rows(str(tmp_path), TABLE, [{"track_key": "b", "value": "two"}])
    with caplog.at_level(logging.WARNING):
        assert join_rows(str(tmp_path), TABLE) == 0
    assert "cannot be joined" in caplog.text and {"a", "b"} == read_rows(str(tmp_path), TABLE).keys()


def test_pruning_keeps_what_is_needed_and_only_that(tmp_path: Path) -> None:
    wanted = known(filled(str(tmp_path)))
    needed = {key for i, key in enumerate(sorted(wanted)) if i % 2}
    prune_rows(str(tmp_path), TABLE, needed)
    assert read(str(tmp_path)) == {key: wanted[key] for key in needed}
    join_rows(str(tmp_path), TABLE)
    prune_rows(str(tmp_path), TABLE, set())
    assert files(str(tmp_path)) == [] and read_rows(str(tmp_path), TABLE) == {}


def test_a_full_disk_ends_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    wanted = known(filled(str(tmp_path)))
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(storage, "write_bytes", full)
        assert join_rows(str(tmp_path), TABLE) == 0
    assert "No space left" in caplog.text and read(str(tmp_path)) == wanted and len(files(str(tmp_path))) == 30
