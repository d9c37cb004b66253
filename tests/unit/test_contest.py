"""A model's neighbours beside other ways to recommend, on a library whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.core.errors import ConfigError
from tonearm.recommend.contest import Apart, hold_contest


def library(**more: list[object]) -> PlainLibrary:
    """Four kinds of eight rows, each kind of four artists with two rows."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), 8)
    columns: dict[str, list[object]] = {
        "label": [f"kind {k}" for k in kinds],
        "artist": [f"artist {i // 2}" for i in range(32)],
        "tempo": [float(60 + i) for i in rng.permutation(32)],
    }
    return PlainLibrary(np.eye(4)[kinds] + rng.normal(0, 0.05, (32, 4)), **columns | more)


def test_artists_and_recordings_are_kept_apart() -> None:
    apart = Apart.of(library(recording=["r", *[""] * 30, "r"]))
    assert np.flatnonzero(~apart(0)).tolist() == [0, 1, 31] and np.flatnonzero(~apart(5)).tolist() == [4, 5]


def test_a_space_of_the_labels_finds_them_all_and_others_do_not() -> None:
    found = hold_contest(library(), k=6)
    assert (found.queries, found.rows) == (32, 32) and list(found.systems) == ["model", "descriptors", "random"]
    model, chance = found.systems["model"], found.systems["random"]
    assert [model.recall.value, model.ndcg.value, model.hit_rate.value] == pytest.approx([1, 1, 1])
    assert chance.recall.value == pytest.approx(6 / 30, abs=0.1) and chance.cosine < 0.5 < model.cosine
    assert "descriptors" in repr(found) and "artists apart" in repr(found)
    figures = found.metrics()
    assert figures["recommend/label/model/recall"] == 1 and "recommend/label/random/novelty" not in figures


def test_only_some_rows_may_judge_but_all_show() -> None:
    every, some = hold_contest(library(), k=3), hold_contest(library(), k=3, judged=range(4, 20))
    assert some.queries == 16 and every.queries == 32
    for name in ("model", "random"):
        assert some.systems[name].coverage == every.systems[name].coverage
        assert some.systems[name].gini == every.systems[name].gini
    assert some.systems["random"].cosine != every.systems["random"].cosine


def test_what_is_known_of_listeners_adds_popularity_and_novelty() -> None:
    plays = np.linspace(0.1, 1, 32)
    found = hold_contest(library(), k=3, listeners=plays, others={"factors": np.eye(32, dtype=np.float32)})
    assert list(found.systems) == ["model", "descriptors", "factors", "popularity", "random"]
    popular, chance = found.systems["popularity"], found.systems["random"]
    assert popular.novelty is not None and chance.novelty is not None and popular.novelty < chance.novelty
    assert popular.gini > 0.8 > chance.gini and popular.never > 0.8


def test_labels_are_a_way_to_recommend_where_something_else_is_right() -> None:
    album = [f"album {i % 4}" for i in range(32)]
    found = hold_contest(library(album=album), by="album", k=4)
    assert "same label" in found.systems


def test_what_cannot_be_measured_is_told() -> None:
    with pytest.raises(ConfigError, match="k is 32"):
        hold_contest(library(), k=32)
    with pytest.raises(ConfigError, match="no row says its genre"):
        hold_contest(library(), by="genre")
    with pytest.raises(ConfigError, match="nothing can be measured"):
        hold_contest(library(label=[f"own {i}" for i in range(32)]), k=3)
