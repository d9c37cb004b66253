"""Where files of frozen encoders lie: below the home by their SHA-256, or at a path or URI of their own."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.node_copies import local_copy


def weights_home() -> str:
    """Where files of encoders lie."""
    return storage.join(home.home(), "weights")


def stored_place(sha256: str) -> str:
    """Where the file with this SHA-256 lies in the home."""
    return storage.join(weights_home(), sha256)


def find_file(label: str, sha256: str, file: str, licence: str, fetch: str) -> Path:
    """The file with this SHA-256 on this machine: that at its path or URI, or the home's.

    Parameters
    ----------
    label
        What to call the encoder.
    file
        Its path or URI; "" if it has none.
    fetch
        The command that makes it, for the message.

    Raises
    ------
    ConfigError
        If it is not there; the message says where it must lie.
    """
    if not sha256:
        raise ConfigError(f"the weights of {label} are not here: fetch them with {fetch}")
    seen = []
    for place in filter(None, (file, stored_place(sha256))):
        path = storage.local_path(place) if storage.is_local(place) else _copy_of(place)
        if path is None or not path.exists():
            continue
        found = _sha256(str(path), storage.stamp(str(path)))
        if found == sha256:
            return path
        seen.append(f"; the file at {place} is another, of sha256 {found}")
    raise ConfigError(
        f"the weights of {label} (licence: {licence or 'not stated'}) are not here: its file must have sha256 {sha256} "
        f"and lie at {stored_place(sha256)}{f' or {file}' if file else ''}{''.join(seen)}. Copy it from where the "
        f"model was trained, or try {fetch}"
    )


_copies: dict[str, Path] = {}  # of what was found elsewhere: a worker asks for each clip


def _copy_of(uri: str) -> Path | None:
    """The copy on this machine of a file elsewhere; None if it is not there."""
    if uri not in _copies or not _copies[uri].exists():
        if not storage.exists(uri):
            return None
        _copies[uri] = local_copy(uri)
    return _copies[uri]


def sha256_of(path: Path) -> str:
    """Of a file, 64 hexadecimal characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=32)
def _sha256(path: str, stamp: str) -> str:
    """Of a file that was written then: a worker reads hundreds of megabytes once."""
    return sha256_of(Path(path))
