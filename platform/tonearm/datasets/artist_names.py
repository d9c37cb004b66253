"""Names of artists: spellings of one name are one, a text may name several artists, and some texts name nobody."""

from __future__ import annotations

import re
import unicodedata

from tonearm.datasets.cells import is_unknown

#: What players, rippers and shops write where they know no artist, or where there are many.
NOBODY = frozenset({
    "unknown artist", "unknown artists", "artist unknown", "no artist", "artist", "unknown performer",
    "various", "various artists", "various artist", "various performers", "various composers", "multiple artists",
    "va", "v.a.", "v/a", "v. a.", "v.a", "diverse", "diverse artists", "varios", "varios artistas", "vários artistas",
    "artistes divers", "artiste inconnu", "artista desconocido", "artista desconhecido", "artista sconosciuto",
    "artisti vari", "aa.vv.", "verschiedene", "verschiedene interpreten", "verschiedene künstler",
    "unbekannter künstler", "unbekannter interpret", "unbekannt", "onbekende artiest", "diverse artiesten",
    "okänd artist", "ukendt kunstner", "nieznany wykonawca", "různí interpreti", "неизвестный исполнитель",
    "неизвестен", "разные исполнители", "сборник", "不明なアーティスト", "ヴァリアス・アーティスト", "オムニバス",
    "未知艺术家", "未知藝術家", "群星", "알 수 없는 아티스트", "soundtrack", "original soundtrack", "ost",
    "compilation",
})  # fmt: skip
#: Between names; also what introduces a guest.
_BETWEEN = re.compile(
    r"[;/&,+|\\\0\u3001\u30fb\xd7]"  # a comma and a dot of Japanese, the sign of multiplication
    r"|(?<!\w)(?:feat|ft|featuring|w/|vs|versus|meets|presents)(?!\w)\.?"
)
#: Between two names, too, but not at the end of one, nor at the beginning of all (Malcolm X, Con Funk Shun).
_WORD_BETWEEN = re.compile(r"(?<!\w)(?:with|and|und|et|y|x|con|mit|avec)(?!\w)\.?")
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


def is_nobody(name: str | None) -> bool:
    """Whether a text names no artist: it is empty, says "unknown", or says "various artists"."""
    plain = normalised_name(name)
    return is_unknown(plain) or plain in NOBODY or _BRACKETS.sub("", plain).strip() in NOBODY


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
