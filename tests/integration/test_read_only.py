"""An installation and a HOME that are mounted read-only, as in many containers; and a proxy that answers nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Workplace
from tests.servers import missing

pytestmark = pytest.mark.integration

MOUNT = """
set -e
for place in "$INSTALLATION" "$CHECKOUT" "$HOME"; do
  mount --bind "$place" "$place"
  mount -o remount,ro,bind "$place"
done
cd "$HOME"
if touch made 2> /dev/null; then exit 99; fi
exec "$@"
"""


def test_features_of_an_installation_that_is_read_only(place: Workplace, tmp_path: Path) -> None:
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "x", str(tmp_path)], capture_output=True).returncode != 0:
        missing("mount namespaces, by unshare -m")
    unset = {"NUMBA_CACHE_DIR", "MPLCONFIGDIR", "RAY_AUTH_TOKEN", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}
    (tmp_path / "home").mkdir()
    environment = {
        **{name: value for name, value in place.environment.items() if name not in unset},
        "HOME": str(tmp_path / "home"),
        "INSTALLATION": str(Path(sys.prefix)),
        "CHECKOUT": str(ROOT),
        "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "socks5h://127.0.0.1:9",
    }
    job = place.command("jobs.extract", "--dataset", "folder", "--audio", str(place.music), "--features", "mel",
                        "--seconds", "5", "--descriptors")  # fmt: skip
    command = [*unshare, "sh", "-c", MOUNT, "sh", *job]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540)
    assert "cannot cache function" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "wrote descriptors" in done.stdout
    cache = Path(environment["TONEARM_CACHE"])
    assert list((cache / "numba").rglob("*.nbi")), "what numba compiled is kept"
