"""Which code trained a trial, and on which machine: a digest of the modules that decide results, and the tags of the
process, kept in the trial's folder."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.plugins import modules_of
from tonearm.core.seeding import digest

if TYPE_CHECKING:
    from tonearm.training.baselines import BaselineConfig
    from tonearm.training.config import TrialConfig
    from tonearm.training.trial import TrialFolder

ROOMS = ("audio", "datasets", "features", "models", "tasks", "training")
CORE = ("core/precision.py", "core/seeding.py")  # the rest of the core reads, writes and names
MACHINE = "trained_by.json"  # in a trial's folder: the tags of the process that trained it last
CODE = "TONEARM_CODE"  # in a worker's environment: the driver's digest, which takes a second to find
SHOWN = 3  # digests in a message
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def code_digest() -> str:
    """Digest of the modules that decide what a training comes to: the same as long as what they do is written the same,
    whatever their comments and docstrings say. A worker takes the driver's."""
    given = os.environ.get(CODE)
    if given:
        return given
    root = Path(__file__).parents[1]
    files = sorted([*(root / name for name in CORE), *(p for room in ROOMS for p in (root / room).rglob("*.py"))])
    return digest([[path.relative_to(root).as_posix(), tree_digest(path.read_text("utf-8"))] for path in files])


def code_of(config: TrialConfig | BaselineConfig) -> str:
    """:func:`code_digest`, for a config that names classes outside Tonearm, or builds upon trials that do, with the
    modules that these are written in; what such modules import is not looked at."""
    members = getattr(config, "members", ())
    return with_modules(tuple(sorted({*modules_of(config), *_modules_below([m.bundle for m in members])})))


def _modules_below(bundles: Sequence[str]) -> set[str]:
    """The modules outside Tonearm of these bundles and of all that they build upon, as far as they are there."""
    found: set[str] = set()
    for bundle in bundles:
        with contextlib.suppress(FileNotFoundError):  # not trained yet, or its home was moved
            own, below = _modules_of_bundle(bundle)
            found |= {*own, *_modules_below(below)}
    return found


@cache
def _modules_of_bundle(uri: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules outside Tonearm that a bundle names, and the bundles that it builds upon: both by its config, of
    which it is the trial's only one."""
    description = storage.read_json(storage.join(uri, "bundle.json"))
    members = description["config"].get("members") or ()
    return tuple(description.get("modules", ())), tuple(member["bundle"] for member in members if member.get("bundle"))


@cache
def with_modules(names: tuple[str, ...]) -> str:
    """:func:`code_digest` with that of the sources of these modules."""
    sources = [_source(name) for name in names]
    own = [[name, tree_digest(Path(source).read_text("utf-8"))]
           for name, source in zip(names, sources, strict=True) if source and source.endswith(".py")]  # fmt: skip
    return digest(code_digest(), own) if own else code_digest()


def _source(name: str) -> str | None:
    """The file of a module, which is not run for that."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def tree_digest(source: str) -> str:
    """Digest of what a module does: of its syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and node.body and _is_text(node.body[0]):
            node.body = node.body[1:]
    return digest(ast.dump(tree))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def told_of_other_code(trials: Sequence[tuple[TrialFolder, TrialConfig | BaselineConfig]]) -> str:
    """What people must know of finished trials that are taken as they are: how many other code has trained, and what
    trains them anew; "" if none."""
    others = [(folder.code(), now) for folder, config in trials if folder.code() != [now := code_of(config)]]
    if not others:
        return ""
    by = Counter(" then ".join(code) or "unknown, of an earlier version" for code, _ in others)
    which = ", ".join(text if count == len(others) else f"{count} by {text}" for text, count in by.most_common(SHOWN))
    present = ", ".join(list(dict.fromkeys(now for _, now in others))[:SHOWN])
    return (f"{len(others)} of {len(trials)} trials were trained by other code (digest {which}; now {present}) and are "
            "taken as they are; --retrain trains them anew")  # fmt: skip


def note_machine(folder: TrialFolder, tags: Mapping[str, str]) -> None:
    """Write down what the process that trains a trial says of itself: commit, machine, environment."""
    if machine_of(folder) != tags:
        storage.write_json(storage.join(folder.uri, MACHINE), dict(tags))


def machine_of(folder: TrialFolder) -> dict[str, Any]:
    """What the process that trained a trial last said of itself; earlier versions did not write that down."""
    path = storage.join(folder.uri, MACHINE)
    return dict(storage.read_json(path)) if storage.exists(path) else {}
