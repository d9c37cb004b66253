"""What a model answers of files as a table for people and pandas: Parquet, or CSV that a spreadsheet can open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import ConfigError
from tonearm.core.process_environment import may_write

SUFFIXES = (".csv", ".parquet")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet begins what it computes
SET_ASIDE = ".set_aside.csv"
OF_NEIGHBOUR = ("title", "artist", "label")

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
    files: Sequence[Mapping[str, Any]], names: Sequence[str], values: np.ndarray, of: str = "p"
) -> Columns:
    """The columns of the table, a row a file.

    Parameters
    ----------
    files
        Of each file its ``file``, ``title``, ``artist`` and ``neighbours``.
    names
        What the model's outputs stand for.
    values
        float32 (files, outputs).
    of
        ``"p"`` for probabilities; ``"value"`` for the values of a regression, which have no best label.
    """
    columns: Columns = {name: [f[name] for f in files] for name in ("file", "title", "artist")}
    if of == "p":
        best = np.argmax(values, axis=1) if len(files) else np.zeros(0, int)
        columns["label"] = [names[i] for i in best]
        columns["probability"] = list(values[np.arange(len(files)), best])
    columns |= {f"{of}:{name}": list(values[:, i]) for i, name in enumerate(names)}
    for i in range(max((len(f["neighbours"]) for f in files), default=0)):
        near = [f["neighbours"][i] if i < len(f["neighbours"]) else None for f in files]
        columns[f"neighbour_{i + 1}"] = [n and n.track["track_id"] for n in near]
        columns[f"neighbour_{i + 1}_similarity"] = [n.similarity if n else None for n in near]
        for name in OF_NEIGHBOUR:
            columns[f"neighbour_{i + 1}_{name}"] = [n and n.track.get(name) for n in near]
    return columns


def write_answers(out: str, columns: Columns) -> None:
    """Write a table as its name says, whole or not at all."""
    if out.lower().endswith(".csv"):
        write_csv(out, columns)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {
        name: pa.array(values, pa.float32()) if _numeric(name) else pa.array([_text(v) for v in values], pa.string())
        for name, values in columns.items()
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer)
    storage.write_bytes(out, buffer.getvalue())


def write_csv(out: str, columns: Columns) -> None:
    """Write a table as CSV in UTF-8: texts that a spreadsheet would compute begin with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_text, columns))
    cells = [
        [_number(v) for v in values] if _numeric(name) else [_plain(v) for v in values]
        for name, values in columns.items()
    ]
    writer.writerows(zip(*cells, strict=True))
    storage.write_bytes(out, text.getvalue().encode())


def write_set_aside(out: str, reasons: Iterable[tuple[str, str, str]]) -> None:
    """Write file, reason and detail of what was set aside, beside the table of answers; if nothing, a header."""
    rows = list(reasons)
    write_csv(set_aside_uri(out), {name: [r[i] for r in rows] for i, name in enumerate(("file", "reason", "detail"))})


def _numeric(name: str) -> bool:
    return name == "probability" or name.startswith(("p:", "value:")) or name.endswith("_similarity")


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
