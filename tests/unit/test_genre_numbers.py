"""Genres that a table has as ID3's numbers: named where that is sure, and told."""

from __future__ import annotations

from pathlib import Path

from tests.unit.test_label_names import labels_of, library


def test_numbers_of_genres_are_named_and_told(tmp_path: Path) -> None:
    library(tmp_path, {"Rock": ["a", "b", "c", "d"], "(17)": ["e"], "17": ["f"], "(255)": ["g"], "Pop": ["h", "i"]})
    found, notes = labels_of(tmp_path)
    assert found == {"Rock": 6, "Pop": 2}
    assert notes[0] == (
        "3 genre(s) are numbers of ID3's list: '(17)' is 'Rock' (1), '17' is 'Rock' (1), '(255)' is 'unknown' (1)"
    )
    years = library(tmp_path / "years", {"1980": ["a", "b"], "17": ["c", "d"]})
    assert labels_of(years)[0] == {"1980": 2, "17": 2}  # classes that are numbers


def test_decades_and_years_are_no_numbers_of_genres(tmp_path: Path) -> None:
    stay = ["80", "90", "120", "0", "(80)s Pop", "(90)s Pop", "(2012) Remaster", "(4)Eurodisco", "192", "(192)", "200",
            "007", "(17)(192)"]  # fmt: skip
    named = {"(80)": "Folk", "(17)Rock": "Rock", "(17)(18)": "Rock", "(17) (18)": "Rock", "(RX)": "Remix", "9": "Metal"}
    words = {"Rock": [f"r{i}" for i in range(20)]}
    library(tmp_path, {**words, **{text: [f"x{i}"] for i, text in enumerate([*stay, *named])}}, seconds=0.02)
    found, notes = labels_of(tmp_path)
    assert found == {"Rock": 23, "Folk": 1, "Remix": 1, "Metal": 1, **dict.fromkeys(stay, 1)}
    assert notes[0].startswith("6 genre(s) are numbers of ID3's list: '(80)' is 'Folk' (1)")
    assert notes[1] == (
        "genres that may be decades or numbers of ID3's list stay as they are: '80' is 'Folk' there (1), '90' is "
        "'Avantgarde' there (1), '120' is 'Duet' there (1) and 1 more"
    )
