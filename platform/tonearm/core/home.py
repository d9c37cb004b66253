"""Paths of everything that Tonearm writes: all of it is below one home folder.

A relative path means something else in every process, and Ray's workers have working folders of their own. So a driver
calls :func:`fix_places` before it starts anything, and hands :func:`place_variables` to its workers.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from tonearm.core.errors import ConfigError
from tonearm.core.passwords import without_password
from tonearm.core.storage import is_local, join, local_path
from tonearm.core.text import printable

HOME, CACHE, TRACKING = "TONEARM_HOME", "TONEARM_CACHE", "MLFLOW_TRACKING_URI"
CATALOGUE = "TONEARM_CATALOGUE"  # the name of the one to recommend from
FEEDBACK = "TONEARM_FEEDBACK"  # the database that feedback is kept in
DEFAULT_HOME = ".tonearm"
SQLITE = "sqlite:///"
QUOTES = ("'", '"')


def home() -> str:
    """``TONEARM_HOME`` (a folder or any fsspec URI), by default ``./.tonearm``, made absolute if it is a folder.

    Raises
    ------
    ConfigError
        If it begins with the ``~`` of a user who is not known here.
    """
    return _place(HOME, _setting(HOME) or DEFAULT_HOME)


def absolute(place: str, folder: str = "") -> str:
    """The absolute path of a folder, ``~`` expanded; ``file://`` becomes a path, other URIs stay as they are.

    Parameters
    ----------
    folder
        That a relative path begins at; by default the current one.

    Raises
    ------
    ConfigError
        If it begins with the ``~`` of a user who is not known here, or no file can be called so.
    """
    place = re.sub(r"^file:/(?!/)", "file:///", place)
    if not is_local(place):
        return place
    plain = re.sub(r"^\$(?:HOME|\{HOME\})(?=/|$)", "~", str(local_path(place)))  # files of variables expand neither
    path = os.path.expanduser(plain)  # noqa: PTH111  as text: pathlib raises where there is no HOME
    if path.startswith("~"):
        raise ConfigError(f"{place}: there is no home folder of that name here: give an absolute path")
    if place[0] in QUOTES and place[-1] in QUOTES:
        raise ConfigError(f"{place}: the quotes are part of it, as in a file of variables: leave them out")
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]|\\\\", place):
        raise ConfigError(f"{place}: that is a path of Windows: give one of this machine, such as ~/tonearm")
    made = os.path.normpath(Path(folder or Path.cwd()) / path)
    _require_path(made)
    return made


def _require_path(path: str) -> None:
    """Check that the system can have a file of this path."""
    try:
        path.encode()
        os.lstat(path)
    except UnicodeEncodeError:
        raise ConfigError(f"{printable(path)}: it is not UTF-8: give a path that is") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = printable(path, 60)
            raise ConfigError(f"{shown}: {len(path)} characters are too many here: give a shorter path") from None


def set_home(place: str) -> None:
    """Keep everything of this process, and of its workers, in another home."""
    os.environ[HOME] = absolute(place)


def fix_places() -> None:
    """Make the places that this process and all that it starts know by variables absolute."""
    fixed = place_variables()
    # What follows from the home is not written down: who chooses another home here gets its database.
    os.environ.update({name: value for name, value in fixed.items() if name == HOME or _setting(name)})


def place_variables() -> dict[str, str]:
    """Home, cache, tracking URI, catalogue and database of feedback as environment variables for workers, places
    absolute; no tracking URI where none is set and none can follow from the home."""
    known = {HOME: home(), CACHE: node_cache()}
    if _setting(CATALOGUE):
        known[CATALOGUE] = _setting(CATALOGUE)
    if _setting(FEEDBACK):
        known[FEEDBACK] = feedback_uri()
    return {**known, TRACKING: tracking_uri()} if _setting(TRACKING) or "://" not in _setting(HOME) else known


def handed_variables() -> dict[str, str]:
    """Those of :func:`place_variables` that Ray may hand to workers.

    It writes what it hands over to its logs. So one with a password is left out: processes of this machine inherit it,
    nodes of a cluster must have it themselves.
    """
    return {name: value for name, value in place_variables().items() if name not in secret_variables()}


def secret_variables() -> tuple[str, ...]:
    """Names of the variables of places that hold a password now."""
    given = {name: _setting(name) for name in (TRACKING, FEEDBACK)}
    return tuple(name for name, value in given.items() if without_password(value) != value)


def data_root() -> str:
    """The prepared data sets, a folder each."""
    return join(home(), "data")


def data_home(dataset: str) -> str:
    """Manifests and rendered audio of one dataset."""
    return join(data_root(), dataset)


def features_home() -> str:
    """The feature stores, one folder a representation signature."""
    return join(home(), "features")


def trials_home() -> str:
    """Sweeps, one folder each, and beside them ``single``: the trials, each once, whoever wants it."""
    return join(home(), "trials")


def predictions_home() -> str:
    """What networks predicted of whole data sets, in blocks; may be deleted: it is made again when it is needed."""
    return join(home(), "predictions")


def catalogues_home() -> str:
    """Catalogues of libraries to recommend from: a folder a model, in it one a catalogue."""
    return join(home(), "catalogues")


def reports_home(dataset: str) -> str:
    """Plots and summaries for people."""
    return join(home(), "reports", dataset)


def node_cache() -> str:
    """Where a node keeps its copies of remote feature stores: a local folder, whatever the home is.

    By default one of this user's own in the temporary folder, which others may write to, too: if somebody else has made
    that one, a fresh one of this process.
    """
    given = _setting(CACHE)
    return _place(CACHE, given) if given else _own_cache(str(Path(tempfile.gettempdir()) / f"tonearm-cache-{_user()}"))


@cache
def _own_cache(folder: str) -> str:
    try:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
        found = Path(folder).lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == _user():
            if found.st_mode & 0o022:
                Path(folder).chmod(0o700)
            return folder
        return tempfile.mkdtemp(prefix="tonearm-cache-")  # another's: what is read from it could be anything
    except OSError:
        return folder  # the temporary folder cannot be written to: who needs the cache says so


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, by default the SQLite file in the home.

    Raises
    ------
    ConfigError
        If it is not set and the home is a URI, where no SQLite file can be.
    """
    given = _setting(TRACKING)
    if given:
        return sqlite_uri(sqlite_path(given)) if sqlite_path(given) else given
    where = _setting(HOME)
    if "://" in where:
        plain = f", or write it as a plain path, {absolute(where)}" if is_local(where) else ""
        raise ConfigError(
            f"{HOME} is {where}: MLflow's SQLite file cannot lie at a URI; set {TRACKING} to a tracking server "
            f"(http://HOST:5000) or to a local file (sqlite:////PATH/mlflow.db){plain}"
        )
    return sqlite_uri(join(home(), "mlflow.db"))


