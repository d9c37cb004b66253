"""``import tonearm``: light, and what it offers is what its table and its type checkers' imports say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tonearm

ASK = """
import sys, tonearm
names = dir(tonearm)
print([m for m in ("torch", "ray", "mlflow", "numpy", "pandas", "typer") if m in sys.modules])
"""


@pytest.mark.integration
def test_importing_it_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_and_type_checkers_see_the_same() -> None:
    offered = tonearm._MODULES
    for name, module in offered.items():
        assert name in dir(tonearm)
        assert getattr(tonearm, name).__module__ == module or module in sys.modules
    tree = ast.parse(Path(tonearm.__file__).read_text("utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tonearm.")
        for alias in node.names
    }
    assert seen == offered


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'prepar'; it offers .*prepare"):
        _ = tonearm.prepar
