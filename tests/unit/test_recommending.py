"""What is recommended: seeds, conditions, diversity, sliders; beside plain references."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.libraries import PlainLibrary, random_library
from tonearm.core.errors import ConfigError
from tonearm.core.unit_length import unit_length
from tonearm.recommend.diversity import diversify
from tonearm.recommend.rank import rank
from tonearm.recommend.request import Request
from tonearm.recommend.seeds import AWAY
from tonearm.recommend.sliders import Slider, slide

LIBRARY = random_library()


def places(request: Request, library: Any = LIBRARY) -> list[int]:
    return [r.place for r in rank(library, request).results]


def vectors(n: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    return unit_length(np.random.default_rng(seed).normal(size=(n, dim)))


# --- seeds


def test_one_seed_finds_its_neighbours_and_never_itself() -> None:
    query = LIBRARY.vectors(np.array([7]))[0]
    expected = [hit.place for hit in LIBRARY.search(query, 6) if hit.place != 7][:5]
    answer = rank(LIBRARY, Request(like=("t7",)))
    assert [r.place for r in answer.results] == expected
    assert [r.rank for r in answer.results] == [r.rank_before for r in answer.results] == [1, 2, 3, 4, 5]
    assert answer.notes == ()


def test_audio_and_a_track_of_one_vector_find_the_same() -> None:
    query = LIBRARY.vectors(np.array([7]))[0]
    assert places(Request(audio=query, k=6))[1:] == places(Request(like=("t7",)))
    assert places(Request(audio=query * 30, k=6)) == places(Request(audio=query, k=6))


def test_what_is_disliked_is_taken_off_as_rocchio_does() -> None:
    v = LIBRARY.vectors(np.arange(60)).astype(np.float64)
    query = (v[3] + v[4]) / 2 - AWAY * (v[8] + v[9]) / 2
    order = [i for i in np.argsort(-(v @ query)).tolist() if i not in (3, 4, 8, 9)]
    assert places(Request(like=("t3", "t4"), dislike=("t8", "t9"), k=10)) == order[:10]


def test_an_artist_is_the_mean_of_their_tracks_and_is_not_recommended() -> None:
    rows = [i for i in range(60) if i % 10 == 4]
    mean = LIBRARY.vectors(np.array(rows)).mean(axis=0)
    expected = [h.place for h in LIBRARY.search(unit_length(mean), 60) if h.place not in rows][:5]
    assert places(Request(artists=("artist 4",))) == expected, "without regard to case"


def test_all_that_is_wrong_is_told_at_once() -> None:
    request = Request(
        like=("t1", "t99", "t1"), dislike=("t1",), artists=("Artist 44",), k=0, diversity=2.0, not_same=("key",),
        sliders={"tempoo": 0.5, "year": 3.0}, where={"yeer": 1900, "label": 3},
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        rank(LIBRARY, request)
    told = str(error.value)
    parts = ("no row 't99'", "liked and disliked", "more than once", "Artist 4'", "k is 0", "diversity is 2")
    for part in (*parts, "mean 'tempo'", "year is 3.0", "mean 'year'", "label is 3", "not_same holds ['key']"):
        assert part in told, part
    assert len(error.value.problems) == 11


def test_near_names_are_sought_for_a_few_of_many_unknown_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def near(name: str, known: list[str], most: int) -> list[str]:
        compared.append(len(known))
        return known[:1]

    monkeypatch.setattr(difflib, "get_close_matches", near)
    request = Request(like=("t1", *(f"x{i}" for i in range(50)), "t2"), artists=tuple(f"y{i}" for i in range(40)))
    with pytest.raises(ConfigError) as error:
        rank(LIBRARY, request)
    told = error.value.problems
    assert len(compared) == 6 and len(told) == 8
    assert told[3] == "ids that are not in the catalogue either: 'x3', 'x4', 'x5' and 44 more"
    assert told[7] == "artists that are not in the catalogue either: 'y3', 'y4', 'y5' and 34 more"


@pytest.mark.parametrize(
    ("audio", "told"),
    [(np.ones(7, np.float32), "8 dim"), (np.full(8, np.nan, np.float32), "NaN"), (np.zeros(8, np.float32), "zeros")],
)
def test_a_query_that_is_no_direction_of_this_space_is_refused(audio: np.ndarray, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        rank(LIBRARY, Request(audio=audio))


def test_an_empty_catalogue_and_nothing_liked_are_told() -> None:
    with pytest.raises(ConfigError, match="catalogue is empty"):
        rank(PlainLibrary(np.empty((0, 8))), Request(like=("t1",)))
    with pytest.raises(ConfigError, match="nothing is liked"):
        rank(LIBRARY, Request(dislike=("t1",)))


def test_what_cancels_out_is_refused() -> None:
    library = PlainLibrary(np.array([[1.0, 0], [-1.0, 0], [0, 1.0]]))
    with pytest.raises(ConfigError, match="points nowhere"):
        rank(library, Request(like=("t0", "t1")))
    assert places(Request(like=("t0", "t1"), taste=True), library) == [2]


def test_more_than_there_is_gives_all_and_says_so() -> None:
    answer = rank(LIBRARY, Request(like=("t7",), k=100))
    assert len(answer.results) == 59
    assert answer.notes == ("100 were asked for, and 59 tracks may be recommended: these are all",)


# --- conditions


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"label": "Folk"}, lambda i: i % 3 == 0),
        ({"label": ["folk", "JAZZ "]}, lambda i: i % 3 < 2),
        ({"year": (1910, 1919)}, lambda i: 10 <= i <= 19),
        ({"year": [None, 1909.0]}, lambda i: i <= 9),
        ({"year": 1907}, lambda i: i == 7),
        ({"year": (1950, None), "artist": "Artist 3"}, lambda i: i == 53),
    ],
)
def test_conditions_leave_what_meets_them_all(where: dict[str, Any], expected: Any) -> None:
    found = places(Request(audio=np.ones(8, np.float32), where=where, k=60))
    assert sorted(found) == [i for i in range(60) if expected(i)]
    rest = [hit.place for hit in LIBRARY.search(unit_length(np.ones(8)), 60) if expected(hit.place)]
    assert found == rest, "in the order of the search"


def test_which_condition_left_nothing_is_told_with_counts() -> None:
    with pytest.raises(ConfigError) as error:
        rank(LIBRARY, Request(like=("t7",), where={"label": "folk", "year": (1901, 1902), "artist": "Artist 1"}))
    told = str(error.value)
    assert "label folk (20 alone, 20 after those before it)" in told
    assert "year 1901 to 1902 (2 alone, 0 after those before it)" in told
    assert "artist Artist 1 (6 alone, 0 after" in told and "It is 'year 1901 to 1902' after which none is left" in told


@pytest.mark.parametrize(
    "year", [(1999, 1990), (None, None), (1, 2, 3), "1990", (np.nan, 3), True, [], 10**400, (-(10**400), 3)]
)
def test_ranges_that_cannot_be_meant_are_refused(year: Any) -> None:
    with pytest.raises(ConfigError, match="where: year is"):
        rank(LIBRARY, Request(like=("t7",), where={"year": year}))


def test_whole_numbers_of_any_length_are_numbers() -> None:
    assert places(Request(like=("t7",), where={"year": (1950, 10**20)})) == places(
        Request(like=("t7",), where={"year": (1950, None)})
    )
    with pytest.raises(ConfigError, match=r"year 1e\+20 \(0 alone"):
        rank(LIBRARY, Request(like=("t7",), where={"year": 10**20}))


def test_artist_album_and_recording_of_the_seeds_can_be_left_out() -> None:
    library = PlainLibrary(
        vectors(6), artist=["A", "a", "B", ["B", "A"], None, "C"], recording=["r", None, None, "", "", "r"],
        album=["X", "Y", "x", "Z", None, "Z"],
    )  # fmt: skip
    assert sorted(places(Request(like=("t0",)), library)) == [1, 2, 3, 4], "a recording in another form is no news"
    assert sorted(places(Request(like=("t0",), not_same=("artist",)), library)) == [2, 4]
    assert sorted(places(Request(like=("t0",), not_same=("album", "artist")), library)) == [4]


# --- diversity


def reference(relevance: np.ndarray, v: np.ndarray, k: int, d: float) -> list[int]:
    """Carbonell and Goldstein's formula, as it stands there."""
    chosen: list[int] = []
    while len(chosen) < min(k, len(v)):

        def value(i: int) -> float:
            others = max((float(v[i] @ v[j]) for j in chosen), default=None)
            return float(relevance[i]) if others is None else (1 - d) * float(relevance[i]) - d * others

        chosen.append(max((i for i in range(len(v)) if i not in chosen), key=lambda i: (value(i), -i)))
    return chosen


