"""Where the figures of this machine's private Rays are exported, in files as Prometheus looks for them (``file_sd``).

A cluster's dashboard writes such a file itself, ``prom_metrics_service_discovery.json``; a private Ray has none. The
files lie in the home, or in the node's cache where that is a URI or read-only, one a Ray, and are removed when it ends;
what a killed job left is removed when somebody looks.
"""

from __future__ import annotations

import atexit
import glob
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.process_environment import may_write
from tonearm.core.process_identity import process_identity

FOLDER, HOST = "metrics", f"@{platform.node()}.json"  # how files of this machine's end: others may share the home
_announced: set[Path] = set()


def file_name(pid: int, identity: str | None) -> str:
    """Of a process of this machine, in :data:`FOLDER`."""
    return f"ray-{pid}-{identity}{HOST}"


def announce_ray() -> None:
    """Write down where the Ray that this process has started exports its figures."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    addresses = [f"{n['NodeManagerAddress']}:{n['MetricsExportPort']}" for n in nodes if n.get("MetricsExportPort")]
    where = home.home()
    root = Path(storage.local_path(where)) if storage.is_local(where) and may_write(where) else Path(home.node_cache())
    own = root / FOLDER / file_name(os.getpid(), process_identity(os.getpid()))
    own.parent.mkdir(parents=True, exist_ok=True)
    storage.write_json(str(own), [{"targets": addresses, "labels": {"job": "ray"}}])
    _announced.add(own)
    atexit.register(withdraw_ray)


def withdraw_ray() -> None:
    """Remove what :func:`announce_ray` wrote: the Ray has ended."""
    while _announced:
        _announced.pop().unlink(missing_ok=True)


def local_targets() -> list[str]:
    """The addresses, ``HOST:PORT``, below whose ``/metrics`` the private Rays are that work on this home here."""
    found: list[str] = []
    where = [Path(home.node_cache())]
    if storage.is_local(home.home()):
        where.append(Path(storage.local_path(home.home())))
    for path in sorted(path for root in where for path in (root / FOLDER).glob(f"ray-*{glob.escape(HOST)}")):
        if not _is_alive(path):
            with suppress(OSError):  # a home that is read-only
                path.unlink()
            continue
        try:
            groups = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):  # it has just ended, or is another user's
            continue
        found += [address for group in groups for address in group["targets"]]
    return found


def _is_alive(path: Path) -> bool:
    """Whether the process lives that wrote a file, and no other one has its number since."""
    pid, _, identity = path.name.removeprefix("ray-").removesuffix(HOST).partition("-")
    return pid.isdecimal() and process_identity(int(pid)) in (identity, "")
