"""Tracks that share an artist are one group, however the artist is written; nobody's are each their own."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.builders import track
from tonearm.datasets.artist_groups import group_by_artist
from tonearm.datasets.artist_names import artist_group, artist_names
from tonearm.datasets.manifest import Track
from tonearm.datasets.nobody_names import is_nobody


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Miles Davis feat. Guest 1", ("miles davis", "guest 1")),
        ("Miles Davis ft. Guest", ("miles davis", "guest")),
        ("Miles Davis (Featuring Guest)", ("miles davis", "guest")),
        ("Miles Davis [feat Guest & Other]", ("miles davis", "guest", "other")),
        ("Miles Davis; Guest", ("miles davis", "guest")),
        ("Miles Davis/Guest", ("miles davis", "guest")),
        ("Miles Davis & Guest", ("miles davis", "guest")),
        ("Miles Davis, Guest", ("miles davis", "guest")),
        ("Miles Davis vs. Guest", ("miles davis", "guest")),
        ("Miles Davis x Guest", ("miles davis", "guest")),
        ("Miles Davis\\Guest", ("miles davis", "guest")),
        ("The Miles Davis", ("miles davis",)),
        ("Miles Davis, The", ("miles davis",)),
        ("THE  BEATLES", ("beatles",)),
        ("Simon & Garfunkel", ("simon", "garfunkel")),
        ("Earth, Wind & Fire", ("earth", "wind", "fire")),
        ("AC/DC", ("ac", "dc")),
        ("Tyler, The Creator", ("tyler", "creator")),
        ("Count Basie & His Orchestra", ("count basie",)),
        ("Sting and friends", ("sting",)),
        ("The The", ("the",)),
        ("The", ("the",)),
        ("& Co", ("& co",)),
        ("Blur feat. Various Artists", ("blur",)),
        ("Featurette", ("featurette",)),
        ("Malcolm X", ("malcolm x",)),
        ("Malcolm X feat. Guest", ("malcolm x", "guest")),
        ("Guest & Malcolm X", ("guest", "malcolm x")),
        ("Miles feat. X", ("miles", "x")),
        ("Miles x Guest", ("miles", "guest")),
        ("Miles, and Guest", ("miles", "guest")),
        ("Miles (with Guest)", ("miles", "guest")),
        ("Miles feat.", ("miles",)),
        ("Con Funk Shun", ("con funk shun",)),
        ("Miles pres. Guest", ("miles", "guest")),
        ("Miles prod. by Guest", ("miles", "guest")),
        ("Miles a.k.a. Guest", ("miles", "guest")),
        ("Miles \u2022 Guest", ("miles", "guest")),
        ("Miles \xd7 Guest", ("miles", "guest")),
        ("Zez\xe9 e Luciano", ("zez\xe9", "luciano")),
        ("\u041a\u0438\u043d\u043e \u0438 \u0414\u0414\u0422", ("\u043a\u0438\u043d\u043e", "\u0434\u0434\u0442")),
        ("X", ("x",)),
        ("!!!", ("!!!",)),
        ("&", ("&",)),
    ],
)
def test_names_in_a_text(text: str, names: tuple[str, ...]) -> None:
    assert artist_names(text) == names


NOBODY = [
    "Unknown Artist", "unknown artist", "<unknown>", "[Unknown]", "(unknown artist)", "Various Artists", "VA", "V.A.",
    "nan", "None", "N/A", "", " ", None, "Unbekannter Interpret", "Various", "Unbekannter K\xfcnstler",
    "Artiste inconnu", "Interprete Desconocido", "Artistas Varios", "AA. VV.", "V/A", "V A", "Sampler", "Misc.",
    "Various Artists - Sampler", "Various Artists (Compilation)", "unknown_artist", "UnknownArtist", "unknown-artist",
    "Unknown Artist (2)", "Track Artist", "No Artist", "Kein K\xfcnstler", "Anonymous", "[traditional]",
    "R\u016fzn\xed um\u011blci", "Ok\xe4nd artist", "Bilinmeyen Sanat\xe7\u0131", "Nieznany artysta",
    "Eri esitt\xe4ji\xe4",
    "\u041d\u0435\u0438\u0437\u0432\u0435\u0441\u0442\u043d\u044b\u0439 "
    "\u0438\u0441\u043f\u043e\u043b\u043d\u0438\u0442\u0435\u043b\u044c",
    "\u0420\u0430\u0437\u043d\u044b\u0435 \u0438\u0441\u043f\u043e\u043b\u043d\u0438\u0442\u0435\u043b\u0438",
    "\u672a\u77e5\u6b4c\u624b", "Various Artists;Various Artists", "---", "???", "\u200b",
]  # fmt: skip


@pytest.mark.parametrize("text", NOBODY)
def test_nobody_is_no_artist(text: str | None) -> None:
    assert is_nobody(text) and artist_names(text) == () and artist_group(text) == ""


@pytest.mark.parametrize("text", [
    "Anonymous 4", "Artist 1",
    "The Band", "Eri", "3 Composers", "Unknown Mortal Orchestra", "The Artist", "Various Cruelties",
    "!!!", "Soundtrack of Our Lives", "Mixed Blood", "Vario", "Band of Horses", "NA", "No Doubt", "The Unknown",
])  # fmt: skip
def test_names_with_such_words_are_somebodys(text: str) -> None:
    assert not is_nobody(text) and artist_names(text)


@pytest.mark.parametrize("spellings", [
    ("Bj\xf6rk", "Bjork", "BJO\u0308RK", "\uff22j\xf6rk", "Bj\xf6rk\u200b"), ("JAY-Z", "Jay Z", "Jay\u2010Z", "JayZ"),
    ("Beyonc\xe9", "Beyonce"), ("R\xf6yksopp", "R\xf8yksopp"), ("Ke$ha", "Kesha"),
    ("Sin\xe9ad O'Connor", "Sinead O\u2019Connor"),
    ("Guns N' Roses", "Guns N\u2019 Roses", "Guns n Roses"), ("\u0401\u043b\u043a\u0430", "\u0415\u043b\u043a\u0430"), 
    ("The Who", "Who, The", "Who"),
])  # fmt: skip
def test_spellings_of_one_name_are_one_group(spellings: tuple[str, ...]) -> None:
    assert len(groups([t for text in spellings for t in by(text)])) == 1


def test_marks_that_make_other_letters_make_other_names() -> None:
    apart = ["\u304b\u304d", "\u304c\u304e", "\u041c\u0430\u0438", "\u041c\u0430\u0439", "!!!", "?!"]
    assert len(groups([t for text in apart for t in by(text)])) == len(apart)


def by(artist: str | None, n: int = 1) -> list[Track]:
    own = [f"{artist} {i}" for i in range(n)]
    return [track(i, "a", group=artist_group(artist) or f"track:{i}", artist=artist) for i in own]


def groups(tracks: list[Track], albums: dict[str, str] | None = None) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for t in group_by_artist(tracks, albums or {})[0]:
        found.setdefault(t.group, []).append(t.track_id.rpartition(" ")[0])
    return sorted(found.values())


def test_what_shares_a_name_is_one_group() -> None:
    texts = ["Miles Davis", "Miles Davis feat. Guest 1", "Miles Davis ft. X", "Miles Davis & Y", "Miles Davis; Z",
             "Miles Davis/W", "The Miles Davis", "Queen", "Blur", "The Blur"]  # fmt: skip
    tracks = [t for text in texts for t in by(text)]
    assert groups(tracks) == [["Blur", "The Blur"], texts[:7], ["Queen"]]
    assert {t.group for t in group_by_artist(tracks, {})[0]} == {"artist:miles davis", "artist:queen", "artist:blur"}


def test_groups_of_plain_names_stay_as_they_are() -> None:
    tracks = [*by("The Beatles", 2), *by("Queen"), *by(None)]
    assert group_by_artist(tracks, {}) == (tracks, [])


def test_an_albums_artist_ties_and_other_groups_are_left_alone() -> None:
    tracks = [*by("Guest"), *by("Miles Davis"), *by("Else")]
    albums = {"Guest 0": "Miles Davis", "Else 0": "Various Artists"}
    assert groups(tracks, albums) == [
        ["Else"],
        ["Guest", "Miles Davis"],
    ]
    works = [track("1", "a", group="work:x", artist="A"), track("2", "a", group="work:y", artist="A feat. B")]
    assert group_by_artist(works, {})[0] == works


def test_nobodys_tracks_are_their_own_groups_and_told() -> None:
    tracks = [*by("Unknown Artist", 3), *by("Various Artists", 2), *by(None, 2), *by("nan"), *by("Blur", 2)]
    found, notes = group_by_artist(tracks, {})
    assert len({t.group for t in found}) == 9
    assert notes == [
        "5 track(s) are by nobody in particular, 'Unknown Artist' (3), 'Various Artists' (2): 5 of them are each its "
        "own group"
    ]


def test_guests_do_not_chain_a_library_together() -> None:
    chain = [t for i in range(30) for t in by(f"Rapper {i} feat. Rapper {i + 1}", 2)]
    alone = [t for i in range(20) for t in by(f"Band {i}")]
    found, notes = group_by_artist([*chain, *alone], {})
    assert max(Counter(t.group for t in found).values()) == 2
    assert notes == [
        "guests tie 60 of 80 tracks together (75%): these are grouped by the artist that is named first, the largest "
        "group then has 2; a guest may be in two splits"
    ]
    few = [t for i in range(5) for t in by(f"Rapper {i} feat. Rapper {i + 1}", 2)]
    assert len(groups(few)) == 1  # a circle of a few artists is kept together