def feedback_uri() -> str:
    """``TONEARM_FEEDBACK``: ``postgresql://USER@HOST/DATABASE`` or ``sqlite:////PATH``; by default ``feedback.db`` in
    the home.

    Raises
    ------
    ConfigError
        If it names another kind of database, or is not set and the home is a URI, where no SQLite file can be.
    """
    given = _setting(FEEDBACK)
    kind = given.partition("://")[0].partition("+")[0]
    if given and kind not in ("sqlite", "postgresql"):
        raise ConfigError(  # not the whole: it may hold a password
            f"{FEEDBACK} begins with {kind[:20]!r}: give postgresql://USER@HOST/DATABASE or sqlite:////PATH"
        )
    if given:
        path = sqlite_path(given)
        return sqlite_uri(_place(FEEDBACK, path)) if path else given
    if not is_local(home()):
        raise ConfigError(
            f"{HOME} is {home()}: an SQLite file of feedback cannot lie at a URI; set {FEEDBACK} to "
            "postgresql://USER@HOST/DATABASE"
        )
    return sqlite_uri(join(home(), "feedback.db"))


def sqlite_uri(path: str) -> str:
    """The URI of an SQLite file; what would mean something in it is escaped: a question mark, ``%`` and two digits."""
    return SQLITE + re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", path).replace("?", "%3F")


def sqlite_path(uri: str) -> str:
    """The absolute path of the SQLite file that a URI names; "" if it names none, or has options of its own."""
    if not uri.startswith(SQLITE) or "?" in uri or len(uri) == len(SQLITE):
        return ""
    return _place(TRACKING, unquote(uri.removeprefix(SQLITE)))


def artifacts_home() -> str:
    """Where MLflow keeps artifacts when it is the local SQLite."""
    return join(home(), "artifacts")


def _place(name: str, given: str) -> str:
    """The absolute path that a variable gives."""
    try:
        return absolute(given)
    except ConfigError as error:
        raise ConfigError(f"{name} is {error}") from None


def _setting(name: str) -> str:
    """A variable; one that is empty is as if it were not set."""
    return os.environ.get(name, "").strip()
