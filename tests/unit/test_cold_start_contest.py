"""What is recommended to artists on whom nothing was trained, beside chance, popular artists and their own vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tonearm.core.types import FloatArray
from tonearm.recommend.cold_start import CHANCE, FOLDED_IN, POPULAR, TABLE, hold_cold_start

#: Seven artists on a circle; 5 and 6 are unknown. 5 is related to 0, 1 and to 6, who is unknown, too; 6 to 3.
DEGREES = np.array([0.0, 20, 90, 180, 270, 10, 200])
VECTORS = 3 * np.stack([np.cos(np.radians(DEGREES)), np.sin(np.radians(DEGREES))], axis=1)
RELATED = np.array([[1, 5, -1], [0, 4, -1], [4, -1, -1], [4, 6, -1], [2, 3, -1], [0, 1, 6], [3, -1, -1]])
NAMES = list("abcdefg")


def at(*degrees: float) -> dict[int, FloatArray]:
    """Places of 5 and 6, of any length."""
    angles = np.radians(degrees)
    return dict(enumerate((7 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32), 5))


def test_recall_ndcg_and_hit_rate_by_hand() -> None:
    found = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": at(12, 80)}, k=2)
    assert found and (found.queries, found.rows, found.k) == (2, 5, 2)
    audio, own = found.systems["audio"], found.systems[TABLE]
    # 5 at 12 degrees finds 1 and 0, both related; 6 at 80 degrees finds 2 and 1, of whom none is.
    assert (audio.recall.value, audio.ndcg.value, audio.hit_rate.value) == pytest.approx((0.5, 0.5, 0.5))
    # By their own vectors 5 finds 0 and 1, 6 finds 3 and 4: a hit on the first place.
    assert (own.recall.value, own.ndcg.value, own.hit_rate.value) == pytest.approx((1, 1, 1))


def test_chance_and_popularity_by_hand() -> None:
    found = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": at(12, 80)}, k=2)
    assert found
    chance, popular = found.systems[CHANCE], found.systems[POPULAR]
    assert chance.recall.value == pytest.approx(2 / 5)
    # Of 5 known artists 2 are right for 5, one for 6; of two drawn at least one is with 1 - 3/10 and 1 - 6/10.
    assert chance.hit_rate.value == pytest.approx((0.7 + 0.4) / 2)
    gain = 1 + 1 / math.log2(3)
    assert chance.ndcg.value == pytest.approx((2 / 5 * gain / gain + 1 / 5 * gain / 1) / 2)
    # Known artists are related to 4 three times, to 0, 1, 2 and 3 once each: 4 and 0 are recommended to both. To whom 5
    # and 6 are related is not known.
    assert popular.hit_rate.value == 0.5 and popular.recall.value == pytest.approx(0.25)


def test_unknown_artists_are_never_recommended_and_some_cannot_be_asked_with() -> None:
    near_each_other = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": at(200, 200)}, k=1)
    assert near_each_other and near_each_other.systems["audio"].hit_rate.value == 0.5, "3 for 6, and not 6 for 5"
    only_each_other = np.where(RELATED == 3, -1, RELATED)
    assert hold_cold_start(NAMES, VECTORS, only_each_other, {5, 6}, {"audio": at(0, 0)}) is None, "of 6 no one is known"
    assert hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": {5: np.ones(2, np.float32)}}) is None, (
        "6 was not heard"
    )
    assert hold_cold_start(NAMES, VECTORS, RELATED, {5}, {"audio": at(0, 0)}) is None


def test_it_prints_as_a_table_and_its_figures_have_names_that_can_be_logged() -> None:
    found = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"artist_recommender": at(12, 80)}, k=2)
    assert found and "2 known artists for an unknown one" in repr(found) and "artist_recommender" in repr(found)
    assert found.metrics()["recommend/cold_start/artist_recommender/hit_rate"] == 0.5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz_/") for name in found.metrics())


def test_the_report_says_what_was_learned_of_unknown_artists() -> None:
    learned = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": at(12, 80)}, k=2)
    held_out = hold_cold_start(NAMES, VECTORS, RELATED, {5, 6}, {"audio": at(12, 80)}, k=2, held_out=True)
    assert learned and held_out and learned.systems[TABLE] == held_out.systems[FOLDED_IN]
    assert FOLDED_IN not in learned.systems and TABLE not in held_out.systems
    assert repr(learned).endswith("were learned from what is sought)")
    assert "neither table nor networks were trained on these artists' relations" in repr(held_out)
