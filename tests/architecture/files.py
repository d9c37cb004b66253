"""Which files the repository holds, and its modules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("platform/tonearm", "jobs", "search_spaces", "serve")
#: MLflow runs this file when it loads a model: it must name its model as it is run, so importing it does something.
RUN_BY_MLFLOW = "tonearm.inference.pyfunc_model"


def repository_files() -> Iterator[Path]:
    """Every file but git's own, what tools left behind, and what .gitignore names."""
    for base, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f in (".ci", ".github") or not f.startswith(".")]
        folders[:] = [f for f in folders if f not in ("__pycache__", "build") and not f.endswith(".egg-info")]
        yield from (Path(base) / name for name in sorted(names))


def python_files(*below: str) -> list[Path]:
    """The Python files below folders of the repository."""
    return sorted(p for p in repository_files() if p.suffix == ".py" and any(in_folder(p, f) for f in below or (".",)))


def in_folder(path: Path, folder: str) -> bool:
    return path.is_relative_to(ROOT / folder)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """``platform/tonearm/core/types.py`` is ``tonearm.core.types``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    parts = parts[1:] if parts[0] == "platform" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(*below: str) -> list[str]:
    return [module_name(p) for p in python_files(*below)]
