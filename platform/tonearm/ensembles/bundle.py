"""An ensemble as a folder that needs nothing else: ``ensemble.json`` and a bundle a member.

``ensemble.json`` has ``format``, ``members`` (folders), ``weights`` and ``temperatures`` (a number a member), ``facts``
(scores, data set, trials), and from format 3 on ``combination``: ``kind``, ``temperature``, ``coefficients`` and
``intercepts``, as :class:`tonearm.ensembles.combination.Combination` has them. Without it, it is the weighted mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tonearm.core import storage
from tonearm.core.descriptions import read_description
from tonearm.core.errors import BundleError
from tonearm.core.types import FloatArray
from tonearm.ensembles.combination import WEIGHTED_MEAN, Combination
from tonearm.tasks.base import Task
from tonearm.tasks.temperature import apply_temperature
from tonearm.training.bundle import DESCRIPTION as MEMBER_DESCRIPTION
from tonearm.training.bundle import FORMAT_VERSION as MEMBER_FORMAT
from tonearm.training.bundle import REMEDY, WEIGHTS, Bundle, load_bundle

FORMAT_VERSION = 3  # 2: temperatures, members of several clips; 3: combination
PLAIN_VERSION = 2  # of a weighted mean, which servers of earlier versions read
READABLE = (1, PLAIN_VERSION, FORMAT_VERSION)
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
        By which each member's predictions are calibrated before they are combined; 1 changes nothing.
    combination
        How they become one.
    """

    members: tuple[Bundle, ...]
    weights: tuple[float, ...]
    metadata: dict[str, Any]
    temperatures: tuple[float, ...]
    combination: Combination = WEIGHTED_MEAN

    @property
    def classes(self) -> tuple[str, ...]:
        return self.members[0].classes

    @property
    def task(self) -> Task:
        """What the predictions mean; members that were trained by another one mean the same."""
        return self.members[0].config.task

    def calibrated(self, predictions: Sequence[FloatArray]) -> list[FloatArray]:
        """Predictions of the members, in their order, by their temperatures."""
        each = zip(self.members, predictions, self.temperatures, strict=True)
        return [apply_temperature(member.config.task, p, t) for member, p, t in each]

    def combine(self, predictions: Sequence[FloatArray]) -> FloatArray:
        """What members predict together, from what each predicts, in their order, (tracks, outputs) or (outputs,)."""
        return self.combination.combine(self.task, self.calibrated(predictions), self.weights)

    def without_temperatures(self) -> Ensemble:
        """The same, not calibrated."""
        plain = (1.0,) * len(self.members)
        return replace(self, temperatures=plain, combination=self.combination.without_temperature())

    def identity(self) -> list[Any]:
        """Beside its members what its answers depend on, for digests."""
        return [list(self.weights), list(self.temperatures), *self.combination.identity()]


def save_ensemble(
    uri: str, members: Sequence[str], weights: Sequence[float], metadata: dict[str, Any],
    temperatures: Sequence[float] = (), combination: Combination = WEIGHTED_MEAN,
) -> None:  # fmt: skip
    """Copy the members' bundles into one folder; the description, which makes it complete, comes last.

    Parameters
    ----------
    members
        URIs of single bundles.
    temperatures
        Of the members; none given: 1 each.
    combination
        How they answer together.

    Raises
    ------
    BundleError
        If they cannot be combined; nothing is written then.
    """
    temperatures = tuple(temperatures) or (1.0,) * len(members)
    _require_numbers(uri, len(members), weights, temperatures)
    described = [read_description(m, MEMBER_DESCRIPTION, (MEMBER_FORMAT,), REMEDY) for m in members]
    _require_combinable(uri, [tuple(d["classes"]) for d in described],
                        [Task.from_dict(d["config"]["task"]) for d in described], combination)  # fmt: skip
    names = []
    for i, member in enumerate(members):
        names.append(f"members/{i:02d}")
        for file in (WEIGHTS, MEMBER_DESCRIPTION):
            storage.write_bytes(storage.join(uri, names[-1], file), storage.read_bytes(storage.join(member, file)))
    plain = combination == WEIGHTED_MEAN
    storage.write_json(
        storage.join(uri, DESCRIPTION),
        {
            "format": PLAIN_VERSION if plain else FORMAT_VERSION,
            "members": names,
            "weights": list(weights),
            "facts": metadata,
            "temperatures": list(temperatures),
            **({} if plain else {"combination": combination.to_dict()}),
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
        combination = Combination.from_dict(description["combination"]) if description["format"] > 2 else WEIGHTED_MEAN
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the ensemble at {uri} is damaged: {error!r}. Select it again") from error
    _require_numbers(uri, len(members), weights, temperatures)
    _require_combinable(uri, [m.classes for m in members], [m.config.task for m in members], combination)
    return Ensemble(members, weights, metadata, temperatures, combination)


def _require_numbers(uri: str, members: int, weights: Sequence[float], temperatures: Sequence[float]) -> None:
    if not members or members != len(weights) or not all(0 < w < math.inf for w in weights):
        raise BundleError(f"{uri}: {members} members with weights {tuple(weights)}: one positive weight a member")
    if len(temperatures) != members or not all(0 < t < math.inf for t in temperatures):
        raise BundleError(f"{uri}: {members} members with temperatures {tuple(temperatures)}: one above 0 a member")


def _require_combinable(
    uri: str, classes: Sequence[tuple[str, ...]], tasks: Sequence[Task], combination: Combination
) -> None:
    if len(set(classes)) > 1:
        raise BundleError(f"{uri}: the members differ in classes, so their predictions cannot be combined")
    other = next((t for t in tasks if t.meaning() != tasks[0].meaning()), None)
    if other is not None:
        raise BundleError(
            f"{uri}: a member learned {tasks[0].brief()}, another {other.brief()}: their predictions mean different "
            "things, so that no mean of them means anything; take members of one of the two"
        )
    problems = combination.problems(tasks, len(classes[0]))
    if problems:
        raise BundleError(f"{uri}: {'; '.join(problems)}")
