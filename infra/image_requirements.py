"""What the image installs: two files for pip, from pyproject.toml and constraints.txt.

    python image_requirements.py ACCELERATOR FOLDER [--torch VERSION] [--without NAME ...]

With ``cpu`` torch and torchvision are asked for as ``+cpu`` builds, which hold none of CUDA's 3 GB of libraries.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

EXTRAS = ("demo", "server", "s3")
CUDA_ONLY = re.compile(r"(nvidia-(?!ml-py)|cuda-|triton==)")
TORCH = ("torch", "torchvision", "torchaudio")


def requirements(project: dict[str, object], without: frozenset[str] = frozenset()) -> list[str]:
    """The dependencies of the project and of the extras that an image needs.

    Raises
    ------
    ValueError
        If there is no dependency of a name to leave out.
    """
    table = project["project"]
    assert isinstance(table, dict)
    wanted = [*table["dependencies"], *(r for extra in EXTRAS for r in table["optional-dependencies"][extra])]
    names = {re.split(r"[^\w.-]", r)[0] for r in wanted}
    if without - names:
        raise ValueError(f"nothing is called {', '.join(sorted(without - names))}: the project needs {sorted(names)}")
    return [r for r in wanted if re.split(r"[^\w.-]", r)[0] not in without]


def constraints(lines: list[str], accelerator: str, torch: str = "") -> list[str]:
    """The pinned versions; of torch another one where it is given, and its builds for CPUs with ``cpu``."""
    kept = [line for line in lines if line and not (accelerator == "cpu" and CUDA_ONLY.match(line))]
    pins = dict(line.split("==") for line in kept)
    if torch:
        pins = {name: version for name, version in pins.items() if name not in TORCH} | {"torch": torch}
    if accelerator == "cpu":
        pins |= {name: f"{version}+cpu" for name, version in pins.items() if name in TORCH}
    return [f"{name}=={version}" for name, version in pins.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("accelerator", choices=["cpu", "cuda"])
    parser.add_argument("folder", type=Path, help="where pyproject.toml and constraints.txt are; files are put there")
    parser.add_argument("--torch", default="", help="another version than constraints.txt's")
    parser.add_argument("--without", nargs="*", default=[], help="dependencies that are left out")
    given = parser.parse_args()
    project = tomllib.loads((given.folder / "pyproject.toml").read_text())
    pinned = (given.folder / "constraints.txt").read_text().splitlines()
    wanted = requirements(project, frozenset(given.without))
    (given.folder / "requirements.txt").write_text("\n".join(wanted) + "\n")
    (given.folder / "pins.txt").write_text("\n".join(constraints(pinned, given.accelerator, given.torch)) + "\n")


if __name__ == "__main__":
    main()
