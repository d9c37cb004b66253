"""Labels as people write them: several in one value, and one label in several spellings."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from tonearm.core.text import list_examples, quoted
from tonearm.datasets.cells import clean_text, is_unknown
from tonearm.datasets.letters import folded, without_accents
from tonearm.datasets.tables import parse_list

Labels = Mapping[str, tuple[str, ...]]
"""The labels of each track, by its id, in the order in which they are written."""

SURE = re.compile(r"[;|\0\x1e\x1f\n\r\u2028\u2029\uff1b\uff5c\xa6]")
"""Between labels wherever it occurs."""
LIKELY = re.compile(r"[/,\\\u3001\uff0c\uff0f\t\xb7\u2022]|\s[+>\-\u2010-\u2015]\s")
"""Between labels (``Rock/Pop``) or within one (``Pop/Rock``, ``Folk, World, & Country``)."""
SPELLING = ("P", "Z", "C", "So", "Sk")
"""Categories of what spellings of one label differ in: spaces, hyphens, other marks, pictures. Letters' own marks (M),
signs of mathematics (Sm: ``<``) and of currencies are none."""
MEANING = frozenset("&#+*%\u266d\u266e\u2640\u2642\u26a5")
"""Of these categories, but make another label: ``C#`` and ``B\u266d``, signs of a voice's sex."""
SAME_SIGN = str.maketrans({"\u266f": "#", "\u2212": "-", "~": " "})
"""The sharp, the minus and the tilde."""
GOES_ON = re.compile(r"&|and\s", re.IGNORECASE)
"""What the last part of one label begins with: ``Folk, World, & Country``."""
AND = re.compile(r"(?<=[^\W_])(?:[\s_,\-]*[&+][\s_\-]*|[\s_\-]*'n'[\s_\-]*|'n[\s_\-]+|[\s_\-]+n'[\s_\-]*"
                 r"|[\s_\-]+(?:and|n|und|et|y)[\s_\-]+)(?=[^\W_])")  # fmt: skip
"""What stands for "and" between two words: ``R&B``, ``R'n'B`` and ``Drum-n-Bass``."""
NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d+)??|\.\d+))(?:\.0+)?")
"""One number; the group is what it is without what tables add where one lacks: ``1980`` of ``1980.0``."""
NEGATIVE = re.compile(r"-(?=\.?\d)")
"""In front of a label: ``-6 dB`` is not ``6 dB``."""
LEADING = re.compile(r"^#(?=[^\W\d])")


@dataclass(frozen=True)
class SeparatedLabels:
    """Labels of which several stood in one value.

    Attributes
    ----------
    labels
        Each track's, without repetitions.
    taken_apart
        Values that held several labels, with the number of tracks that have them.
    whole
        Values that may hold several labels, but were left one label.
    """

    labels: dict[str, tuple[str, ...]]
    taken_apart: Counter[str]
    whole: Counter[str]


def separate_labels(values: Labels, separator: str = "", likely: bool = True) -> SeparatedLabels:
    """Take values apart that hold several labels; unknown ones (``nan``, ``N/A``) are dropped.

    Parameters
    ----------
    values
        A list, as a tag may hold it, counts as several labels.
    separator
        Between labels. "": ``;`` and ``|`` always, ``/``, ``\\`` and ``,`` where all parts of the value are labels
        of other tracks.
    likely
        Whether the latter are looked at; in names of artists (``AC/DC``) they stand for nothing.
    """
    if separator:
        return SeparatedLabels({i: _parts(own, re.compile(re.escape(separator))) for i, own in values.items()},
                               Counter(), Counter())  # fmt: skip
    values = {i: tuple(label for value in own for label in parse_list(value) or (value,)) for i, own in values.items()}
    surely = {i: _parts(own, SURE) for i, own in values.items()}
    alone = {spelling_key(label) for own in surely.values() for label in own if not LIKELY.search(label)}
    taken_apart, whole, found = Counter[str](), Counter[str](), {}
    for i, own in surely.items():
        labels: list[str] = []
        for label in own:
            parts = _parts([label], LIKELY) if likely else ()
            if len(parts) > 1 and all(spelling_key(part) in alone and not GOES_ON.match(part) for part in parts):
                labels += parts
            else:
                labels.append(label)
                whole.update([label] if len(parts) > 1 else [])
        found[i] = tuple(dict.fromkeys(labels))
        taken_apart.update(["; ".join(values[i])] if len(found[i]) > 1 else [])
    return SeparatedLabels(found, taken_apart, whole)


