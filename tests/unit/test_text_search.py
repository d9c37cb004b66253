"""Words that are searched in the texts of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.libraries import PlainLibrary
from tonearm.recommend.text_search import rows_with_words

COLUMNS = ("title", "artist", "year")
TITLES = ["Flute sonata", "Sonata for FLUTE", None, "Stra\u00dfe", "Cafe\u0301", "a.b*c", ""]
ARTISTS = ["Bach", None, "Flute Trio", "Bach", "Bach", "Bach", "Bach"]
LIBRARY = PlainLibrary(np.ones((7, 2)), title=TITLES, artist=ARTISTS)


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("flute", [0, 1, 2]),
        ("sonata", [1, 0]),
        ("FLUTE bach", [0]),
        ("bach flute", [0]),
        ("STRASSE", [3]),
        ("caf\u00e9", [4]),
        (".b*", [5]),
        ("none", []),
        ("nothing of it", []),
        ("", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_rows_hold_all_words_and_titles_that_begin_so_are_first(words: str, places: list[int]) -> None:
    assert rows_with_words(LIBRARY, COLUMNS, words).tolist() == places


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("aAbB \u00df", max_size=6), min_size=1, max_size=12), st.text("aAbBs ", max_size=4))
def test_what_is_found_is_what_a_plain_scan_finds(titles: list[str], words: str) -> None:
    library = PlainLibrary(np.ones((len(titles), 2)), title=titles)
    wanted = words.casefold().split()
    found = [i for i, title in enumerate(titles) if all(word in title.casefold() for word in wanted)]
    found.sort(key=lambda i: not titles[i].casefold().startswith(" ".join(wanted)))
    assert rows_with_words(library, ("title",), words).tolist() == found
