"""Texts of tags whose encoding is stated wrongly."""

from __future__ import annotations

import re

FEWEST_LETTERS = 3  # beyond ASCII: fewer are an accent
WORD = re.compile(r"[^\W\d_]+")
CYRILLIC = re.compile("[\u0400-\u04ff]")
LEAST_SHARE = 0.7  # of the letters: Western texts have a few accents among many plain letters


def read_as_meant(text: str) -> tuple[str, str]:
    """A text that was decoded as latin-1, read in the encoding that it was probably written in.

    Parameters
    ----------
    text
        Characters up to U+00FF; one with others is returned as it is.

    Returns
    -------
    tuple
        The text, and ``"utf-8"`` or ``"cp1251"`` (Russian and its neighbours, as Windows wrote them); empty where
        latin-1 is right. Whoever writes Western names has an accent here and there, whoever writes Cyrillic has little
        else than letters beyond ASCII.
    """
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        return text, ""
    if data.isascii():
        return text, ""
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        cyrillic = data.decode("cp1251")
    except UnicodeDecodeError:
        return text, ""
    if any(0 < len(CYRILLIC.findall(word)) < len(word) for word in WORD.findall(cyrillic)):
        return text, ""  # "\xe9t\xe9" is a French word with two accents, no word has letters of both scripts
    letters = [c for c in cyrillic if c.isalpha()]
    beyond = [c for c in letters if CYRILLIC.match(c)]
    if len(beyond) >= FEWEST_LETTERS and len(beyond) >= LEAST_SHARE * len(letters):
        return cyrillic, "cp1251"
    return text, ""
