"""Which version of a model is meant: an alias is resolved once, to a number that never means another model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tonearm.core.seeding import digest
from tonearm.tracking.fetch import require_named

REGISTERED = "models:/"


@dataclass(frozen=True)
class Version:
    """One model that never changes.

    Attributes
    ----------
    uri
        What is loaded: ``models:/NAME/NUMBER``, or a bundle's folder or URI. It may be a place of the server's.
    name
        What users are told: the registered model's name, or the last part of the folder's.
    number
        Of the registered version; "" of a folder.
    """

    uri: str
    name: str
    number: str = ""

    def application(self, ingress: str) -> str:
        """The name of the application in Serve that holds it, for an ingress of such a name."""
        words = re.sub("[^A-Za-z0-9]+", "-", f"{self.name}-{self.number}")[:40].strip("-")
        return f"{listeners_of(ingress)}{words}-{digest(self.uri)[:8]}"

    @property
    def to_type(self) -> str:
        """What a command is told to mean it; of a folder, whose place is nobody's business, a word."""
        return self.uri if self.number else "MODEL"

    def signature(self, bundle: str) -> dict[str, str]:
        """What every answer says of the model that made it; ``bundle`` is the digest of its files."""
        return {"model": self.name, "version": self.number, "bundle": bundle}


def listeners_of(ingress: str) -> str:
    """How the names of the applications begin that hold the models of an ingress."""
    return f"{ingress}-listener-"


def resolve(model: str) -> Version:
    """The version that a name means now.

    Parameters
    ----------
    model
        A folder, a URI, ``models:/NAME/NUMBER`` or ``models:/NAME@ALIAS``.

    Raises
    ------
    BundleError
        If nothing is named.
    TrackingError
        If the registry knows no such version.
    """
    from tonearm.tracking.model_files import pinned_uri

    uri = pinned_uri(require_named(model))
    if not uri.startswith(REGISTERED):
        return Version(uri, uri.rstrip("/").rpartition("/")[2])
    name, _, number = uri.removeprefix(REGISTERED).partition("/")
    return Version(uri, name, number)


def challenger_uri(model: str, challenger: str) -> str:
    """What a challenger's name means: an alias of the same registered model, unless it is a model itself.

    Raises
    ------
    ConfigError
        If it is an alias, and the model is not registered.
    """
    from tonearm.core.errors import ConfigError

    if not re.fullmatch(r"[A-Za-z0-9_-]+", challenger):
        return challenger
    if not model.startswith(REGISTERED):
        raise ConfigError(f"the challenger {challenger!r} is an alias in the registry, and the model {model} is not "
                          "registered: give a folder or a URI")  # fmt: skip
    return f"{REGISTERED}{re.split('[@/]', model.removeprefix(REGISTERED))[0]}@{challenger}"


def resolve_challenger(uri: str) -> Version | None:
    """:func:`resolve`; None if it is an alias that no version has (any more).

    Raises
    ------
    TrackingError
        If the registry cannot be asked.
    """
    from tonearm.tracking.model_files import has_alias

    return None if follows(uri) and not has_alias(uri) else resolve(uri)


def follows(model: str) -> bool:
    """Whether a name may mean another version later."""
    return model.startswith(REGISTERED) and "@" in model
