"""CSV as it comes: fields of any length, spaces after separators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonearm.datasets.csv_text import read_csv_text
from tonearm.datasets.tables import read_table
from tonearm.datasets.track_columns import column_names

LONG = "la " * 60_000
"""More than the 131 072 characters that Python's reader takes."""


@pytest.mark.parametrize("text", [
    f'path,lyrics\na.mp3,"{LONG}"\n', f"path,lyrics\na.mp3,{LONG},\n", f'"path,lyrics"\n"a.mp3,{LONG}"\n',
    f'path,lyrics,"{LONG}"\na.mp3,{LONG},x\n', f"path, lyrics\na.mp3, {LONG},\n",
])  # fmt: skip
def test_a_cell_may_be_long(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert read_table(tmp_path / "t.csv", ["lyrics"])["lyrics"][0].strip() == LONG.strip()
    assert column_names(read_csv_text(tmp_path / "t.csv"))[:2] == ["path", "lyrics"]


@pytest.mark.parametrize("header", ["path, genre", "path, genre ", 'path, "genre"', "path,genre"])
def test_spaces_after_separators_are_none_of_a_name_where_a_row_has_surplus_fields(header: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\na.mp3, Rock,\nb.mp3, Jazz\n")
    found = read_table(tmp_path / "t.csv", (), None)
    assert [name.strip() for name in found] == ["path", "genre"]
    assert [value.strip() for value in found["genre" if "genre" in found else "genre "]] == ["Rock", "Jazz"]