@pytest.mark.parametrize("d", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_diversity_is_that_of_the_paper(d: float, seed: int) -> None:
    v = vectors(30, seed=seed).astype(np.float64)
    relevance = v @ v[0]
    assert diversify(relevance, v, 12, d).tolist() == reference(relevance, v, 12, d)


def test_no_diversity_is_the_order_of_the_search_and_more_of_it_spreads() -> None:
    pairs = [rank(LIBRARY, Request(like=("t7",), k=10, diversity=d)).results for d in (0.0, 0.7)]
    plain, spread = ([r.place for r in results] for results in pairs)
    assert plain == places(Request(like=("t7",), k=10)) and spread != plain

    def alike(rows: list[int]) -> float:
        v = LIBRARY.vectors(np.array(rows))
        return float((v @ v.T)[np.triu_indices(len(rows), 1)].mean())

    assert alike(spread) < alike(plain)
    assert [r.rank_before for r in pairs[1]] == [places(Request(like=("t7",), k=60)).index(p) + 1 for p in spread]


# --- sliders


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), k=st.integers(1, 12), other=st.floats(-1, 1),
    low=st.floats(-1, 1), high=st.floats(-1, 1), lacking=st.booleans(),
)  # fmt: skip
def test_a_larger_slider_never_lowers_the_mean(
    seed: int, k: int, other: float, low: float, high: float, lacking: bool
) -> None:
    rng = np.random.default_rng(seed)
    relevance, tempo, year = rng.normal(size=25), rng.normal(100, 30, 25), rng.normal(size=25)
    low, high = min(low, high), max(low, high)
    seen = tempo.copy()
    if lacking:
        seen[::3] = np.nan
        tempo[::3] = np.median(seen[np.isfinite(seen)])
    means = []
    for shift in (low, high):
        sliders = [Slider("tempo", shift, seen), Slider("year", other, year)]
        first = np.argsort(-slide(relevance, np.arange(25), sliders), kind="stable")[:k]
        means.append(tempo[first].mean())
    assert means[1] >= means[0] - 1e-9 * abs(means[0])


