"""Code of one's own: modules outside Tonearm whose import registers models, tasks, data sets, recipes, spaces.

Three ways lead to it. An installed package names modules in the entry-point group ``tonearm.modules``; the environment
variable ``TONEARM_ALLOWED_MODULES`` names others; both are imported when a registry is listed, or is asked for a name
that it lacks. And a class that a config uses names its own module, which travels to workers and stands in bundles.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from tonearm.core.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Registration:
    """What the import of a module registers: the module, and the name of what it registers."""

    module: str
    name: str


GROUP = "tonearm.modules"
OURS = "search_spaces"  # the one that Tonearm itself names there
ALLOWED_MODULES = "TONEARM_ALLOWED_MODULES"
PLACE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")
SECONDS_TO_LOAD = 60.0
IN_A_FILE = "put it into a file, such as mine.py, and import it from there"

_loading = threading.RLock()
_nested: list[str] = []  # of the one thread that loads
_told: set[str] = set()
_failed: dict[tuple[str, ...], tuple[str, dict[str, float]]] = {}


def allowed_modules() -> tuple[str, ...]:
    """The modules that ``TONEARM_ALLOWED_MODULES`` names, separated by commas."""
    names = (name.strip() for name in os.environ.get(ALLOWED_MODULES, "").split(","))
    return tuple(name for name in names if name)


def has_own_code() -> bool:
    """Whether modules outside Tonearm may register something: installed packages', or those that are allowed."""
    return bool(allowed_modules() or set(_entry_points(tuple(sys.path))) - {OURS})


def load_plugins() -> list[str]:
    """Import the modules of installed packages and of ``TONEARM_ALLOWED_MODULES``; what could not be, with the cause.

    A broken one does not keep the others away. It is logged, once.
    """
    if not _loading.acquire(timeout=SECONDS_TO_LOAD):  # another thread waits for a module that this one is importing
        return []
    try:
        if _nested:  # a module that is being imported asks for a name: the others come after it
            return []
        _nested.append("")
        try:
            names = (*_entry_points(tuple(sys.path)), *allowed_modules())
            failures = [f for name in names if (f := _failure_once(name))]
        finally:
            _nested.clear()
    finally:
        _loading.release()
    for failure in failures:
        if failure not in _told:
            _told.add(failure)
            logging.getLogger("tonearm").warning(failure)
    return failures


def import_modules(names: Iterable[str]) -> None:
    """Import modules by name, from where Python finds modules: a console script does not search the current folder,
    the command ``tonearm`` and ``python -m`` do.

    Raises
    ------
    ConfigError
        With every module that cannot be imported, and the cause.
    """
    failures = [f for name in names if (f := _failure(name))]
    if failures:
        raise ConfigError(failures)


def not_allowed(names: Iterable[str], allowed: Collection[str] = ()) -> list[str]:
    """The modules that may not be imported because some data name them.

    Allowed is what is imported already, what installed packages name in the entry-point group, what
    ``TONEARM_ALLOWED_MODULES`` or ``allowed`` names, and what lies in these.
    """
    if all(name in sys.modules for name in names):
        return []
    load_plugins()
    known = {*_entry_points(tuple(sys.path)), *allowed_modules(), *allowed}
    return [
        name for name in names if name not in sys.modules and not any(f"{name}.".startswith(f"{own}.") for own in known)
    ]


def modules_of(*things: Any) -> list[str]:
    """The modules outside Tonearm that must be imported before these configs, recipes or spaces can be read, sorted;
    of functions and classes their own; of a :class:`Registration` the one that made it.

    Raises
    ------
    ConfigError
        If a class was made in a script or notebook, which no other process can import.
    """
    code = [c for part in _parts(things) for c in (part.own_code() if hasattr(part, "own_code") else [part])]
    found = {(c.__module__, c.__name__) for c in code if isinstance(c, type | FunctionType)}
    found |= {(c.module, c.name) for c in code if isinstance(c, Registration)}
    lost = sorted(name for module, name in found if module == "__main__")
    if lost:
        raise ConfigError(
            f"{', '.join(lost)}: made in a script or notebook, which a worker or a server cannot import: {IN_A_FILE}"
        )
    return sorted({module for module, _ in found if module.split(".")[0] != "tonearm"})


