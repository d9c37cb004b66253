"""Names of artists: spellings of one name are one, a text may name several artists, and some texts name nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from tonearm.datasets.letters import name_key
from tonearm.datasets.nobody_names import CACHED, is_nobody

#: Between names; also what introduces a guest.
_BETWEEN = re.compile(
    r"[;/&,+|\\\0\n\u3001\u30fb\xb7\u2022\xd7]"  # a comma and dots of Japanese, the sign of multiplication
    r"|(?<!\w)(?:feat|ft|featuring|w/|vs|versus|meets|presents|presenting|introducing|starring|duet\swith|a\.?k\.?a)"
    r"(?!\w)\.?|(?<=\w\s)(?:(?:produced|prod\.?|remixed|conducted)\sby|pres|prod)(?!\w)\.?"
)
#: Between two names, too, but not at the end of one, nor at the beginning of all (Malcolm X, Con Funk Shun).
_WORD_BETWEEN = re.compile(
    r"(?<!\w)(?:with|and|und|et|y|e|och|og|x|con|mit|avec|\u0438|\u0442\u0430|\u0441"
    r"|\u043f\u0440\u0438 \u0443\u0447\u0430\u0441\u0442\u0438\u0438)(?!\w)\.?"
)
#: In a title: a guest in brackets, or behind all of it.
_GUESTS = re.compile(r"[(\[{]\s*(?:feat|ft|featuring|with|w/)(?!\w)\.?\s*([^)\]}]+)"
                     r"|(?<=\s)(?:feat|ft|featuring)(?!\w)\.?\s+([^()\[\]{}]+)")  # fmt: skip
_WITH_GUEST = re.compile(r"[\s(\[{]+(?:feat|ft|featuring)(?!\w)")
_GUEST = re.compile(r"\b(?:feat|ft|featuring|with|w/)", re.IGNORECASE)
_LETTER = re.compile(r"\w")
_BRACKETS = re.compile(r"[()\[\]{}<>]")
_ARTICLE = re.compile(r"^the\s+(?=\S)")
#: Company that is nobody in particular: "Count Basie & His Orchestra", "Sting & Friends", "Blur and others".
_COMPANY = re.compile(
    r"(?:his|her|their|its|son|sa|ses|sein|seine|ihr|ihre|su|sus|seu|sua)\s.+|(?:.+\s)?cast|special\sguests?|guests|"
    r"friends|others|more|co\.?|company|family|orchestra|orch\.?|band|choir|chorus|ensemble|strings|trio|quartet|"
    r"quintet|sextet|jr\.?|sr\.?|i{1,3}|the|inc\.?|etc\.?|al\.?|dj|mc|los|las"
)


def normalised_name(text: str | None) -> str:
    """A text without differences of case, spacing and compatibility forms (NFKC); "" for none."""
    folded = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may take a text out of its form


def artist_group(name: str | None) -> str:
    """The group of all tracks by an artist, ``artist:<normalised name>``; "" where the artist is not known."""
    return "" if is_nobody(name) else f"artist:{normalised_name(name)}"


def artist_names(text: str | None) -> tuple[str, ...]:
    """All artists that a text may name, normalised, without a leading "the"; the first is the main one.

    ``"Miles Davis feat. Guest"`` names ``miles davis`` and ``guest``; so do ``&``, ``;``, ``/``, ``,`` and such. Bands
    are taken apart, too (``"Simon & Garfunkel"``): nothing in a text tells them from two artists. Nobody names none.
    """
    if is_nobody(text):
        return ()
    plain = normalised_name(text)
    parts = [_plain_part(part) for n, text in enumerate(_BETWEEN.split(plain)) for part in _by_words(text, n == 0)]
    named = [
        part for i, part in enumerate(parts) if part and not is_nobody(part) and not (i and _COMPANY.fullmatch(part))
    ]
    return tuple(dict.fromkeys(named)) or (_plain_part(plain) or plain,)


def guests_in_title(title: str | None) -> tuple[str, ...]:
    """Artists whom a title names as guests, normalised: ``"Song (feat. Guest)"``, ``"Song ft. Guest"``."""
    return tuple(dict.fromkeys(
        name for found in _GUESTS.finditer(normalised_name(title)) for name in artist_names(found[1] or found[2])
        if not _COMPANY.fullmatch(name)
    ))  # fmt: skip


def main_artist_key(text: str) -> str:
    """What a text is compared by that is an artist as a label: without guests (``feat.``), a band's name as a whole."""
    plain = normalised_name(text)
    main = _plain_part(_WITH_GUEST.split(plain)[0]).removesuffix(", the")
    return name_key(main or plain)


def names_by_key(artist: str | None, album_artist: str | None = None, title: str | None = None) -> dict[str, str]:
    """All artists of a recording by what they are compared by, the main one first; spellings of one name have one key.

    Accents, marks and spaces make no difference: ``bjork`` of ``Björk``, ``jayz`` of ``JAY-Z``.
    """
    guests = _keyed_names(title, guests_in_title) if title and _GUEST.search(title) else ()
    pairs = (*_keyed_names(artist, artist_names), *_keyed_names(album_artist, artist_names), *guests)
    found: dict[str, str] = {}
    for key, name in pairs:
        found.setdefault(key, name)
    return found


@lru_cache(CACHED)
def _keyed_names(
    text: str | None, names_in: Callable[[str | None], tuple[str, ...]]
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    return tuple((name_key(name), name) for name in names_in(text))


def _by_words(text: str, first: bool) -> list[str]:
    """The names between words such as "and"; ``first``: nothing is in front of the text."""
    parts, begin = [], 0
    for word in _WORD_BETWEEN.finditer(text):
        inside = begin or not first or _LETTER.search(text[: word.start()])
        if inside and _LETTER.search(_WORD_BETWEEN.sub("", text[word.end() :])):
            parts.append(text[begin : word.start()])
            begin = word.end()
    return [*parts, text[begin:]]


def _plain_part(part: str) -> str:
    return _ARTICLE.sub("", " ".join(_BRACKETS.sub(" ", part).split()))
