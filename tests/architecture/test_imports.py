"""Importing does nothing, and the torch side stands alone. Each is seen in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.files import CODE, ROOT, RUN_BY_MLFLOW, modules

TORCH_SIDE = tuple(
    f"platform/tonearm/{layer}" for layer in ("core", "audio", "features", "datasets", "models", "tasks", "training")
)
HEAVY = ("ray", "mlflow", "pandas", "sklearn", "librosa", "pyarrow", "soundfile")

IMPORT_ALL = """
import importlib, json, sys
connections = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        connections.append([event, repr(arguments[1:])])
sys.addaudithook(watch)
names, heavy = json.loads(sys.argv[1]), json.loads(sys.argv[2])
loaded = {}
for name in names:
    importlib.import_module(name)
    for library in heavy:
        if library in sys.modules:
            loaded.setdefault(library, name)
print(json.dumps({"connections": connections, "loaded": loaded}))
"""


def import_in_fresh_process(names: list[str], heavy: tuple[str, ...], folder: Path) -> dict[str, object]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps(names), json.dumps(heavy)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.mark.integration
def test_importing_everything_writes_nothing_and_connects_nowhere(tmp_path: Path) -> None:
    names = [n for n in modules(*CODE) if n != RUN_BY_MLFLOW]
    assert len(names) > 60
    seen = import_in_fresh_process(names, (), tmp_path)
    assert seen["connections"] == []
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == []


@pytest.mark.integration
def test_torch_side_imports_without_ray_mlflow_and_the_rest(tmp_path: Path) -> None:
    seen = import_in_fresh_process(modules(*TORCH_SIDE), HEAVY, tmp_path)
    assert seen["loaded"] == {}