def call_by_place(what: str, place: str, expected: type[T]) -> T:
    """What the function at ``package.module:function`` gives.

    Raises
    ------
    ConfigError
        If there is no such function, or it gives something else.
    """
    module, _, function = place.partition(":")
    try:
        import_modules([module])
        made: Callable[[], Any] = getattr(sys.modules[module], function)
    except (ConfigError, AttributeError) as error:
        raise ConfigError(f"no {what} {place!r}: {error}; name a module that Python finds from here") from error
    found = made()
    if not isinstance(found, expected):
        raise ConfigError(f"{place!r} gives a {type(found).__name__}, a {what} is needed")
    return found


def module_folders() -> list[str]:
    """Where this process finds modules that were not installed: what a worker on this machine must search too."""
    found = []
    for entry in sys.path:
        path = Path(entry or ".").resolve()
        if path.is_dir() and not _is_installed(path):
            found.append(str(path))
    return list(dict.fromkeys(found))


def modules_to_send(arguments: Iterable[str]) -> list[str]:
    """The folders and files that a job with these arguments needs on another machine: of the modules in arguments such
    as ``mine.spaces:rates``, unless they are installed, and of ``TONEARM_ALLOWED_MODULES``.

    Raises
    ------
    ConfigError
        If one of the latter is not found.
    """
    found = [source_of(name) for name in allowed_modules()]
    for module in (m[1] for argument in arguments if (m := PLACE.fullmatch(argument))):
        with contextlib.suppress(ConfigError):  # not every argument with a colon is a place; the job says what it lacks
            source = source_of(module)
            if _holds(source, module) and not _is_installed(Path(source).resolve()):
                found.append(source)
    return list(dict.fromkeys(found))


def source_of(name: str) -> str:
    """The folder of the package, or the file, that a module lies in: what must travel to another machine.

    Raises
    ------
    ConfigError
        If it is not found.
    """
    top = name.split(".")[0]
    try:
        spec = importlib.util.find_spec(top) if top.isidentifier() else None
    except ValueError:  # of __main__
        spec = None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    origin = folders[0] if folders else spec.origin if spec else None
    if not origin or not Path(origin).exists():
        raise ConfigError(f"the module {name!r} is not found: name one that Python finds from here")
    return origin


@cache
def _entry_points(search_path: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that packages on the search path name."""
    return tuple(sorted({entry.module for entry in importlib.metadata.entry_points(group=GROUP)}))


def _failure_once(name: str) -> str:
    """As :func:`_failure`, but what failed is not tried again on the same search path: tasks ask at every turn."""
    if name in sys.modules:
        return ""
    key = (name, *sys.path)
    told, seen = _failed.get(key, ("", {}))
    if not told or seen != _times(seen):
        seen = {}
        told = _failure(name, seen)
        _failed[key] = told, seen
    return told


def _failure(name: str, looked_at: dict[str, float] | None = None) -> str:
    """Import a module; why it could not be, or "". ``looked_at`` is told where a change may help: files and their
    times."""
    if not all(part.isidentifier() for part in name.split(".")):
        return f"{name!r} is no module's name: give it as Python imports it, such as mine.nets"
    importlib.invalidate_caches()
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if looked_at is not None:
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            files += [str(error.filename)] if isinstance(error, SyntaxError) else []
            looked_at.update(_times([*files, *module_folders()]))
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
        where = f" ({lines[-1].filename}, line {lines[-1].lineno})" if lines else ""
        return f"the module {name} could not be imported: {type(error).__name__}: {error}{where}"
    return ""


def _times(places: Iterable[str]) -> dict[str, float]:
    """When files and folders were changed; 0 where there is none."""
    return {place: Path(place).stat().st_mtime if Path(place).exists() else 0.0 for place in places}


def _is_installed(path: Path) -> bool:
    """Whether a file or folder belongs to Python or to an installed package."""
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    return any(path == own or own in path.parents for own in installed)


def _holds(source: str, module: str) -> bool:
    """Whether a module is a file below its source: a folder of recordings is a package to Python, too."""
    path = Path(source, *module.split(".")[1:])
    return Path(source).is_file() or (path / "__init__.py").is_file() or path.with_suffix(".py").is_file()


def _parts(value: Any) -> Iterator[Any]:
    """A value, and all that it is made of."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _parts(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _parts(part)
    else:
        yield value
