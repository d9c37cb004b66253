"""Who may import whom: import-linter's contracts, and where Ray's libraries and MLflow may be named."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.files import CODE, ROOT, in_folder, module_name, python_files, relative

ONLY_IN = {
    "ray.data": ("platform/tonearm/pipelines",),
    "ray.tune": ("platform/tonearm/sweeps",),
    "mlflow": ("platform/tonearm/tracking", "platform/tonearm/inference/pyfunc_model.py"),
    "ray.serve": ("serve",),
    "ray.util.metrics": ("platform/tonearm/tracking/ray_metrics.py",),
}


def imported_names(source: str) -> set[str]:
    """Every dotted name that the source imports, wherever in it, or reaches through ``ray`` or ``import_module``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ray":
            found.add(f"ray.{node.attr}")
        elif isinstance(node, ast.Call) and node.args:
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            named = isinstance(first, ast.Constant) and isinstance(first.value, str)
            if function in ("import_module", "__import__") and named:
                found.add(str(first.value))  # type: ignore[attr-defined]
    return found


def uses(source: str, library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in imported_names(source))


@pytest.mark.integration
def test_import_contracts_hold() -> None:
    script = Path(sys.executable).with_name("lint-imports")
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    done = subprocess.run([script, "--no-cache"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        "from ray import tune",
        "from ray import tune as t",
        "import ray.tune",
        "import ray.tune.schedulers as s",
        "from ray.tune import Tuner",
        "def f():\n    from ray import data, tune",
        "import ray\nray.tune.Tuner()",
        "import importlib\nimportlib.import_module('ray.tune')",
    ],
)
def test_the_checker_sees_every_way_of_importing(source: str) -> None:
    assert uses(source, "ray.tune")


@pytest.mark.parametrize(
    "source", ["import ray", "from raytune import tune", "tune = 'ray.tune'", "from .ray import tune"]
)
def test_the_checker_leaves_other_code_alone(source: str) -> None:
    assert not uses(source, "ray.tune")


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_only_where_it_belongs(library: str) -> None:
    allowed = ONLY_IN[library]
    users = [p for p in python_files(*CODE) if uses(p.read_text("utf-8"), library)]
    assert [relative(p) for p in users if not any(in_folder(p, a) for a in allowed)] == []


@pytest.mark.parametrize("library", ["ray.data", "ray.tune", "mlflow", "ray.util.metrics"])
def test_the_places_that_may_use_a_library_do(library: str) -> None:
    assert any(uses(p.read_text("utf-8"), library) for p in python_files(*ONLY_IN[library]))


def test_modules_are_named_by_their_place() -> None:
    assert module_name(ROOT / "platform/tonearm/core/types.py") == "tonearm.core.types"
    assert module_name(ROOT / "platform/tonearm/core/__init__.py") == "tonearm.core"
    assert module_name(ROOT / "jobs/sweep.py") == "jobs.sweep"
