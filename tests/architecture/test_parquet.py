"""pyarrow is handed bytes or paths: a process that gave it a Python file may abort at its end, after success."""

from __future__ import annotations

import ast

from tests.architecture.files import CODE, python_files, relative

READERS = {"read_table", "ParquetFile", "read_schema", "read_metadata", "read_parquet", "read_feather", "open_file"}
PYTHON_FILES = ("BytesIO(", "open(", ".open(", "PythonFile(")


def is_arrow(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in READERS


def test_no_parquet_is_read_through_a_python_file() -> None:
    for path in (p for p in python_files(*CODE, "tests") if p.name != "test_parquet.py"):
        tree = ast.parse(path.read_text("utf-8"))
        files = {
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(("io.BytesIO(", "BytesIO(", "open("))
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and is_arrow(node):
                given = [ast.unparse(a) for a in [*node.args, *(k.value for k in node.keywords)]]
                bad = [g for g in given if any(form in g for form in PYTHON_FILES) or g in files]
                assert not bad, (relative(path), node.lineno, bad)
