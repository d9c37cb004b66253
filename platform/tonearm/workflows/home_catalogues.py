"""The catalogues of a home: of what library and for which model each was made, and which of them nothing needs.

Beside each lies ``library.json``: the model, and what ``tonearm index`` was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import TonearmError
from tonearm.core.passwords import without_password
from tonearm.core.text import command
from tonearm.tracking.overview import ModelGlance

LIBRARY, DESCRIPTION = "library.json", "catalogue.json"
OF_DATASET = "the data set "  # with which the origin of a catalogue of one begins
BUNDLES = ("ensemble.json", "bundle.json")
KNOWN, GONE, UNKNOWN = "", "its model is gone", "of an unknown model"


@dataclass(frozen=True)
class IndexRequest:
    """What a catalogue was made of, as ``tonearm index`` was given it.

    Attributes
    ----------
    model
        A folder, a URI or ``models:/NAME/VERSION``.
    tracking
        The MLflow server of a registered model; "" where it is the home's own database.
    dataset, audio
        A prepared data set, or folders of recordings.
    name
        Of the catalogue, if one was given.
    kind
        What a row is.
    """

    model: str
    tracking: str = ""
    dataset: str = ""
    audio: tuple[str, ...] = ()
    name: str = ""
    kind: str = "track"

    def command(self, model: str) -> str:
        """By which the same library is indexed for a model."""
        given = ["--dataset", self.dataset] if self.dataset else []
        for folder in self.audio:
            given += ["--audio", folder]
        given += ["--kind", self.kind] if self.kind != "track" else []
        given += ["--name", self.name] if self.name else []
        return command("index", *given, "--model", model)


@dataclass(frozen=True)
class ListedCatalogue:
    """A catalogue of a library in a model's space.

    Attributes
    ----------
    name, uri
        Of the catalogue.
    kind, rows
        What a row is, and how many count.
    model
        As it was indexed for; "" if that is not known.
    space
        Digest of the model.
    origin
        Of what library.
    bytes
        Of its files.
    changed
        Seconds since 1970; None where that is not known.
    state
        ``""``; or that its model is gone, so that nothing recommends from it; or that the model is not known.
    """

    name: str
    uri: str
    kind: str
    rows: int
    model: str
    space: str
    origin: str
    bytes: int
    changed: float | None
    state: str


def write_request(uri: str, request: IndexRequest) -> None:
    """Keep beside a catalogue what it was made of; unchanged, it is not written again."""
    place, values = storage.join(uri, LIBRARY), {**asdict(request), "audio": list(request.audio)}
    if not storage.exists(place) or storage.read_json(place) != values:
        storage.write_json(place, values)


def own_tracking() -> str:
    """The MLflow server, without its password; "" if it is the home's own database, which may be moved with it."""
    uri = without_password(home.tracking_uri())
    return "" if storage.join(home.home(), "mlflow.db") in uri else uri


def read_request(uri: str) -> IndexRequest:
    """What a catalogue was made of; of one of an earlier version as far as its description tells, without a model.

    Raises
    ------
    TonearmError, OSError, ValueError, KeyError, TypeError
        If it cannot be read.
    """
    if storage.exists(storage.join(uri, LIBRARY)):
        values = storage.read_json(storage.join(uri, LIBRARY))
        return IndexRequest(**{**values, "audio": tuple(values["audio"])})
    described = storage.read_json(storage.join(uri, DESCRIPTION))
    origin, kind = str(described.get("origin", "")), str(described["kind"])
    if origin.startswith(OF_DATASET):
        return IndexRequest("", dataset=origin.removeprefix(OF_DATASET), kind=kind)
    folders = tuple(filter(None, origin.split(" and ")))
    return IndexRequest("", audio=folders if all(map(os.path.isabs, folders)) else (), kind=kind)


def list_catalogues(models: Iterable[ModelGlance], problems: list[str]) -> list[ListedCatalogue]:
    """The catalogues of the home, the one that changed last first.

    Parameters
    ----------
    models
        The registered versions.
    problems
        Gains what cannot be read.
    """
    named = list(models)
    registered = {f"models:/{m.name}/{m.version}" for m in named}
    found = list[ListedCatalogue]()
    in_use: tuple[set[str], bool] | None = None
    for space, uri in _folders():
        try:
            listed = _listed(space, uri, registered)
            if listed.state == GONE:  # by its name: another version of the same content may recommend from it
                in_use = in_use or _spaces_in_use(named, problems)
                known, whole = in_use
                listed = replace(listed, state=KNOWN if space in known else GONE if whole else UNKNOWN)
            found.append(listed)
        except (TonearmError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"the catalogue {uri} cannot be read: {error!r}")
    return sorted(found, key=lambda c: -(c.changed or 0.0))


