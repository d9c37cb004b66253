"""What pip is told on this machine, for the build of an image: ``python lend_pip.py FOLDER`` writes there

pip.conf
    its settings, from files and from the environment
ca
    the certificates that it trusts, lent as /run/secrets/ca
volumes
    folders of wheels that its settings name, a line each
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

CA = "/run/secrets/ca"


def settings(listed: str) -> dict[str, str]:
    """The settings of ``pip config list`` without their sections; what the environment says wins."""
    found = [re.fullmatch(r"(?::env:|\w+)\.([\w-]+)=(.*)", line) for line in listed.splitlines()]
    pairs = [(m[1], str(ast.literal_eval(m[2])), m[0].startswith(":env:")) for m in found if m]
    return {name: value for name, value, _ in sorted(pairs, key=lambda pair: pair[2])}


def folders(given: dict[str, str]) -> list[str]:
    """Local folders that the settings name, as such or as ``file://``; of an index the one above, where links lead."""
    words = [word.removeprefix("file://") for value in given.values() for word in value.split()]
    places = {Path(word) for word in words if word.startswith("/") and Path(word).is_dir()}
    return sorted({str(place.parent if place.name == "simple" else place) for place in places})


def main(folder: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    given = settings(listed)
    ca = given.pop("cert", "")
    (folder / "ca").write_bytes(Path(ca).read_bytes() if ca else b"")
    if constraint := given.pop("constraint", ""):  # ours are exact, and a path of this machine is none of the image's
        print(f"left out: constraint {constraint}", file=sys.stderr)
    lines = [f"{name} = {' '.join(value.split())}" for name, value in given.items()]
    if ca:
        lines.append(f"cert = {CA}")
    (folder / "pip.conf").write_text("\n".join(["[global]", *lines]) + "\n")
    (folder / "volumes").write_text("".join(f"{name}\n" for name in folders(given)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
