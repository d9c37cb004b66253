"""Agreement and diversity of stored outputs, for which no labels are needed: which models agree, and does one pair
of models disagree more than another?"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tonearm.core import storage
from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.statistics.agreement import disagreement, disagrees, divergence, kappa
from tonearm.statistics.differences import Difference, mean_difference
from tonearm.statistics.significance import holm, randomisation_test

Outputs = Mapping[str, np.ndarray]
OVERALL = "all"
PRIMARY = "members' answers"  # the measure that decides a question; the others stand beside it


@dataclass(frozen=True)
class PairQuestion:
    """Do A and B differ more than C and D?

    Attributes
    ----------
    text
        The question as the user wrote it.
    places
        By what ``*`` stood for ("" without one), the four names; the last question is of all of them together.
    """

    text: str
    places: dict[str, tuple[str, str, str, str]]


@dataclass(frozen=True)
class PairResult:
    """How much the two of each pair differ, and the difference of both.

    Attributes
    ----------
    place
        What ``*`` stood for, or ``all``.
    what
        What was measured.
    first, second
        Of the pairs, means over tracks.
    difference
        First - second.
    p, adjusted
        Of the randomisation test over tracks, and by Holm for all places and measures of the question.
    """

    place: str
    what: str
    first: float
    second: float
    difference: Difference
    p: float
    adjusted: float


@dataclass(frozen=True)
class Agreement:
    """Matrices (models, models) of the share of equal predictions, Cohen's kappa, and mean divergence in bits."""

    names: list[str]
    tracks: int
    equal: np.ndarray
    kappa: np.ndarray
    divergence: np.ndarray


def read_outputs(uri: str) -> dict[str, np.ndarray]:
    """Arrays (tracks, classes) by name from an ``.npz`` file at any URI; nothing in it is unpickled.

    Raises
    ------
    ConfigError
        If it is missing or no such file, or its arrays are not of one shape (tracks, classes).
    """
    if not storage.exists(uri):
        raise ConfigError(f"there is no file {uri}: give an .npz of arrays (tracks, classes), one a model")
    try:
        with np.load(io.BytesIO(storage.read_bytes(uri)), allow_pickle=False) as file:
            found = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{uri} is no .npz of plain arrays ({error}): write it with numpy.savez") from None
    shapes = {name: a.shape for name, a in found.items()}
    if len(found) < 2:
        raise ConfigError(f"{uri} holds {len(found)} array(s): give the outputs of two models at least")
    wrong = {name: shape for name, shape in shapes.items() if len(shape) != 2 or shape != next(iter(shapes.values()))}
    whole = [name for name, a in found.items() if a.dtype.kind in "iub"]
    if whole:
        raise ConfigError(
            f"{uri} holds whole numbers ({whole[0]!r} is {found[whole[0]].dtype}): give probabilities of all classes, "
            "not answers or targets; if they are such (0 and 1), save them as float32"
        )
    if wrong or any(a.dtype.kind != "f" for a in found.values()):
        raise ConfigError(
            f"{uri} holds arrays of shapes {sorted(set(shapes.values()))}: all must be probabilities of the same "
            f"(tracks, classes){f', look at {next(iter(wrong))!r}' if wrong else ''}"
        )
    return found


def agreement(outputs: Outputs) -> Agreement:
    """Every two models' agreement."""
    names = list(outputs)
    equal, kappas, bits = (np.eye(len(names)), np.eye(len(names)), np.zeros((len(names), len(names))))
    for i, j in combinations(range(len(names)), 2):
        one, two = outputs[names[i]], outputs[names[j]]
        equal[i, j] = equal[j, i] = 1 - disagreement(one, two)
        kappas[i, j] = kappas[j, i] = kappa(one, two)
        bits[i, j] = bits[j, i] = float(divergence(one, two).mean())
    return Agreement(names, len(outputs[names[0]]), equal, kappas, bits)