def test_sliders_say_what_moved_and_why() -> None:
    answer = rank(LIBRARY, Request(like=("t7",), k=5, sliders={"faster": 1.0}))
    tempo = LIBRARY.column("tempo")
    assert tempo is not None
    plain = places(Request(like=("t7",), k=5))
    assert np.mean([tempo[r.place] for r in answer.results]) > np.mean(tempo[plain])
    for r in answer.results:
        (shift,) = r.shifts
        assert (shift.name, shift.shift, shift.value, shift.seed) == ("tempo", 1.0, tempo[r.place], tempo[7])
    order = places(Request(like=("t7",), k=59))
    assert [order[r.rank_before - 1] for r in answer.results] == [r.place for r in answer.results]
    both = [places(Request(like=("t7",), sliders=sliders)) for sliders in ({"faster": 0.5}, {"slower": -0.5})]
    assert both[0] == both[1]
    assert places(Request(like=("t7",), sliders={"tempo": 0.0, "older": 0})) == plain, "0 changes nothing"


def test_what_is_not_known_counts_as_usual_and_is_told() -> None:
    library = PlainLibrary(vectors(9), tempo=[float("nan") if i % 2 else 100.0 + i for i in range(9)])
    answer = rank(library, Request(like=("t0",), k=8, sliders={"tempo": 0.2}))
    assert answer.notes == ("tempo of 4 of these is not known: it counts as usual",)


def test_a_label_is_an_attribute_too() -> None:
    library = PlainLibrary(
        vectors(6), predicted=[["electronic"], ["folk", "electronic"], ["folk"], ["electronic"], None, ["folk"]],
        probabilities=[[0.9], [0.6, 0.4], [1.0], [0.7], None, [0.8]],
    )  # fmt: skip
    answer = rank(library, Request(like=("t0",), sliders={"electronic": -1.0}))
    assert {r.place: r.shifts[0].value for r in answer.results} == {1: 0.4, 2: 0.0, 3: 0.7, 4: None, 5: 0.0}
    assert answer.results[0].place in (2, 5) and answer.results[0].shifts[0].seed == 0.9
