"""Variables of this process, and of all that it starts, that the user's shell or machine would otherwise get wrong."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

from tonearm.core import home

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
NO_PROXY = "no_proxy"
COMPILED = ("librosa", "tonearm")  # packages whose functions numba compiles and keeps beside them


def spare_loopback(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables by which no client asks a proxy for this machine itself; none where there is no proxy.

    Whom the user exempts already stays exempted.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in PROXIES):
        return {}
    given = environment.get(NO_PROXY) or environment.get(NO_PROXY.upper()) or ""
    hosts = list(dict.fromkeys(host for host in re.split(r"[,\s]+", given) if host))
    if "*" in hosts:
        return {}
    text = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
    return {NO_PROXY: text, NO_PROXY.upper(): text}  # some clients read the one, some the other


def writable_caches() -> dict[str, str]:
    """Where numba and matplotlib keep what they compute, if they may not write where they would: in an installation
    that is read-only, without a HOME or with one that is not ours; and a HOME, which Ray's import needs, for a user
    whom the system does not know. Else nothing."""
    found = {}
    user = os.path.expanduser("~")  # noqa: PTH111  pathlib raises where there is none
    if user == "~":
        user = found["HOME"] = str(Path(home.node_cache()) / "home")
    if "NUMBA_CACHE_DIR" not in os.environ and not all(map(_may_write, map(_folder, COMPILED))):
        found["NUMBA_CACHE_DIR"] = str(Path(home.node_cache()) / "numba")
    own = os.environ.get("XDG_CONFIG_HOME") or Path(user) / ".config"
    if "MPLCONFIGDIR" not in os.environ and not _may_write(Path(own) / "matplotlib"):
        found["MPLCONFIGDIR"] = str(Path(home.node_cache()) / "matplotlib")
    for folder in found.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return found


def private_token() -> dict[str, str]:
    """A token for a Ray of our own, if Ray, which reads it when it is imported, may not keep one in the HOME."""
    folder = Path(os.path.expanduser("~")) / ".ray"  # noqa: PTH111  pathlib raises where there is none
    given = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return {} if given or (folder / "auth_token").exists() or _may_write(folder) else {"RAY_AUTH_TOKEN": token_hex(32)}


def may_write(place: str) -> bool:
    """Whether a local folder can be written to; one that is not there: whether it can be made. It is tried."""
    path = Path(place)
    if not _may_write(path):
        return False
    try:
        with tempfile.TemporaryDirectory(prefix=".tonearm-", dir=next(p for p in (path, *path.parents) if p.exists())):
            return True
    except OSError:  # /proc, a full disk: what the permissions do not tell
        return False


def _may_write(path: Path) -> bool:
    there = next(p for p in (path, *path.parents) if os.path.lexists(p))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else Path.cwd()
