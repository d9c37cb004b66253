"""Which code trained a trial: a digest of the modules that decide results, kept in the trial's folder."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tonearm.core.seeding import digest

if TYPE_CHECKING:
    from tonearm.training.trial import TrialFolder

ROOMS = ("audio", "datasets", "features", "models", "tasks", "training")
CODE = "TONEARM_CODE"  # in a worker's environment: the driver's digest, which takes a second to find
SHOWN = 3  # folders in a message
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def code_digest() -> str:
    """Digest of the modules that decide what a training comes to: the same as long as what they do is written the same,
    whatever their comments and docstrings say. A worker takes the driver's."""
    given = os.environ.get(CODE)
    if given:
        return given
    root = Path(__file__).parents[1]
    files = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
    return digest([[path.relative_to(root).as_posix(), tree_digest(path.read_text("utf-8"))] for path in files])


def tree_digest(source: str) -> str:
    """Digest of what a module does: of its syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and node.body and _is_text(node.body[0]):
            node.body = node.body[1:]
    return digest(ast.dump(tree))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def told_of_other_code(folders: Sequence[TrialFolder]) -> str:
    """What people must know of finished trials that are taken as they are: how many other code has trained, and what
    to delete for them to be trained anew; "" if none."""
    now = code_digest()
    others = {folder.uri: code for folder in folders if (code := folder.code()) != [now]}
    if not others:
        return ""
    by = Counter(" then ".join(code) or "unknown, of an earlier version" for code in others.values())
    which = ", ".join(text if count == len(others) else f"{count} by {text}" for text, count in by.most_common(SHOWN))
    places = ", ".join(list(others)[:SHOWN]) + (", ..." if len(others) > SHOWN else "")
    return (f"{len(others)} of {len(folders)} trials were trained by other code (digest {which}; now {now}) and are "
            f"taken as they are; to train them anew, delete {places}")  # fmt: skip
