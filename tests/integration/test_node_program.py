"""infra/node.sh, with a program in Ray's place."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.network import ROOT

pytestmark = pytest.mark.integration


def test_what_is_submitted_to_a_node_runs_the_python_beside_its_ray(tmp_path: Path) -> None:
    """As a service it has no environment of a user's: ``python`` would be the machine's, without a package."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    ray, python = programs / "ray", programs / "python"
    ray.write_text('#!/bin/sh\necho "$@"\ncommand -v python\nexec sleep 60\n')
    python.write_text("#!/bin/sh\n")
    for program in (ray, python):
        program.chmod(0o755)
    kept = subprocess.Popen([str(ROOT / "infra" / "node.sh"), "--address=head:6379"], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "PATH": "/usr/bin:/bin", "RAY_PROGRAM": str(ray)})  # fmt: skip
    try:
        assert kept.stdout is not None
        assert [kept.stdout.readline().strip() for _ in range(2)] == [
            "start --block --address=head:6379",
            str(python),
        ]
    finally:
        kept.send_signal(signal.SIGTERM)
        assert kept.wait(30) == 0
