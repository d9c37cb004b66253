"""A listener's taste of several kinds, beside the formula written as loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.libraries import PlainLibrary, random_library
from tonearm.core.unit_length import unit_length
from tonearm.recommend import taste
from tonearm.recommend.library import Library
from tonearm.recommend.rank import rank
from tonearm.recommend.request import Request
from tonearm.recommend.taste import vote

LIBRARY = random_library()


def places(request: Request, library: Library = LIBRARY) -> list[int]:
    return [r.place for r in rank(library, request).results]


def vectors(n: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    return unit_length(np.random.default_rng(seed).normal(size=(n, dim)))


def test_a_taste_of_two_kinds_gets_both_by_their_share() -> None:
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(3), 40, axis=0)
    library = PlainLibrary(centres + rng.normal(0, 0.05, centres.shape))
    like = (*(f"t{i}" for i in range(6)), "t40", "t41", "t42")  # six of the first kind, three of the second
    kinds = [p // 40 for p in places(Request(like=like, taste=True, k=12), library)]
    assert abs(kinds.count(0) - 8) <= 1 and kinds.count(0) + kinds.count(1) == 12
    mean = [p // 40 for p in places(Request(like=like, k=12), library)]
    assert mean.count(1) == 0, "the mean of both kinds lies at the larger one"


def test_a_taste_of_one_is_its_neighbours_in_order() -> None:
    assert places(Request(like=("t7",), taste=True, k=9)) == places(Request(like=("t7",), k=9))


def test_votes_fall_in_the_order_in_which_they_choose() -> None:
    """Beside the formula, written as loops."""
    liked, v, k = vectors(3, seed=1), vectors(20, seed=2), 4
    relevance = vote(liked, np.empty((0, 6), np.float32), v, k)
    ranks = [[sum(float(t @ w) > float(t @ x) for w in v) for x in v] for t in liked]
    given_, left, chosen = [0.0] * 3, list(range(20)), []
    while left:
        best = max(left, key=lambda x: sum((1 + ranks[t][x] / k) ** -2 / (1 + given_[t]) for t in range(3)))
        for t in range(3):
            given_[t] += (1 + ranks[t][best] / k) ** -2
        chosen.append(best)
        left.remove(best)
    assert np.argsort(-relevance, kind="stable").tolist() == chosen and relevance.max() == 1


def test_those_beyond_the_rounds_stand_behind_those_chosen_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    liked, v, nothing = vectors(3, seed=1), vectors(30, seed=2), np.empty((0, 6), np.float32)
    whole = np.argsort(-vote(liked, nothing, v, 2), kind="stable")
    monkeypatch.setattr(taste, "ROUNDS", 8)
    relevance = vote(liked, nothing, v, 2)
    order = np.argsort(-relevance, kind="stable")
    assert order[:8].tolist() == whole[:8].tolist()
    assert 0 < relevance[order[8:]].max() <= relevance[order[7]]


def test_what_is_disliked_votes_against() -> None:
    v = vectors(30, seed=4)
    library = PlainLibrary(v)
    near = places(Request(like=("t0",), taste=True, k=1), library)[0]
    away = places(Request(like=("t0",), dislike=(f"t{near}",), taste=True, k=28), library)
    assert near not in away and len(away) == 28
