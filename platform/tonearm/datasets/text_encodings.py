"""The encoding of a text that does not say it, guessed by which letters it would have."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

NAMES = {
    "cp1252": "Windows-1252", "mac_roman": "Mac Roman", "cp850": "DOS code page 850", "cp1251": "Windows-1251",
    "cp1250": "Windows-1250", "koi8-r": "KOI8-R", "cp932": "Shift-JIS", "gb18030": "GB 18030", "euc_kr": "EUC-KR",
    "euc_jp": "EUC-JP", "cp1253": "Windows-1253", "cp1255": "Windows-1255", "cp950": "Big5", "cp1254": "Windows-1254",
}  # fmt: skip
"""What people call the encodings that are tried, the likeliest first: of equally plausible ones it is taken."""
EXAMINED = 20_000
"""Characters beyond ASCII that are looked at."""
MARGIN = 0.3
"""By how much another encoding must be more plausible than the commonest one."""
FEW, FEW_MARGIN = 5, 0.6
"""The margin where there are fewer different bytes beyond ASCII: of one word any script may be made."""
LEAST = 0.3
"""How plausible an encoding must be to be taken, but for the commonest one."""
BEYOND_ASCII = re.compile(r"(?<=(.))?([^\x00-\x7f])(?=(.?))", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
SCRIPT = {"cp1251": "CYRILLIC", "koi8-r": "CYRILLIC", "cp1253": "GREEK", "cp1255": "HEBREW"}
RARE = frozenset("\u0402\u0403\u0452\u0453\u0409\u040a\u0459\u045a\u040c\u045c\u040f\u045f\u0408\u0458\u0405\u0455")
"""Letters of Serbian and Macedonian, among which those of texts in other encodings fall."""
LATIN = ("cp1252", "mac_roman", "cp850", "cp1250")
WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœþðÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒÞÐÝ")
TURKISH, ONLY_TURKISH = frozenset("çğıöşüâîûÇĞİÖŞÜÂÎÛ"), frozenset("ğışĞİŞ")
HEBREW_ENDS, HEBREW_NO_ENDS = "\u05da\u05dd\u05df\u05e3\u05e5", "\u05db\u05de\u05e0\u05e4\u05e6"
"""Letters that stand at the end of words alone, and those that they are of, which do not."""
CENTRAL = frozenset("áäéíóöúüýßčćďěłńňřšťůűőžźżąęşţăâîôđ") | frozenset("ÁÄÉÍÓÖÚÜÝČĆĎĚŁŃŇŘŠŤŮŰŐŽŹŻĄĘŞŢĂÂÎÔĐ")
MARKS = frozenset("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\xa0\xb0\xa9\xae\xab\xbb\xbf\xa1\u20ac\xb4\xb7")
SYMBOLS = frozenset("ªº²³¹½¼¾\xd7÷£¥µ±")
"""As in ``Nº 1``, ``m²``, ``£5``: before a letter they are letters of another encoding."""
LOW_SHARE = 0.15
"""Of the characters of Big5 that have a second byte of ASCII, at least; of those of EUC none has."""


def guess_encoding(raw: bytes) -> str:
    """The likeliest encoding of a text in neither UTF-8 nor UTF-16, as Python calls it; "" if it is no text.

    A guess, which the caller has to tell.
    """
    few = len({byte for byte in raw if byte > 0x7F}) < FEW
    unlikely = ("cp1254", "cp1255") if few else ("cp1254",)  # a few small Russian letters may be Hebrew ones
    scores = {name: _plausibility(raw, name) for name in NAMES if name not in unlikely}
    scores["cp1252"] += FEW_MARGIN if few else MARGIN
    best = max(scores, key=lambda name: scores[name])
    if best == "cp1252" and not few and _is_turkish(raw):
        return "cp1254"
    return best if scores[best] > (float("-inf") if best == "cp1252" else LEAST) else ""


def _is_turkish(raw: bytes) -> bool:
    """Whether a Western text is Turkish, which has six other letters: those of Icelandic, which has no ü and no ç."""
    letters = {c for c in raw.decode("cp1254", "replace") if c.isalpha() and not c.isascii()}
    return letters <= TURKISH and len(letters & ONLY_TURKISH) > 1 and bool(letters & {*"üçÜÇ"})


def _plausibility(raw: bytes, encoding: str) -> float:
    """The mean, over the characters beyond ASCII, of 1 for a letter of the language in its place and -1 for none."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return float("-inf")
    if CONTROL.search(text):  # no text has such, in none of the encodings
        return float("-inf")
    if encoding == "cp950":
        low = [c.encode(encoding)[-1] < 0x80 for c in islice((c for c in text if not c.isascii()), EXAMINED)]
        if sum(low) < LOW_SHARE * len(low):
            return float("-inf")
    score, seen = 0.0, 0
    for found in islice(BEYOND_ASCII.finditer(text), EXAMINED):
        before, c, after = found[1] or " ", found[2], found[3]
        score += _fits(before, c, after, encoding)
        if encoding not in LATIN and after.isascii() and after.isalpha() and c.isalpha():
            score -= 1.0  # no word is of two scripts
        seen += 1
    return score / max(1, seen)


def _fits(before: str, c: str, after: str, encoding: str) -> float:
    if c == "\xa0" and encoding == "cp850":  # 0xff, which in texts of that time is a filler
        return -1.0
    if c in "\u2122\xae":
        return -0.5 if after.isalpha() else 0.8
    if c in MARKS:
        return 0.8 if not before.isalpha() or c in "\u2019\u201d\xbb\xb4\xa0\u2026" else -0.5
    if before.islower() and c.isupper():  # "BlŸs"
        return -1.0
    if script := SCRIPT.get(encoding):
        own = unicodedata.name(c, "").startswith(script) and c not in RARE
        if encoding == "cp1255":
            return _fits_hebrew(c, after) if own else -1.0
        return 0.95 if own and not (before.isascii() and before.isalpha()) else -1.0
    if encoding == "cp1250":
        return 0.8 if c in CENTRAL else -0.7
    if encoding in LATIN:
        return _fits_west(before, c, after)
    return _fits_east(c, encoding)


def _fits_west(before: str, c: str, after: str) -> float:
    if c in SYMBOLS:
        return 0.8 if not after.isalpha() and (not before.isalpha() or before.isupper() or before in "nm") else -0.7
    left, right = (not other.isascii() and other.isalpha() for other in (before, after or " "))
    if c not in WESTERN or (c == "Ð" and right) or (c == "ð" and not before.isalpha()):
        return -0.7
    if left and right and c.islower():  # three such letters in a row are of no word
        return -0.5
    return 0.2 if left else 0.9  # they rarely follow each other


def _fits_hebrew(c: str, after: str) -> float:
    ends = not after.isalpha()
    if not c.isalpha() or (c in HEBREW_ENDS and not ends):
        return -1.0
    return -0.5 if c in HEBREW_NO_ENDS and ends else 0.96  # of texts that no other script fits better


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
    first, *rest = c.encode(encoding)  # the frequent characters come first in each of these sets
    frequent = {"gb18030": 0xB0 <= first <= 0xD7 and rest[0] > 0xA0, "cp932": 0x88 <= first <= 0x97,
                "euc_jp": 0xB0 <= first <= 0xCF, "cp950": 0xA4 <= first <= 0xC6}  # fmt: skip
    usual = {"gb18030": 0.8, "cp932": 0.85, "euc_jp": 0.75, "cp950": 0.85}
    return usual[encoding] if frequent.get(encoding) else -0.3