def _spaces_in_use(models: Iterable[ModelGlance], problems: list[str]) -> tuple[set[str], bool]:
    """The digests of the registered versions that an alias names, which are served, and whether all could be told."""
    from tonearm.inference import load

    found, whole = set[str](), True
    for model in models:
        if model.aliases:
            try:
                found.add(load(f"models:/{model.name}/{model.version}").digest)
            except (TonearmError, OSError) as error:
                whole = False
                problems.append(f"{model.name} version {model.version} cannot be loaded, so that it is not known which "
                                f"catalogues are its own: {error}")  # fmt: skip
    return found, whole


def _folders() -> Iterator[tuple[str, str]]:
    root = home.catalogues_home()
    for space in storage.list_folders(root):
        for name in storage.list_folders(storage.join(root, space)):
            uri = storage.join(root, space, name)
            if storage.exists(storage.join(uri, DESCRIPTION)):
                yield space, uri


def _listed(space: str, uri: str, registered: set[str]) -> ListedCatalogue:
    described: dict[str, Any] = storage.read_json(storage.join(uri, DESCRIPTION))
    request = read_request(uri)
    return ListedCatalogue(
        uri.rpartition("/")[2], uri, str(described["kind"]), int(described["count"]), request.model, space,
        str(described.get("origin", "")), sum(size for _, size, _ in storage.list_below(uri)),
        storage.modified(storage.join(uri, DESCRIPTION)), _state(request, registered),
    )  # fmt: skip


def _state(request: IndexRequest, registered: set[str]) -> str:
    """Whether a catalogue's model is there. Of what this machine cannot see, nobody says that it is gone."""
    if request.model.startswith("models:/"):
        if without_password(request.tracking) != own_tracking():  # earlier versions kept it
            return UNKNOWN
        if not registered:  # a database that is away looks like one without models
            return UNKNOWN
        return KNOWN if request.model in registered else GONE
    if not request.model:
        return UNKNOWN
    if any(storage.exists(storage.join(request.model, name)) for name in BUNDLES):
        return KNOWN
    if not storage.is_local(request.model):
        return UNKNOWN
    above, trials = Path(request.model).parent, home.trials_home()
    # A trial is deleted with the folder above its bundle.
    of_home = storage.is_local(trials) and Path(trials) in above.parents and Path(trials).is_dir()
    return GONE if above.is_dir() or of_home else UNKNOWN


def commands_for(model: str, uris: Sequence[str]) -> list[str]:
    """The commands that index the libraries of some catalogues for another model; of one that does not say of what it
    is, its place."""
    found = []
    for uri in uris:
        try:
            request = read_request(uri)
        except (TonearmError, OSError, ValueError, KeyError, TypeError):
            request = IndexRequest("")
        known = bool(request.dataset or request.audio)
        found.append(request.command(model) if known else f"{uri} (it does not say of what library it is)")
    return found


def catalogues_left_behind(before: str, now: str) -> list[str]:
    """The catalogues of libraries that were indexed for one model and not for another, which replaces it.

    Parameters
    ----------
    before, now
        Folders or URIs of the models.
    """
    if not storage.list_folders(home.catalogues_home()):
        return []
    from tonearm.inference import load
    from tonearm.inference.made_catalogues import made_catalogues

    there = {uri.rpartition("/")[2] for uri in made_catalogues(load(now).digest)}
    return sorted(uri for uri in made_catalogues(load(before).digest) if uri.rpartition("/")[2] not in there)


def told_left_behind(before: str, now: str, champion: str) -> str:
    """A sentence on those, and the commands that index them for the champion; "" if there are none."""
    left = catalogues_left_behind(before, now)
    if not left:
        return ""
    return "; libraries that it does not recommend from yet:\n" + "\n".join(
        f"  {line}" for line in commands_for(champion, left)
    )
