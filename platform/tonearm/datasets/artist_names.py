"""Names of artists: spellings of one name are one, a text may name several artists, and some texts name nobody."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from functools import lru_cache

from tonearm.datasets.letters import name_key
from tonearm.datasets.nobody_names import CACHED, is_nobody

#: Between names; also what introduces a guest. "Little Feat" and "6 ft under" name none.
_BETWEEN = re.compile(
    r"[;/&,+|\\\0\n\u3001\u30fb\xb7\u2022\xd7]"  # a comma and dots of Japanese, the sign of multiplication
    r"|(?<!\w)(?:w/|feat(?:[.:]|(?=\s+\w))|(?<!^\d\s)(?<!^\d\d\s)ft(?!\w)\.?"
    r"|(?:featuring|vs|versus|meets|presents|presenting|introducing|starring|duet\swith|a\.?k\.?a)(?!\w)\.?)"
    r"|(?<=\w\s)(?:(?:produced|prod\.?|remixed|conducted)\sby|pres|prod)(?!\w)\.?",
    re.IGNORECASE,
)
#: Between two names, too, but not at the end of one, nor at the beginning of all (Malcolm X, Con Funk Shun). Of one
#: letter only between spaces, and those that are initials, too, only as small letters (Robert E Lee).
_WORD_BETWEEN = re.compile(
    r"(?<!\w)(?i:with|and|und|et|och|og|con|mit|avec|\u0442\u0430"
    r"|\u043f\u0440\u0438 \u0443\u0447\u0430\u0441\u0442\u0438\u0438)(?!\w)\.?"
    r"|(?<=\s)(?:[eyYxX\u0438\u0441])(?=\s)"
)
_INITIAL = re.compile(r"[^\W\d_]\.?")
_INITIALS = re.compile(r"[^\W\d_]\.(?:\s[^\W\d_]\.)?")
"""After a comma the rest of one name: "Bach, J. S."; "T.I." is a name."""
MOST_LETTERS = 4000
"""Of a text in which names are looked for; what comes after is no list of artists any more."""
#: In a title: a guest in brackets, or behind all of it.
_GUESTS = re.compile(
    r"[(\[{]\s*(?:feat|ft|featuring)(?!\w)[.:]?\s*([^)\]}]+)"
    r"|(?<=\s)(?:feat[.:]|(?<!\d\s)ft\.|featuring(?!\w)\.?)\s*([^()\[\]{}]+)",
    re.IGNORECASE,
)
#: The same, perhaps: "(with Guest)" and "(with lyrics)", "Song feat Guest" and "A Feat of Arms", "Song 2 ft. Guest"
#: and "6 ft. under".
_COMPANIONS = re.compile(r"[(\[{]\s*(?:with(?!\w)|w/)\s*([^)\]}]+)"
                         r"|(?<=\s)(?:feat|ft\.?)\s+([^()\[\]{}]+)", re.IGNORECASE)  # fmt: skip
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
    if not text or text.isascii():
        return " ".join((text or "").casefold().split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may take a text out of its form


def _in_one_form(text: str | None) -> str:
    """A text without differences of spacing and compatibility forms, its beginning if it is long."""
    return " ".join(unicodedata.normalize("NFKC", (text or "")[:MOST_LETTERS]).split())


def artist_group(name: str | None) -> str:
    """The group of all tracks by an artist, ``artist:<normalised name>``; "" where the artist is not known."""
    return "" if is_nobody(name) else f"artist:{normalised_name(name)}"


def artist_names(text: str | None) -> tuple[str, ...]:
    """All artists that a text may name, normalised, without a leading "the"; the first is the main one.

    ``"Miles Davis feat. Guest"`` names ``miles davis`` and ``guest``; so do ``&``, ``;``, ``/``, ``,`` and such. Bands
    are taken apart, too (``"Simon & Garfunkel"``): nothing in a text tells them from two artists. Nobody names none.
    """
    plain = _in_one_form(text)
    if is_nobody(plain):
        return ()
    parts = [_plain_part(part) for n, own in enumerate(_between(plain)) for part in _by_words(own, n == 0)]
    named = [
        part for i, part in enumerate(parts) if part and not is_nobody(part) and not (i and _COMPANY.fullmatch(part))
    ]
    return tuple(dict.fromkeys(named)) or (_plain_part(plain) or normalised_name(plain),)


def guests_in_title(title: str | None) -> tuple[str, ...]:
    """Artists whom a title surely names as guests, normalised: ``"Song (feat. Guest)"``, ``"Song ft. Guest"``."""
    return _names_behind(_GUESTS, title)


def companions_in_title(title: str | None) -> tuple[str, ...]:
    """Whom a title may name as guests: ``"Song (with Guest)"``, but what is in ``"Song (with lyrics)"``, too."""
    return _names_behind(_COMPANIONS, title)


def may_name_guests(title: str | None) -> bool:
    """Whether a title has a word that guests are named behind."""
    return bool(title and _GUEST.search(title))


def _names_behind(guest: re.Pattern[str], title: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(
        name for found in guest.finditer(_in_one_form(title)) for name in artist_names(found[1] or found[2])
        if not _COMPANY.fullmatch(name)
    ))  # fmt: skip


def main_artist_key(text: str) -> str:
    """What a text is compared by that is an artist as a label: without guests (``feat.``), a band's name as a whole."""
    plain = normalised_name(text)
    main = _plain_part(_WITH_GUEST.split(plain)[0]).removesuffix(", the")
    return name_key(main or plain)


