"""What a model answers of files as a table for people and pandas: Parquet, or CSV that a spreadsheet can open."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import ConfigError
from tonearm.core.process_environment import may_write

if TYPE_CHECKING:
    from tonearm.tasks.base import Task

SUFFIXES = (".csv", ".parquet")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet begins what it computes
SET_ASIDE = ".set_aside.csv"
OF_NEIGHBOUR = ("title", "artist", "label")
NUMERIC = ("probability", "fitness", "heard", "sure")
PREFIXES = ("p:", "fitness:", "value:", "vector:")  # of columns of numbers

Columns = dict[str, Sequence[Any]]


def require_table(out: str) -> None:
    """Check, before any work, that a table can be written there.

    Raises
    ------
    ConfigError
        If its name does not end in ``.csv`` or ``.parquet``, or nothing can be written there.
    """
    if not out.lower().endswith(SUFFIXES):
        raise ConfigError(f"--out {out}: give a file whose name ends in {' or '.join(SUFFIXES)}")
    path = storage.local_path(out)
    if storage.is_local(out) and (path.is_dir() or not may_write(str(path.absolute().parent))):
        raise ConfigError(f"--out {out}: no file can be written there; give one in a folder of yours")


def set_aside_uri(out: str) -> str:
    """The table beside an answer's that says what was set aside: ``answers.set_aside.csv``."""
    return out[: out.rindex(".")] + SET_ASIDE


def answer_columns(
    files: Sequence[Mapping[str, Any]], task: Task, names: Sequence[str], values: np.ndarray, neighbours: int
) -> Columns:
    """The columns of the table, a row a file.

    Parameters
    ----------
    files
        Of each file, one at least, its ``file``, ``title``, ``artist`` and ``neighbours``; and where the model
        can tell, ``heard`` and ``doubt``.
    task
        Of the model: it says what its numbers are.
    names
        What the model's outputs stand for.
    values
        float32 (files, outputs).
    neighbours
        How many have columns.
    """
    columns: Columns = {name: [f[name] for f in files] for name in ("file", "title", "artist")}
    first = task.read(values[0], names)
    if first.columns():
        told = [task.read(row, names).columns() for row in values]
        columns |= {name: [row[name] for row in told] for name in first.columns()}
    columns["heard"] = [f.get("heard") for f in files]
    columns["sure"] = columns.get("probability", [None] * len(files))
    columns["doubt"] = [f.get("doubt") for f in files]
    columns |= {name: list(values[:, i]) for i, name in enumerate(first.number_names(names))}
    for i in range(neighbours):
        near = [f["neighbours"][i] if i < len(f["neighbours"]) else None for f in files]
        columns[f"neighbour_{i + 1}"] = [n and n.track["track_id"] for n in near]
        columns[f"neighbour_{i + 1}_similarity"] = [n.similarity if n else None for n in near]
        for name in OF_NEIGHBOUR:
            columns[f"neighbour_{i + 1}_{name}"] = [n and n.track.get(name) for n in near]
    return columns


def write_table(out: str, parts: Iterable[Columns]) -> None:
    """Write a table, some rows at a time, as its name says, whole or not at all; all parts have the same columns.

    In CSV, texts that a spreadsheet would compute begin with an apostrophe.
    """
    path = storage.temporary_file(out)
    try:
        if out.lower().endswith(".csv"):
            _write_csv(path, parts)
        else:
            _write_parquet(path, parts)
        storage.publish(path, out)
    finally:
        path.unlink(missing_ok=True)


def _write_parquet(path: Path, parts: Iterable[Columns]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    try:
        for columns in parts:
            rows = pa.table({
                name: pa.array(values, pa.float32()) if _numeric(name)
                else pa.array([_text(v) for v in values], pa.string())
                for name, values in columns.items()
            })  # fmt: skip
            writer = writer or pq.ParquetWriter(str(path), rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()


def _write_csv(path: Path, parts: Iterable[Columns]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for i, columns in enumerate(parts):
            if i == 0:
                writer.writerow(map(_text, columns))
            cells = [map(_number if _numeric(name) else _plain, values) for name, values in columns.items()]
            writer.writerows(zip(*cells, strict=True))


def write_set_aside(out: str, reasons: Iterable[tuple[str, str, str]]) -> None:
    """Write file, reason and detail of what was set aside, beside the table of answers; if nothing, a header."""
    rows = list(reasons)
    names = ("file", "reason", "detail")
    write_table(set_aside_uri(out), [{name: [r[i] for r in rows] for i, name in enumerate(names)}])


def _numeric(name: str) -> bool:
    return name in NUMERIC or name.startswith(PREFIXES) or name.endswith("_similarity")


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.6g}"


def _text(value: Any) -> str | None:
    """A text that can be written: without zero bytes, and without what is no character."""
    if value is None:
        return None
    return str(value).replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> str:
    text = _text(value) or ""
    return f"'{text}" if text.startswith(FORMULA) else text
