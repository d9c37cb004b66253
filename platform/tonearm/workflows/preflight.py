"""What every job checks before its first second of work: settings that cannot work are told at once, all of them."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, TonearmError
from tonearm.core.passwords import without_password
from tonearm.core.process_environment import may_write, private_token, spare_loopback, writable_caches
from tonearm.core.remote_path import CLOCK_OFF, S3, driver_hint, reason_of, remedy
from tonearm.tracking.moved_home import set_only_looking
from tonearm.workflows.ray_address import check_ray_address, cluster_address, require_cluster
from tonearm.workflows.tracking_server import require_tracking_server

logger = logging.getLogger(__name__)

DRIVERS = {"postgresql": "psycopg", "mysql": "MySQLdb", "mssql": "pyodbc"}  # SQLAlchemy's own choices
SERVERS = ("http", "https", "databricks", "databricks-uc", "uc")
KINDS = "http://HOST:5000, sqlite:////PATH/mlflow.db or postgresql://USER@HOST/DATABASE"
ESCAPED = "in a password / ? # and @ are written %2F %3F %23 and %40"
READ_ONLY = ("http", "https", "data", "git", "github", "memory", "zip", "tar", "libarchive", "reference")
"""Storages of fsspec in which nothing can be kept for other processes."""
SQLITE_BEGINS = b"SQLite format 3\0"
ENOUGH_FILES, MANY_FILES = 1024, 65_536
"""Files that a process may have open: below the first Ray fails when much runs at once; more than the second is never
needed."""


def preflight(*, uses_ray: bool = False, writes: bool = True, tracks: bool = True) -> None:
    """Check the settings that a job reads from its environment, and make its places absolute.

    Parameters
    ----------
    uses_ray
        Whether it starts Ray or joins the cluster that ``RAY_ADDRESS`` names.
    writes
        Whether it writes to the home, or looks only.
    tracks
        Whether it needs MLflow.

    Raises
    ------
    ConfigError
        If settings cannot work: all that cannot are told.
    JobError
        If nothing is wrong but that no cluster answers at ``RAY_ADDRESS``, or no server at ``MLFLOW_TRACKING_URI``.
    """
    os.environ.update(spare_loopback())
    found: list[TonearmError] = []
    if uses_ray:
        with _kept(found):
            check_ray_address()
            require_cluster()
    with _kept(found):
        problems = list(tracking_problems(home.tracking_uri(), writes)) if tracks else []
        if problems:
            raise ConfigError(problems)
        if tracks:
            require_tracking_server(home.tracking_uri())
    with _kept(found):
        problems = list(_home_problems(home.home(), writes))
        if problems:
            raise ConfigError(problems)
    if not found:  # else the variables stay as they are
        with _kept(found):
            home.fix_places()
            set_only_looking(not writes)
            _write_caches()
    if len(found) == 1:
        raise found[0]
    if found:
        raise ConfigError(dict.fromkeys(text for error in found for text in getattr(error, "problems", [str(error)])))
    allow_open_files()
    if uses_ray:
        os.environ.update({} if cluster_address() else private_token())


@contextmanager
def _kept(found: list[TonearmError]) -> Iterator[None]:
    """Keep an error, so that what else is wrong can be told with it."""
    try:
        yield
    except TonearmError as error:
        found.append(error)


def _write_caches() -> None:
    try:
        os.environ.update(writable_caches())
    except OSError as error:
        raise ConfigError(f"{home.CACHE} is {home.node_cache()}, where no folder can be made: {error}") from None


def submission_problems(place: str, uri: str) -> Iterator[str]:
    """Why a job cannot work on a cluster, as far as that is known here: what is installed there is not.

    Parameters
    ----------
    place, uri
        ``TONEARM_HOME`` and ``MLFLOW_TRACKING_URI`` there; "" if not set.
    """
    if without_password(place) != place:
        yield (
            f"the cluster's home is {without_password(place)}: the job's record would keep its password: leave it out, "
            "and set it on the nodes, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for S3"
        )
    elif not (place.startswith("/") or "://" in place):
        yield (
            f"the cluster's home is {place or 'not set'!r}: give a folder or URI that all nodes reach, such as "
            "/shared/tonearm or s3://bucket/tonearm"
        )
    elif "://" in place:
        yield from _remote_problems(place, f"the cluster's home is {place}", installed=False)
        if not uri:
            yield (
                f"the cluster's home is {place}, where MLflow's SQLite file cannot lie: set {home.TRACKING} to a "
                "tracking server that all nodes reach (http://HOST:5000)"
            )
    if not uri:
        return
    if without_password(uri) != uri:
        yield (
            f"{home.TRACKING} is {without_password(uri)}: the job's record would keep its password: leave it out, and "
            "set it on the nodes, as PGPASSWORD for PostgreSQL, as MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD for a server of MLflow's"
        )
    yield from tracking_problems(uri, installed=False)
    if uri.startswith(home.SQLITE) and not uri.startswith(f"{home.SQLITE}/"):
        yield (
            f"{home.TRACKING} is {uri}, a relative path: on the cluster it would lie in Ray's temporary folder and be "
            "lost; give http://HOST:5000, or sqlite:////PATH/mlflow.db on a disk that all nodes share"
        )


def tracking_problems(uri: str, writes: bool = False, installed: bool = True) -> Iterator[str]:
    """Why MLflow cannot work with a tracking URI, as far as that is known without asking it.

    Parameters
    ----------
    writes
        Whether a job writes there, or looks only.
    installed
        Whether what it needs must be installed here.
    """
    said = f"{home.TRACKING} is {without_password(uri)}"
    kind, _, driver = uri.partition(":")[0].partition("+")
    if kind == "sqlite" and "://" not in uri:
        yield f"{said}: the path of an SQLite file follows three slashes, as in sqlite:////PATH/mlflow.db"
        return
    if "://" not in uri and kind not in SERVERS:
        yield from _path_problems(uri, said)
        return
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:  # urllib's words: "Port out of range 0-65535"
        hidden = without_password(uri) != uri  # and a part of it in these words
        yield f"{said}: {ESCAPED if hidden else error}; give one such as {KINDS}"
        return
    if kind in ("http", "https") and not host:
        yield f"{said}: it names no host; give one such as {KINDS}"
    elif kind == "sqlite":
        path = home.sqlite_path(uri)
        if not path and not uri.startswith(home.SQLITE):
            yield f"{said}: the path of an SQLite file follows three slashes, as in sqlite:////PATH/mlflow.db"
        elif path == home.absolute(":memory:") or uri == home.SQLITE:
            yield f"{said}: each process would have a database of its own; give a file, as in sqlite:////PATH/mlflow.db"
        elif path and Path(path).is_dir():
            yield f"{said}: that is a folder; give a file in it, as in {uri}/mlflow.db"
        elif writes and path and uri != home.sqlite_uri(storage.join(home.home(), "mlflow.db")):
            yield from _file_problems(Path(path), said)
    elif kind in DRIVERS:
        module = driver.partition(".")[0] or DRIVERS[kind]
        if installed and find_spec(module) is None:
            how = "tonearm[server]" if module == "psycopg" else module
            yield f"{said}: Python's module {module} is not installed: pip install '{how}'"
    elif kind not in SERVERS and not entry_points(group="mlflow.tracking_store", name=kind):
        if kind == "file":
            yield from _path_problems(uri, said)
        else:
            yield f"{said}: MLflow knows nothing of {kind}://; give one such as {KINDS}"


def _file_problems(path: Path, said: str) -> Iterator[str]:
    if not may_write(str(path.parent)) or (path.exists() and not os.access(path, os.W_OK)):
        yield f"{said}: that file cannot be written; give one in a folder of yours"
    elif path.exists() and path.stat().st_size and _beginning(path) != SQLITE_BEGINS:
        yield f"{said}: that file is no SQLite database; give another name"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(SQLITE_BEGINS))


def _path_problems(uri: str, said: str) -> Iterator[str]:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
        return
    if re.fullmatch(r"[\w.-]+:\d+/?", uri):
        yield f"{said}: a server's address begins with http://, as in http://{uri}"
    else:
        path = home.absolute(uri)
        yield (
            f"{said}: MLflow keeps no runs in a folder any more; give one such as {KINDS}, "
            f"here {home.sqlite_uri(storage.join(path, 'mlflow.db'))}"
        )


def _home_problems(where: str, writes: bool) -> Iterator[str]:
    if "://" in where:
        said = f"{home.HOME} is {without_password(where)}"
        yield from list(_remote_problems(where, said)) or _tried(where, said, writes)
    elif Path(where).exists() and not Path(where).is_dir():
        yield f"{home.HOME} is {where}, which is no folder: give one"
    elif writes and not may_write(where):
        yield f"{home.HOME} is {where}, where nothing can be written: give a folder that can, such as ~/tonearm"
    cache = home.node_cache()
    # The default one, in the temporary folder, may be another's: jobs on this machine's home can do without.
    needed = os.environ.get(home.CACHE, "").strip() or "://" in where
    if writes and needed and not may_write(cache):
        yield f"{home.CACHE} is {cache}, where nothing can be written: give a folder that can"


def _remote_problems(where: str, said: str, installed: bool = True) -> Iterator[str]:
    """Why a home cannot be at a URI; ``installed``: whether what it needs must be here."""
    from fsspec.registry import known_implementations

    kind = where.partition("://")[0]
    if kind in READ_ONLY:
        yield f"{said}: nothing can be written at a {kind}://; give a folder or s3://BUCKET/PATH"
        return
    if not where.partition("://")[2].strip("/"):
        yield f"{said}: it names no bucket; give one such as {kind}://BUCKET/PATH"
        return
    if kind not in known_implementations:
        yield f"{said}: no storage of the kind {kind}:// is known; give a folder or s3://BUCKET/PATH"
        return
    if not installed:
        return
    needed = [known_implementations[kind]["class"].partition(".")[0]]
    if kind in S3:
        needed.append("boto3")  # by which MLflow keeps its artifacts there
    missing = [module for module in needed if find_spec(module) is None]
    if missing:
        yield f"{said}, which needs {' and '.join(missing)}: {driver_hint(kind)}"


def _tried(where: str, said: str, writes: bool) -> Iterator[str]:
    """Why a place elsewhere cannot be written or read, which is found out by trying."""
    try:
        if writes:
            attempt = storage.join(where, f".{uuid.uuid4().hex}.tmp")
            storage.write_bytes(attempt, b"")
            with suppress(Exception):  # who may write may not be allowed to delete, which only tonearm clean must
                storage.remove(attempt)
        else:
            bucket = "/".join(where.split("/")[:3])
            if not storage.exists(where) and not storage.exists(bucket):
                logger.warning(f"  note: {said}, and no bucket {bucket} is seen: is its name right?")
    except Exception as error:  # every driver has errors of its own
        if isinstance(error, PermissionError) and not writes and CLOCK_OFF not in str(error):
            return  # who may not list may read what is named
        fix = remedy(where.partition("://")[0], error, "may")
        yield f"{said}, where nothing can be {'written' if writes else 'read'} ({reason_of(error)}): {fix}"


def allow_open_files() -> None:
    """Let this process, and all that it starts, have as many files open as the system permits; told if that is few."""
    try:
        import resource
    except ImportError:  # no such limit on this system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # macOS has a lower limit of its own
            most = soft
    if most < ENOUGH_FILES:
        logger.warning(
            f"  note: a process may have {most} files open here, {ENOUGH_FILES} are needed when much runs at once: "
            f"ulimit -Hn {MANY_FILES}, or its like for a service or container (--ulimit nofile={MANY_FILES})"
        )
