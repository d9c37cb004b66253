"""The encoding of a text that does not say it, guessed by which letters it would have."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

NAMES = {
    "cp1252": "Windows-1252", "mac_roman": "Mac Roman", "cp850": "DOS code page 850", "cp1251": "Windows-1251",
    "cp1250": "Windows-1250", "koi8-r": "KOI8-R", "cp932": "Shift-JIS", "gb18030": "GB 18030", "euc_kr": "EUC-KR",
    "euc_jp": "EUC-JP", "cp1253": "Windows-1253",
}  # fmt: skip
"""What people call the encodings that are tried, the likeliest first: of equally plausible ones it is taken."""
EXAMINED = 20_000
"""Characters beyond ASCII that are looked at."""
MARGIN = 0.3
"""By how much another encoding must be more plausible than the commonest one."""
LEAST = 0.3
"""How plausible an encoding must be to be taken, but for the commonest one."""
BEYOND_ASCII = re.compile(r"(?<=(.))?([^\x00-\x7f])(?=(.?))", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
SCRIPT = {"cp1251": "CYRILLIC", "koi8-r": "CYRILLIC", "cp1253": "GREEK"}
RARE = frozenset("\u0402\u0403\u0452\u0453\u0409\u040a\u0459\u045a\u040c\u045c\u040f\u045f\u0408\u0458\u0405\u0455")
"""Letters of Serbian and Macedonian, among which those of texts in other encodings fall."""
LATIN = ("cp1252", "mac_roman", "cp850", "cp1250")
WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒ")
CENTRAL = frozenset("áäéíóöúüýßčćďěłńňřšťůűőžźżąęşţăâîôđ") | frozenset("ÁÄÉÍÓÖÚÜÝČĆĎĚŁŃŇŘŠŤŮŰŐŽŹŻĄĘŞŢĂÂÎÔĐ")
MARKS = frozenset("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\xa0\xb0\xa9\xae\xab\xbb\xbf\xa1\u20ac\xb4\xb7")


def guess_encoding(raw: bytes) -> str:
    """The likeliest encoding of a text in neither UTF-8 nor UTF-16, as Python calls it; "" if it is no text.

    A guess, which the caller has to tell.
    """
    scores = {name: _plausibility(raw, name) for name in NAMES}
    scores["cp1252"] += MARGIN
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > (float("-inf") if best == "cp1252" else LEAST) else ""


def _plausibility(raw: bytes, encoding: str) -> float:
    """The mean, over the characters beyond ASCII, of 1 for a letter of the language in its place and -1 for none."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return float("-inf")
    if CONTROL.search(text):  # no text has such, in none of the encodings
        return float("-inf")
    score, seen = 0.0, 0
    for found in islice(BEYOND_ASCII.finditer(text), EXAMINED):
        before, c, after = found[1] or " ", found[2], found[3]
        score += _fits(before, c, encoding)
        if encoding not in LATIN and after.isascii() and after.isalpha() and c.isalpha():
            score -= 1.0  # no word is of two scripts
        seen += 1
    return score / max(1, seen)


def _fits(before: str, c: str, encoding: str) -> float:
    if c == "\xa0" and encoding == "cp850":  # 0xff, which in texts of that time is a filler
        return -1.0
    if c in MARKS:
        return 0.8 if not before.isalpha() or c in "\u2019\u201d\xbb\xb4\xa0\u2026" else -0.5
    if before.islower() and c.isupper():  # "BlŸs"
        return -1.0
    if script := SCRIPT.get(encoding):
        own = script in unicodedata.name(c, "") and c not in RARE
        return 0.95 if own and not (before.isascii() and before.isalpha()) else -1.0
    if encoding == "cp1250":
        return 0.8 if c in CENTRAL else -0.7
    if encoding in LATIN:
        alike = not before.isascii() and before.isalpha()  # such letters rarely follow each other
        return 0.9 - 0.7 * alike if c in WESTERN else -0.7
    return _fits_east(c, encoding)


def _fits_east(c: str, encoding: str) -> float:
    name = unicodedata.name(c, "")
    if name.startswith(("CJK SYMBOL", "IDEOGRAPHIC", "FULLWIDTH")):
        return 0.5
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return 1.0 if encoding in ("cp932", "euc_jp") else -0.3
    if name.startswith("HANGUL"):
        return 0.9 if encoding == "euc_kr" else -1.0
    if not name.startswith("CJK UNIFIED"):
        return -1.0
    first = c.encode(encoding)[0]  # the frequent characters come first in each of these sets
    frequent = {"gb18030": 0xB0 <= first <= 0xD7, "cp932": 0x88 <= first <= 0x97, "euc_jp": 0xB0 <= first <= 0xCF}
    return {"gb18030": 0.8, "cp932": 0.85, "euc_jp": 0.75}[encoding] if frequent.get(encoding) else -0.3
