"""Files elsewhere are copied to this machine once, for all processes that read them here."""

from __future__ import annotations

from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.seeding import digest

FOLDER = "files"


def local_copy(uri: str) -> Path:
    """The path of a file on this machine: its own, or of a copy in the node's cache, which is made once.

    What lies at ``uri`` must never change: files that are named by their content.
    """
    if storage.is_local(uri):
        return storage.local_path(uri)
    from filelock import FileLock

    target = Path(home.node_cache()) / FOLDER / f"{digest(uri)}-{uri.rsplit('/', 1)[-1]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):  # processes that begin at once: one copies, the others find it done
        if not target.exists():
            storage.fetch(uri, target)
    return target