@lru_cache(10_000)
def spelling_key(label: str) -> str:
    """A label without what its spellings differ in: case, spaces, hyphens and other marks, ``&`` for "and", pictures.

    ``n`` stands for "and", so that ``R&B``, ``R'n'B`` and ``RnB`` are one.
    """
    plain = " ".join(folded(html.unescape(label)).translate(SAME_SIGN).split())
    if number := NUMBER.fullmatch(plain):
        return number[1]
    sign = "-" if NEGATIVE.match(plain) else ""
    return sign + _without_marks(_with_one_and(LEADING.sub("", plain))) or plain or label


def _with_one_and(text: str) -> str:
    """A text with ``n`` for each "and" between two words, also behind vowels that are marks (Devanagari, Thai)."""
    letters = "".join("a" if unicodedata.category(c)[0] == "M" else c for c in text)
    kept, begin = [], 0
    for word in AND.finditer(letters):
        kept += [text[begin : word.start()], "n"]
        begin = word.end()
    return "".join([*kept, text[begin:]])


def _without_marks(text: str) -> str:
    """A text without what spellings differ in. Between digits marks count, without spaces: 1.0 is not 10."""
    parts = [(differs, "".join(own)) for differs, own in groupby(text, _is_mark)]
    kept = []
    for i, (differs, part) in enumerate(parts):
        around = parts[i - 1][1][-1:] + parts[i + 1][1][:1] if 0 < i < len(parts) - 1 else ""
        if not differs:
            kept.append(part)
        elif len(around) == 2 and around.isdecimal():
            kept.append("".join("-" if unicodedata.category(c) == "Pd" else c for c in part.replace(" ", "")) or " ")
    return "".join(kept)


def _is_mark(character: str) -> bool:
    return character not in MEANING and unicodedata.category(character).startswith(SPELLING)


def find_spellings(
    labels: Iterable[tuple[str, ...]], key: Callable[[str], str] = spelling_key
) -> list[list[tuple[str, int]]]:
    """Labels that look alike: lists of spellings with their numbers of tracks, the most frequent first."""
    counts = Counter(label for own in labels for label in own)
    alike: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for label, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        alike[key(label)].append((label, n))
    return [spellings for spellings in alike.values() if len(spellings) > 1]


def merge_spellings(labels: Labels, spellings: list[list[tuple[str, int]]]) -> dict[str, tuple[str, ...]]:
    """Give labels that look alike the name of the most frequent one."""
    name_of = {label: alike[0][0] for alike in spellings for label, _ in alike}
    return {i: tuple(dict.fromkeys(name_of.get(label, label) for label in own)) for i, own in labels.items()}


def spelling_notes(spellings: list[list[tuple[str, int]]], merged: bool) -> list[str]:
    """Which labels look alike, and what became of them."""
    told = [", ".join(f"{quoted(label)} ({n})" for label, n in alike) for alike in spellings]
    if not told:
        return []
    what = "are merged under the first" if merged else "look alike: merge_labels makes them one (--merge-labels)"
    return [f"labels {list_examples(told, '; and ')} {what}"]


def accent_notes(labels: Iterable[tuple[str, ...]]) -> list[str]:
    """Which labels differ in accents alone: two words, or one that somebody wrote on another keyboard."""
    counts = Counter(label for own in labels for label in own)
    alike: dict[str, dict[str, int]] = defaultdict(dict)
    for label, n in counts.most_common():
        alike[without_accents(spelling_key(label))][label] = n
    told = [
        ", ".join(f"{quoted(label)} ({n})" for label, n in own.items())
        for own in alike.values() if len(set(map(spelling_key, own))) > 1
    ]  # fmt: skip
    what = "differ in accents and are classes of their own: if they are one, rename them"
    return [f"labels {list_examples(told, '; and ')} {what}"] if told else []


def several_notes(found: SeparatedLabels, all_of_them: bool) -> list[str]:
    """Where several labels stood in one value, and what became of them."""
    notes = []
    if found.taken_apart:
        what = "each is a label" if all_of_them else (
            "the first counts; several_labels=all makes each a label of the track (--several-labels all)")  # fmt: skip
        shown = list_examples([f"{quoted(value)} ({n})" for value, n in found.taken_apart.most_common()])
        notes.append(f"{found.taken_apart.total()} track(s) have several labels, {shown}: {what}")
    if found.whole:
        shown = list_examples([f"{quoted(value)} ({n})" for value, n in found.whole.most_common()])
        notes.append(f"taken as one label each: {shown}; a separator takes such apart (--separator)")
    return notes


def _parts(values: Iterable[str], separator: re.Pattern[str]) -> tuple[str, ...]:
    parts = (clean_text(part) for value in values for part in separator.split(value))
    return tuple(dict.fromkeys(part for part in parts if not is_unknown(part)))