def names_by_key(
    artist: str | None, album_artist: str | None = None, title: str | None = None, known: Container[str] = ()
) -> dict[str, str]:
    """All artists of a recording by what they are compared by, the main one first; spellings of one name have one key.

    Accents, marks and spaces make no difference: ``bjork`` of ``Björk``, ``jayz`` of ``JAY-Z``.

    Parameters
    ----------
    artist, album_artist, title
        Of the recording. A title's guests count, those "with" whom it is only if they are known.
    known
        Keys of the artists of the collection.
    """
    pairs = (*_keyed_names(artist, artist_names), *_keyed_names(album_artist, artist_names))
    if may_name_guests(title):
        perhaps = (pair for pair in _keyed_names(title, companions_in_title) if pair[0] in known)
        pairs = (*pairs, *_keyed_names(title, guests_in_title), *perhaps)
    found: dict[str, str] = {}
    for key, name in pairs:
        found.setdefault(key, name)
    return found


@lru_cache(CACHED)
def _keyed_names(
    text: str | None, names_in: Callable[[str | None], tuple[str, ...]]
) -> tuple[tuple[str, str], ...]:  # fmt: skip
    return tuple((name_key(name), name) for name in names_in(text))


def _between(text: str) -> list[str]:
    """The parts between marks and guests' words; initials after a comma are none."""
    parts, begin = [], 0
    for found in [*_BETWEEN.finditer(text), None]:
        part = text[begin : found.start() if found else None]
        if not (begin and text[begin - 1] == "," and _INITIALS.fullmatch(part.strip())):
            parts.append(part)
        begin = found.end() if found else begin
    return parts


def _by_words(text: str, first: bool) -> list[str]:
    """The names between words such as "and", none of one letter; ``first``: nothing is in front of the text."""
    words = [*_WORD_BETWEEN.finditer(text)]
    edges = [0, *(edge for word in words for edge in word.span()), len(text)]
    around = [text[edges[i] : edges[i + 1]].strip() for i in range(0, len(edges), 2)]
    last = max((i for i, part in enumerate(around) if _LETTER.search(part)), default=0)
    parts, begin = [], 0
    for i, word in enumerate(words):
        inside = begin or not first or _LETTER.search(text, 0, word.start())
        left = text[begin : word.start()].strip() if word.start() - begin < 6 else ""
        if inside and i < last and not (_INITIAL.fullmatch(left) or _INITIAL.fullmatch(around[i + 1])):
            parts.append(text[begin : word.start()])
            begin = word.end()
    return [*parts, text[begin:]]


def _plain_part(part: str) -> str:
    return _ARTICLE.sub("", " ".join(_BRACKETS.sub(" ", normalised_name(part)).split()))
