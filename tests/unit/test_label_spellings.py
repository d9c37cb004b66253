"""Spellings of one label are alike, and labels that differ in what says something are not."""

from __future__ import annotations

import pytest

from tonearm.datasets.label_names import spelling_key


@pytest.mark.parametrize(
    "spellings",
    [
        ("Hip-Hop", "hip hop", "HipHop", "Hip_Hop", "hip\u2010hop", "Hip  Hop"),
        ("R&B", "R & B", "r&b", "R and B", "R'n'B"),
        ("Rock & Roll", "Rock and Roll", "Rock 'n' Roll", "rock n roll"),
        ("Pop/Rock", "Pop / Rock", "pop-rock", "Pop Rock"),
        ("Forró Café", "Forro\u0301 Cafe\u0301", "FORRÓ CAFÉ"),
        ("80s", "80's", "80\u2019s"),
        ("Straße", "STRASSE"),
        ("RnB", "R&B", "R'N'B", "R \xb4n\xb4 B", "R-n-B", "R+B", "R&amp;B", "\uff32\uff06\uff22"),
        ("Drum & Bass", "drum'n'bass", "Drum 'n Bass", "Drum-n-Bass", "Drum_and_Bass", "DrumnBass", "Drum + Bass"),
        (
            "Hip-Hop",
            "Hip\u200bHop",
            "Hip\xadHop",
            "(Hip Hop)",
            "Hip Hop!",
            "#hiphop",
            "Hip Hop \U0001f3b5",
            "Hip\xb7Hop",
        ),
        ("1980", "1980.0"),
        ("\U0001f3b8", "\U0001f3b8\ufe0f"),
        ("\uff32ock", "rock"),
        ("C\u266f minor", "C# minor", "c#-minor"),
        ("-1", "-1.0", "\u22121", "-1.00"),
        ("-6 dB", "-6dB", "\u22126 db"),
        ("1980-1989", "1980 - 1989", "1980\u20131989"),
        ("\u0939\u093f\u0902\u0926\u0940 & Pop", "\u0939\u093f\u0902\u0926\u0940 and pop"),
        ("\u0e44\u0e21\u0e49-\u0e44\u0e21\u0e49", "\u0e44\u0e21\u0e49 \u0e44\u0e21\u0e49"),
        ("Rock\xa9", "~ Rock ~", "Rock \U0001f44d\U0001f3fd", "Rock\ue000"),
    ],
)
def test_spellings_of_one_label_are_alike(spellings: tuple[str, ...]) -> None:
    assert len({spelling_key(s) for s in spellings}) == 1


@pytest.mark.parametrize(
    "labels",
    [
        ("1.0", "10"),
        ("1-2", "12"),
        ("C", "C#", "C++"),
        ("Rock", "Rocks"),
        ("!!!", "?"),
        ("Café", "Cafe"),
        ("-", "_"),
        ("Rock/Pop", "Rock & Pop"),
        ("\U0001f3b8", "\U0001f3bb"),
        # vowels and tones that are marks: Devanagari, Thai, Tamil, Bengali, Hebrew, Arabic
        ("\u0915\u093e\u0932", "\u0915\u0932", "\u0915\u0940\u0932"),
        ("\u0e44\u0e21\u0e49", "\u0e44\u0e21", "\u0e44\u0e21\u0e48"),
        ("\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u0ba4\u0bae\u0bb4"),
        ("\u09ac\u09be\u0989\u09b2", "\u09ac\u0989\u09b2"),
        ("\u05e9\u05c1", "\u05e9\u05c2"),
        ("\u0639\u064f\u0648\u062f", "\u0639\u064e\u0648\u062f"),
        ("C\u266f minor", "C minor", "C\u266d minor"),
        ("B\u266d", "B", "B\u266e"),
        ("<100 bpm", ">100 bpm", "100 bpm", "\u2264100 bpm", "\xb1100 bpm"),
        ("\u2642", "\u2640"),
        ("\u2642 vocals", "\u2640 vocals", "vocals"),
        ("-1", "1", "-1.5", "1.5", "0", "15", "-.5", ".5"),
        ("-1.0", "1.0", "10"),
        ("-6 dB", "6 dB"),
        ("\u20ac", "$", "\xa3"),
        ("1_2", "12"),
    ],
)
def test_different_labels_stay_different(labels: tuple[str, ...]) -> None:
    assert len({spelling_key(s) for s in labels}) == len(labels)
