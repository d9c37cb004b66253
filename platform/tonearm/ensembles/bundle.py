"""An ensemble as a folder that needs nothing else: ``ensemble.json`` and a bundle a member."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import storage
from tonearm.core.errors import BundleError
from tonearm.training.bundle import DESCRIPTION as MEMBER_DESCRIPTION
from tonearm.training.bundle import WEIGHTS, Bundle, load_bundle, read_description

FORMAT_VERSION = 2  # 2: temperatures, members of several clips
READABLE = (1, FORMAT_VERSION)
DESCRIPTION = "ensemble.json"
MEMBER_NAME = re.compile(r"members/\d{2,}")  # as save_ensemble names them: nothing that leads out of the folder


@dataclass(frozen=True)
class Ensemble:
    """Members with their weights; they share classes, and each hears its own clip.

    Attributes
    ----------
    members
        Bundles, in the order of their weights.
    weights
        Positive; only their ratios count.
    metadata
        Its scores, data set and trials.
    temperatures
        By which each member's predictions are calibrated before they are averaged; 1 changes nothing.
    """

    members: tuple[Bundle, ...]
    weights: tuple[float, ...]
    metadata: dict[str, Any]
    temperatures: tuple[float, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.members[0].classes


def save_ensemble(
    uri: str, members: Sequence[str], weights: Sequence[float], metadata: dict[str, Any],
    temperatures: Sequence[float] = (),
) -> None:  # fmt: skip
    """Copy the members' bundles into one folder; the description, which makes it complete, comes last.

    Parameters
    ----------
    members
        URIs of single bundles.
    temperatures
        Of the members; none given: 1 each.
    """
    names = []
    for i, member in enumerate(members):
        names.append(f"members/{i:02d}")
        for file in (WEIGHTS, MEMBER_DESCRIPTION):
            storage.write_bytes(storage.join(uri, names[-1], file), storage.read_bytes(storage.join(member, file)))
    storage.write_json(
        storage.join(uri, DESCRIPTION),
        {
            "format": FORMAT_VERSION,
            "members": names,
            "weights": list(weights),
            "facts": metadata,
            "temperatures": list(temperatures) or [1.0] * len(names),
        },
    )


def load_ensemble(uri: str, allowed_modules: Collection[str] = ()) -> Ensemble:
    """Read an ensemble, or a single bundle as an ensemble of one; ``allowed_modules`` as :func:`load_bundle` has them.

    Raises
    ------
    BundleError
        If it is missing, damaged, of another format version, or its members do not fit together.
    """
    if not storage.exists(storage.join(uri, DESCRIPTION)):
        single = load_bundle(uri, allowed_modules)
        return Ensemble((single,), (1.0,), {"metrics": single.metrics}, (1.0,))
    description = read_description(uri, DESCRIPTION, READABLE, "select it again")
    try:
        strange = [name for name in description["members"] if not MEMBER_NAME.fullmatch(name)]
        if strange:
            raise ValueError(f"members are called members/00, members/01, ..., not {strange}")
        members = tuple(load_bundle(storage.join(uri, name), allowed_modules) for name in description["members"])
        weights = tuple(float(w) for w in description["weights"])
        metadata = dict(description["facts"])
        found = description["temperatures"] if description["format"] > 1 else [1.0] * len(members)
        temperatures = tuple(float(t) for t in found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the ensemble at {uri} is damaged: {error!r}. Select it again") from error
    if not members or len(members) != len(weights) or min(weights) <= 0:
        raise BundleError(f"{uri}: {len(members)} members with weights {weights}: one positive weight a member")
    if len(temperatures) != len(members) or not all(0 < t < math.inf for t in temperatures):
        raise BundleError(f"{uri}: {len(members)} members with temperatures {temperatures}: one above 0 a member")
    if len({m.classes for m in members}) > 1:
        raise BundleError(f"{uri}: the members differ in classes, so their predictions cannot be combined")
    return Ensemble(members, weights, metadata, temperatures)