def parse_pair_question(text: str, outputs: Outputs) -> PairQuestion:
    """Read ``"A,B;C,D"``. A ``*`` in the names stands for whatever makes all four of them known.

    Raises
    ------
    ConfigError
        If it is not of that form, or names are unknown.
    """
    parts = [[name.strip() for name in pair.split(",")] for pair in text.split(";")]
    if len(parts) != 2 or any(len(pair) != 2 or not all(pair) for pair in parts):
        raise ConfigError(f"pair {text!r} is not of the form 'A,B;C,D': two names, a semicolon, two names")
    patterns = (parts[0][0], parts[0][1], parts[1][0], parts[1][1])
    if all("*" not in p for p in patterns):
        _check_known(patterns, outputs)
        return PairQuestion(text, {"": patterns})
    found: dict[str, tuple[str, str, str, str]] = {}
    first = next(p for p in patterns if "*" in p)
    for place in _stands_for(first, outputs):
        one, two, three, four = (p.replace("*", place) for p in patterns)
        if {one, two, three, four} <= set(outputs):
            found[place] = (one, two, three, four)
    if not found:
        raise ConfigError(f"pair {text!r}: nothing in the place of * makes all four names known: {', '.join(outputs)}")
    return PairQuestion(text, found)


def _stands_for(pattern: str, outputs: Outputs) -> list[str]:
    before, _, after = pattern.partition("*")
    return [
        name[len(before) : len(name) - len(after)]
        for name in outputs
        if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
    ]


def _check_known(names: Sequence[str], outputs: Outputs) -> None:
    for name in names:
        if name not in outputs:
            raise unknown_name("output", name, outputs)


def compare_pairs(question: PairQuestion, outputs: Outputs, against: str = "") -> list[PairResult]:
    """Compare how much two pairs differ, in three ways, for every place and for all places together.

    The members of a pair among each other (their answers, and their divergence in bits); the average of a pair with
    its own members; and, if ``against`` names a model (``*`` as in the question), the average with that model.
    A track's figure over all places is its mean over them.
    """
    scored: list[tuple[str, str, np.ndarray, np.ndarray]] = []
    for what, measure in _measures(against):
        each: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for place, (a, b, c, d) in question.places.items():
            reference = against.replace("*", place)
            if reference:
                _check_known([reference], outputs)
            each[place] = tuple(  # type: ignore[assignment]
                _measured(measure, outputs[one], outputs[two], outputs.get(reference)) for one, two in ((a, b), (c, d))
            )
        if len(each) > 1:
            firsts, seconds = zip(*each.values(), strict=True)
            each[OVERALL] = (np.mean(firsts, axis=0), np.mean(seconds, axis=0))
        scored += [(place, what, one, two) for place, (one, two) in each.items()]
    return _tested(scored)


def _measures(against: str) -> list[tuple[str, str]]:
    found = [
        (PRIMARY, "members"),
        ("members' probabilities (divergence, bits)", "bits"),
        ("average against its members", "average"),
    ]
    return [*found, (f"average against {against}", "against")] if against else found


def _measured(measure: str, one: np.ndarray, two: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """A pair's figure of each track, float64 (tracks,)."""
    if measure == "bits":
        return divergence(one, two)
    if measure == "members":
        return disagrees(one, two)
    average = (one.astype(np.float64) + two) / 2
    others = [one, two] if measure == "average" or reference is None else [reference]
    mean: np.ndarray = np.mean([disagrees(average, other) for other in others], axis=0)
    return mean


def _tested(scored: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> list[PairResult]:
    """Place, measure and both pairs' figures of each track, tested: one family, since any of them may be pointed at."""
    groups = [str(i) for i in range(len(scored[0][2]))]  # nothing is known of artists here
    ps = [randomisation_test(one, two, groups) for _, _, one, two in scored]
    return [
        PairResult(place, what, float(one.mean()), float(two.mean()), mean_difference(one, two, groups), p, adjusted)
        for (place, what, one, two), p, adjusted in zip(scored, ps, holm(ps), strict=True)
    ]
