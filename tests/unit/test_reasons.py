"""Why a track is recommended: data, and the sentence that is made of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.libraries import PlainLibrary
from tonearm.recommend.reasons import Attribute, Comparison, Reasons, SharedLabel, merged


def library() -> PlainLibrary:
    return PlainLibrary(
        np.random.default_rng(0).normal(size=(11, 3)),
        tempo=[100.0 + i for i in range(11)],
        year=[1700.0] * 10 + [float("nan")],
        artist=["Bach", "bach ", "Byrd", *[None] * 8],
        key=["D"] * 11,
        mode=["minor", "minor", "major", *["minor"] * 8],
        predicted=[["folk", "jazz"], ["jazz", "folk"], *[None] * 9],
        probabilities=[[0.7, 0.2], [0.5, 0.4], *[None] * 9],
    )


def test_each_attribute_of_both_is_compared() -> None:
    found = Comparison(library(), library().row(0)).reasons(1)
    by_name = {a.name: a for a in found.attributes}
    assert by_name["artist"] == Attribute("artist", "bach ", "Bach", shared=True)
    assert by_name["key"] == Attribute("key", "D minor", "D minor", shared=True)
    assert by_name["tempo"] == Attribute("tempo", 101.0, 100.0, 1.5 / 11, 0.5 / 11, shared=True)
    assert by_name["year"].quantile == by_name["year"].seed_quantile == 0.5
    assert found.labels == (SharedLabel("folk", 0.4, 0.7), SharedLabel("jazz", 0.5, 0.2))
    assert set(by_name) == {"artist", "key", "tempo", "year"}, "what nobody has is no reason"


def test_what_differs_is_told_with_its_direction() -> None:
    found = Comparison(library(), library().row(0)).reasons(2)
    assert [(a.name, a.shared) for a in found.attributes] == [
        ("artist", False), ("key", False), ("year", True), ("tempo", None)
    ]  # fmt: skip
    (tempo,) = [a for a in Comparison(library(), library().row(0)).reasons(10).attributes if a.name == "tempo"]
    assert tempo.shared is False
    assert "but faster (110, 100 BPM)" in Comparison(library(), library().row(0)).reasons(10).sentence
    assert "but slower (100, 110 BPM)" in Comparison(library(), library().row(10)).reasons(0).sentence


def test_the_sentence_is_made_of_the_data() -> None:
    assert Comparison(library(), library().row(0)).reasons(1).sentence == (
        "also by bach; in the same key, D minor; heard as folk like it (0.40, 0.70); year alike (1700, 1700); "
        "tempo alike (101, 100 BPM)"
    )  # fmt: skip
    assert Reasons().sentence == "sounds alike"


@pytest.mark.parametrize(("value", "seed", "told"), [
    (-22.42, -22.31, "softer (-22.4, -22.3 LUFS)"), (-22.4, -20.1, "softer (-22, -20 LUFS)"),
    (-22.404, -22.403, "softer (-22.404, -22.403 LUFS)"), (-8.0, -9.0, "louder (-8.00, -9.00 LUFS)"),
])  # fmt: skip
def test_what_differs_has_as_many_digits_as_tell_it_apart(value: float, seed: float, told: str) -> None:
    differing = Reasons((Attribute("loudness", value, seed, 0.2, 0.7, shared=False),))
    assert differing.sentence == f"sounds alike; but {told}"


@pytest.mark.parametrize("name", ["tempo", "year"])
def test_what_is_not_known_of_one_is_no_reason(name: str) -> None:
    seed = {k: v for k, v in library().row(0).items() if k != name}
    assert name not in {a.name for a in Comparison(library(), seed).reasons(1).attributes}


def test_several_seeds_have_the_mean_and_what_they_share() -> None:
    rows = [library().row(i) for i in (0, 2)]
    assert merged(rows) == {"tempo": 101.0, "year": 1700.0, "key": "D"}
    assert merged(rows[:1]) == rows[0] and merged([]) == {}
