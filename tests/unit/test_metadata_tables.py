"""Metadata that a person brings as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonearm.core.errors import DatasetError
from tonearm.datasets.metadata import Metadata, save_metadata
from tonearm.datasets.metadata_tables import read_metadata_table


def test_numbers_of_a_csv_are_facts_and_texts_are_not(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("track_id;mood;tempo;year\na;calm;120.5;1999\nb;;;2001\n", encoding="utf-8")
    found = read_metadata_table(str(tmp_path / "f.csv"))
    assert found.columns == ["tempo", "year"] and found.track_ids == ["a", "b"]
    np.testing.assert_array_equal(found.of(["a", "b"], "tempo"), [120.5, np.nan])
    assert found.of(["b"], "year").tolist() == [2001.0]


def test_rows_may_be_artists_and_columns_lists(tmp_path: Path) -> None:
    table = pa.table({"artist": ["Ada", "Bob", "Cy"], "vector": [[1.0, 2.0], None, [3.0, 4.0]], "plays": [1, 2, 3]})
    pq.write_table(table, tmp_path / "f.parquet")
    found = read_metadata_table(str(tmp_path / "f.parquet"))
    assert found.track_ids == ["Ada", "Bob", "Cy"] and found.columns == ["plays", "vector"]
    np.testing.assert_array_equal(found.of(["Cy", "Bob"], "vector"), [[3.0, 4.0], [np.nan, np.nan]])
    assert found.of(["Bob"], "plays").dtype == np.float64


def test_what_jobs_factors_writes_is_read(tmp_path: Path) -> None:
    save_metadata(
        str(tmp_path / "f.parquet"), Metadata(["Ada", "Bob"], {"factors": np.array([[1.0, 2.0], [3.0, 4.0]])})
    )
    assert read_metadata_table(str(tmp_path / "f.parquet")).of(["Bob"], "factors").tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,tempo\na,1\n", "has no column track_id or artist: it has name, tempo"),
        ("track_id,mood\na,calm\n", "holds no numbers besides track_id: it has mood"),
        ("track_id,tempo\na,1\na,2\n", "2 rows for 1 track ids"),
    ],
)
def test_tables_that_tell_nothing_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_metadata_table(str(tmp_path / "f.csv"))


def test_lists_of_several_lengths_and_absent_files_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"track_id": ["a", "b"], "v": [[1.0], [1.0, 2.0]]}), tmp_path / "f.parquet")
    with pytest.raises(DatasetError, match=r"lists of \[1, 2\] numbers"):
        read_metadata_table(str(tmp_path / "f.parquet"))
    with pytest.raises(DatasetError, match="no metadata at"):
        read_metadata_table(str(tmp_path / "nowhere.csv"))
