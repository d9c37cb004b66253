"""Names that are registered by a package of ours, known without importing it, so that a wrong one is told at once.

Which names there are is known only after the import. It is therefore written to the node's cache, for exactly these
sources. Without such a list, and where code of one's own may add names, the registry itself is asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from tonearm import __version__
from tonearm.core import home, storage
from tonearm.core.plugins import OURS, has_own_code
from tonearm.core.registry import not_registered
from tonearm.core.seeding import digest


def require_name(what: str, name: str) -> None:
    """Check the name of a ``"recipe"`` or ``"search space"``, if the names are known without importing them.

    Raises
    ------
    UnknownNameError
        If it is unknown; the registry's own error.
    """
    if ":" in name or OURS in sys.modules or has_own_code():
        return
    known = _recall(what)
    if known and name not in known:
        raise not_registered(what, name, known)


def _recall(what: str) -> list[str]:
    """The names that were written for these sources; none if none were."""
    try:
        known = storage.read_json(_cache_file(what))
    except (OSError, ValueError):
        return []
    return known if isinstance(known, list) and all(isinstance(name, str) for name in known) else []


def remember_names(what: str, names: Iterable[str]) -> None:
    """Write the names to the cache, unless they are there, or one's own may be among them."""
    if has_own_code():
        return
    with contextlib.suppress(OSError):  # only a cache: the next wrong name is told later
        if not storage.exists(file := _cache_file(what)):
            storage.write_json(file, sorted(names))


def _cache_file(what: str) -> str:
    """Where the names are kept: another file for other sources.

    Raises
    ------
    FileNotFoundError
        If the sources are not found.
    """
    spec = importlib.util.find_spec(OURS)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"no package {OURS}")
    folder = Path(spec.submodule_search_locations[0])
    sources = {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in folder.rglob("*.py")}
    return storage.join(home.node_cache(), f"names-{what.replace(' ', '-')}-{digest(__version__, sources)}.json")
