"""Texts without what people write differently: invisible characters, accents, marks."""

from __future__ import annotations

import unicodedata

_SPECIAL = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "\u0131": "i", "ŧ": "t",
    "$": "s",
})  # fmt: skip
_ACCENTED = ("LATIN", "GREEK")
_CYRILLIC_ACCENTS = "\u0300\u0301\u0308"  # of stress, and on ё, ї; the breve of й makes another letter
_APOSTROPHES = dict.fromkeys(map(ord, "'\u2018\u2019\u201b\u02bc\u02b9`\xb4\u2032\uff07"), "'")


def folded(text: str) -> str:
    """A text without differences of case, compatibility forms (NFKC), apostrophes and characters that nobody sees."""
    plain = text.translate(_APOSTROPHES)  # NFKC would take the acute for an accent on a space
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())
    return "".join(c for c in once if not _unseen(c))


def without_accents(text: str) -> str:
    """A folded text without accents on Latin, Greek and Cyrillic letters: ``björk`` is ``bjork``, ``ø`` is ``o``.

    Marks of other scripts stay: they make other sounds.
    """
    if text.isascii():
        return text.translate(_SPECIAL)
    kept, script = [], ""
    for c in unicodedata.normalize("NFD", text.translate(_SPECIAL)):
        if not unicodedata.combining(c):
            script = unicodedata.name(c, "").partition(" ")[0]
        elif script in _ACCENTED or (script == "CYRILLIC" and c in _CYRILLIC_ACCENTS):
            continue
        kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept))


def name_key(name: str) -> str:
    """What spellings of one name have in common: letters and digits without accents, ``jayz`` of ``JAY-Z``.

    A name without any letter (``!!!``) is its own.
    """
    plain = folded(name)
    return "".join(c for c in without_accents(plain) if unicodedata.category(c)[0] in "LMN") or " ".join(plain.split())


def _unseen(character: str) -> bool:
    """Whether a character takes no place: zero-width ones, soft hyphens, selectors of a variant."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"
