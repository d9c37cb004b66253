"""``tonearm clean`` goes by when a row of a table was written, whatever file it has been joined to since."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.test_clean import in_process, kinds, music, prepared  # noqa: F401  fixtures
from tonearm.core import home, storage
from tonearm.features.row_store import FINGERPRINT_TABLE, join_rows, read_keys, write_rows
from tonearm.workflows.clean import clean


def test_rows_of_a_table_that_grows_every_day_are_as_old_as_they_were_written(
    music: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(music)
    root, now = home.features_home(), time.time_ns()
    days = {f"gone {day}": day for day in (3, 2, 1, 0)}
    for key, day in days.items():
        with monkeypatch.context() as then:
            then.setattr(time, "time_ns", lambda day=day: now - day * 86_401 * 10**9)
            write_rows(root, FINGERPRINT_TABLE, [{"track_key": key, "fingerprint": b""}])
        join_rows(root, FINGERPRINT_TABLE)
    own = read_keys(root, FINGERPRINT_TABLE) - days.keys()
    assert len(storage.list_files(storage.join(root, FINGERPRINT_TABLE), ".parquet")) == 1 and len(own) == 24
    assert kinds(clean(delete=True)) == {"rows of such recordings in tables": 3}
    assert read_keys(root, FINGERPRINT_TABLE) == {*own, "gone 0"}
    assert not clean().leftovers and kinds(clean(hours=0)) == {"rows of such recordings in tables": 1}


def test_rows_of_earlier_versions_are_as_old_as_their_file(music: Path) -> None:  # noqa: F811
    prepared(music)
    file = Path(home.features_home()) / FINGERPRINT_TABLE / "before.parquet"
    pq.write_table(pa.table({"track_key": ["gone"], "fingerprint": [b""]}), file)
    assert not clean().leftovers
    os.utime(file, (time.time() - 2 * 86_400,) * 2)
    assert kinds(clean(delete=True)) == {"rows of such recordings in tables": 1} and not clean().leftovers
