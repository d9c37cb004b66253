"""``python -m tests.gpu`` on a machine that has torch, NumPy and SciPy only, with the CPU in place of a card."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.gpu.parity import largest
from tests.gpu.report import Report
from tests.gpu.sharing import _line

ROOT = Path(__file__).resolve().parents[2]
#: torch, NumPy, SciPy, and what these themselves import.
BARE = (
    "torch", "torchgen", "functorch", "triton", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec",
    "filelock", "typing_extensions.py", "setuptools", "numpy", "numpy.libs", "scipy", "scipy.libs",
)  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that has nothing else."""
    folder, installed = tmp_path_factory.mktemp("bare"), Path(torch.__file__).parents[1]
    for name in BARE:
        if (installed / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder


def run(bare: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, by an interpreter that finds no installed packages but the bare ones, and no GPU."""
    path = os.pathsep.join(map(str, (bare, ROOT / "platform", ROOT)))
    env = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    interpreter = getattr(sys, "_base_executable", sys.executable)
    return subprocess.run([interpreter, "-S", *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


def test_the_machine_is_bare(bare: Path) -> None:
    for library in ("ray", "mlflow", "pandas", "pyarrow", "librosa", "soxr", "numba", "torchaudio", "pytest"):
        assert "ModuleNotFoundError" in run(bare, "-c", f"import {library}").stderr, library


def test_a_difference_that_is_no_number_fails() -> None:
    for values in ([0.0, math.nan], [math.nan, 0.0]):
        assert math.isnan(largest(values))
        report = Report(10.0)
        with report.section("representations", "", 10.0):
            report.check("mel", largest(values), 0.02)
        assert len(report.failed()) == 1


def test_a_process_that_says_nothing_is_not_waited_for() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        with pytest.raises(TimeoutError, match="did not say 'ready' within its time"):
            _line(process.stdout, "ready", time.monotonic() + 0.1)
    finally:
        process.kill()
        process.communicate()


def test_without_a_gpu_it_says_so_and_is_content(bare: Path) -> None:
    done = run(bare, "-m", "tests.gpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no GPU: torch.cuda.is_available() finds none here, so nothing was checked or measured\n"


@pytest.mark.timeout(1500)  # 30 s of CPU time
def test_everything_runs_with_the_cpu_in_place_of_the_card(bare: Path) -> None:
    done = run(bare, "-m", "tests.gpu", "--device", "cpu", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    rows = {(r["section"], r["name"]): r for r in found["rows"]}
    assert found["failed"] == 0 and found["ok"] + found["measured"] + found["not_run"] == len(rows)
    assert {section for section, _ in rows} == {
        "representations", "networks", "precisions", "resume", "steps", "waiting", "extraction", "memory", "sharing",
        "answers", "compile",
    }  # fmt: skip
    cpu_has_none = {("precisions", "tf32"), ("precisions", "float16"), ("memory", "simple"), ("memory", "rnn")}
    left_out = {key for key, r in rows.items() if r["status"] == "not run"}
    assert left_out == {("networks", "albums"), *cpu_has_none}
    assert rows["networks", "albums"]["text"] == "torchvision is not installed"
    assert rows["representations", "descriptors"]["status"] == "ok"
    assert rows["representations", "cqt"]["values"]["off"] <= 0.05
    assert rows["resume", "resume"]["values"]["off"] == 0.0
    assert rows["sharing", "half a card each"]["values"]["ratio"] > 0
