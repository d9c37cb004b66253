"""What a library changes of the catalogue that was made of it: which rows are new, which are gone, and which stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tonearm.core import storage
from tonearm.core.damage import is_damage
from tonearm.core.errors import ConfigError, DamagedCatalogueError
from tonearm.core.remote_path import is_unlistable

if TYPE_CHECKING:
    from tonearm.recommend.catalogue import Catalogue
    from tonearm.recommend.catalogue_rows import Kind


def origin_notes(uri: str, called: str, origin: str, named: bool) -> list[str]:
    """Check that a library does not take the place of another by its mere name; where it was ``named``, that is noted.

    Raises
    ------
    ConfigError
        If the catalogue is of another library.
    """
    from tonearm.recommend.catalogue import DESCRIPTION, read_catalogue

    try:
        there = read_catalogue(uri).origin if storage.exists(storage.join(uri, DESCRIPTION)) else ""
    except DamagedCatalogueError:
        return []
    if there in ("", origin):
        return []
    if not named:
        raise ConfigError(f"the catalogue {called} is of {there}, this library is {origin}: give it a --name of its "
                          f"own, or --name {called} to put it in the other one's place")  # fmt: skip
    return [f"the catalogue {called} was of {there}, whose rows are taken out"]


def opened(uri: str, model: str) -> tuple[Catalogue | None, str]:
    """The catalogue as it is, if there is one, or how it is damaged."""
    from tonearm.recommend.catalogue import DESCRIPTION, Catalogue

    if not storage.exists(storage.join(uri, DESCRIPTION)):
        return None, ""
    try:
        return Catalogue.open(uri, model), ""
    except DamagedCatalogueError as error:
        return None, str(error)


def differences(there: Catalogue | None, rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], set[str]]:
    """Which rows are not in the catalogue as they are now, and the ids that are gone."""
    from tonearm.recommend.catalogue_changes import MARK, row_mark
    from tonearm.recommend.library import ID

    if there is None:
        return list(range(len(rows))), set()
    marks = there.column(MARK)
    known = dict(zip(there.ids, marks if marks is not None else [], strict=True))
    new = [i for i, row in enumerate(rows) if known.get(str(row[ID])) != row_mark(row)]
    return new, known.keys() - {str(row[ID]) for row in rows}


def unread_rows(
    there: Catalogue | None, gone: Collection[str], set_aside: Mapping[str, tuple[str, str]], kind: Kind, origin: str
) -> list[str]:  # fmt: skip
    """The ids, of those that are gone, of recordings that cannot be read this time, or lie in a folder that cannot.

    Of which album or artist such a recording is, nobody knows, so that all of these stay. Of another library, whose
    place this one takes, none does.
    """
    from tonearm.pipelines.extract import TRANSIENT_REASONS

    unread = {i for i, (reason, _) in set_aside.items() if reason in TRANSIENT_REASONS}
    if there is None or there.described.origin not in ("", origin) or not gone:
        return []
    if kind != "track":
        return sorted(gone) if unread else []
    sources = there.column("source")
    known = {} if sources is None else dict(zip(there.ids, sources, strict=True))
    unlistable = cache(is_unlistable)  # each folder once
    return sorted(i for i in gone if i in unread or _out_of_reach(known.get(i), unlistable))


def _out_of_reach(source: str | None, unlistable: Callable[[str], bool]) -> bool:
    """Whether nobody can say now if a file is there."""
    if not source:
        return False
    if not storage.is_local(source):
        return unlistable(source.rpartition("/")[0])
    try:
        storage.local_path(source).stat()
    except OSError as error:
        return not is_damage(error)
    return False
