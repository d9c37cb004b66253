"""Normalised names of artists, so that spellings of one artist make one group."""

from __future__ import annotations

import unicodedata


def normalised_name(text: str | None) -> str:
    """A text without differences of case, spacing and compatibility forms (NFKC); "" for none."""
    folded = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may take a text out of its form


def artist_group(name: str | None) -> str:
    """The group of all tracks by an artist, ``artist:<normalised name>``; "" where the artist is not known."""
    known = normalised_name(name)
    return f"artist:{known}" if known else ""
