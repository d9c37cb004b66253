"""Descriptions of what was written, each with the version of its format."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from tonearm.core import storage
from tonearm.core.errors import BundleError


def read_description(uri: str, name: str, readable: Collection[int], remedy: str) -> dict[str, Any]:
    """The JSON description of a bundle, if its format version is readable; ``remedy`` says how to make a new one."""
    path = storage.join(uri, name)
    if not storage.exists(path):
        raise BundleError(f"no model at {uri}: {name} is not there")
    try:
        description = storage.read_json(path)
        found = description["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged: {error!r}") from None
    if found not in readable:
        known = ", ".join(map(str, readable))
        raise BundleError(f"{path} has format version {found}, this Tonearm reads {known}: {remedy}")
    return dict(description)
