"""Guests whom a title names tie recordings to them; words that only look like guests tie nothing."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from tests.unit.test_artist_groups import by, groups
from tonearm.datasets.artist_groups import group_by_artist
from tonearm.datasets.artist_names import companions_in_title, guests_in_title


@pytest.mark.parametrize(("title", "guests"), [
    ("Song (feat. Guest)", ("guest",)), ("Song [ft. Guest & Other] (live)", ("guest", "other")),
    ("Song ft. Guest", ("guest",)), ("SONG FEAT. GUEST", ("guest",)), ("Song featuring Guest (live)", ("guest",)),
    ("Song 2 feat. Guest", ("guest",)), ("Song (feat. Robert E. Lee)", ("robert e. lee",)),
    ("Song with Strings", ()), ("Featuring", ()), ("Song (with strings)", ()), ("Song (Stay With Me)", ()),
    ("6 ft under", ()), ("6 ft. under", ()), ("6ft. under", ()), ("Dead at 6 Ft. Under", ()), ("A Feat of Arms", ()),
    ("Hello (with lyrics)", ()), ("Hello (With Love)", ()), ("Hello (w/ lyrics on screen)", ()), ("", ()), (None, ()),
])  # fmt: skip
def test_a_title_names_guests(title: str | None, guests: tuple[str, ...]) -> None:
    assert guests_in_title(title) == guests


@pytest.mark.parametrize(("title", "perhaps"), [
    ("Song (with Guest)", ("guest",)), ("Song [w/ Guest]", ("guest",)), ("Song (w/Guest)", ("guest",)),
    ("Song feat Guest", ("guest",)), ("Song 2 ft. Guest", ("guest",)), ("Song (With Love)", ("love",)),
    ("Song (with strings)", ()), ("Song (Stay With Me)", ()), ("Song with Strings", ()), ("Song (without Guest)", ()),
    (None, ()),
])  # fmt: skip
def test_a_title_may_name_companions(title: str | None, perhaps: tuple[str, ...]) -> None:
    assert companions_in_title(title) == perhaps


def test_a_guest_in_a_title_ties() -> None:
    one, other, third = by("Miles"), by("Guest"), by("Else")
    tied = [dataclasses.replace(one[0], title="Song (feat. Guest)"), *other, *third]
    assert groups(tied) == [["Else"], ["Miles", "Guest"]]


@pytest.mark.parametrize("title", ["Song (with Guest)", "Song (w/ GUEST)", "Song feat Guest", "Song 2 ft. Guest"])
def test_a_companion_ties_if_it_is_an_artist_of_the_collection(title: str) -> None:
    one, other, third = by("Miles"), by("Guest"), by("Else")
    assert groups([dataclasses.replace(one[0], title=title), *other, *third]) == [["Else"], ["Miles", "Guest"]]
    others = [dataclasses.replace(t, title=title) for t in (*one, *third)]
    assert groups(others) == [["Else"], ["Miles"]]  # nobody is called so
    assert groups([*others[:1], *third], {"Else 0": "The Guest"}) == [["Miles", "Else"]]


@pytest.mark.parametrize("title", [
    "Hello (with lyrics)", "Hello (With Love)", "Hello (Stay With Me)", "Hello (w/ lyrics on screen)", "6 ft under",
    "6 ft. under", "A Feat of Arms", "Hello (with orchestra)", "Hello (with full score)",
])  # fmt: skip
def test_words_that_are_no_artist_tie_nothing(title: str) -> None:
    tracks = [dataclasses.replace(t, title=title) for name in ("Adele", "Metallica", "Abba") for t in by(name)]
    assert groups(tracks) == [["Abba"], ["Adele"], ["Metallica"]]


def test_guests_in_titles_do_not_chain_a_library_together() -> None:
    chain = [dataclasses.replace(t, title=f"Song (feat. Rapper {i + 1})") for i in range(30) for t in by(f"Rapper {i}")]
    tied = [t for i in range(3) for t in by(f"Rapper {i} & Singer {i}")]
    found, notes = group_by_artist([*chain, *tied, *(t for i in range(80) for t in by(f"Band {i}"))], {})
    assert max(Counter(t.group for t in found).values()) == 2
    assert notes == [
        "guests tie 33 of 113 tracks together (29%): these are grouped by the artists that are no guests in a title, "
        "the largest group then has 2; a guest may be in two splits"
    ]
