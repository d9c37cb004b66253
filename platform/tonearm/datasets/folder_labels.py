"""Labels of the recordings below a folder: read as the config says, and none where two contradict each other."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tonearm.audio.tags import named_genres
from tonearm.core.remote_path import AnyPath, RemotePath, any_path
from tonearm.core.text import list_examples, quoted
from tonearm.datasets.artist_names import main_artist_key
from tonearm.datasets.cells import clean_text, is_unknown
from tonearm.datasets.contradictions import CONTRADICTION, differing_notes, labels_differ, labels_told
from tonearm.datasets.label_names import (
    accent_notes,
    find_spellings,
    merge_spellings,
    separate_labels,
    several_notes,
    spelling_key,
    spelling_notes,
)
from tonearm.datasets.manifest import Reject
from tonearm.datasets.nobody_names import is_nobody
from tonearm.datasets.recordings import Known
from tonearm.datasets.track_table import TrackTable

if TYPE_CHECKING:
    from tonearm.datasets.folder import FolderConfig

NAMES = ("artist", "album")
"""Labels in which a comma or a slash separates nothing."""
NUMBER = re.compile("0|[1-9][0-9]{0,2}")
DECADE = re.compile("(?:[1-9][0-9]?)?0")
"""A number that says something else more often: a decade, a tempo."""
BRACKETS = re.compile(r"\((?:0|[1-9][0-9]{0,2}|RX|CR)\)")
IN_BRACKETS = re.compile(rf"((?:{BRACKETS.pattern}\s*)+)(.*)", re.DOTALL)
NO_GENRE = "(255)"
"""Of ID3's numbers the one of an unknown genre."""


def read_labels(
    known: Mapping[str, Known], label: str, asked: FolderConfig, table: TrackTable
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The labels of each recording, none where it has none, and notes on how they are written."""
    if label in ("", "folder"):
        plain = {i: tuple(filter(None, [clean_text(_folder_of(i, asked.root))])) if label else () for i in known}
        spellings = find_spellings(plain.values())
        notes = [*spelling_notes(spellings, asked.merge_labels), *accent_notes(plain.values())]
        return (merge_spellings(plain, spellings) if asked.merge_labels else plain), notes
    nobody = is_nobody if label == "artist" else is_unknown
    values = {i: tuple(v for v in own.get(label, ()) if not nobody(v)) for i, own in known.items()}
    if asked.several:  # rows that disagree add up
        values |= {i: own[label] for i, own in table.contradictions.items() if label in own and i in values}
    values, number_notes = _with_named_numbers(values) if label == "genre" else (values, [])
    separated = separate_labels(values, asked.separator, likely=label not in NAMES)
    key = main_artist_key if label == "artist" else spelling_key
    spellings = find_spellings(separated.labels.values(), key)
    notes = [*number_notes, *several_notes(separated, asked.several), *spelling_notes(spellings, asked.merge_labels),
             *(accent_notes(separated.labels.values()) if label not in NAMES else ())]  # fmt: skip
    labels = merge_spellings(separated.labels, spellings) if asked.merge_labels else separated.labels
    if asked.several_labels == "all":
        return labels, notes
    return {i: tuple(sorted(own)) if asked.several else own[:1] for i, own in labels.items()}, notes


def _with_named_numbers(values: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Genres that a table has as ID3's numbers, ``(17)`` and, where most are words, ``17``, by their names.

    Numbers that ID3's list lacks stay, as does what may be a decade or something else: ``80``, ``(90)s Pop``.
    """
    plain = Counter(v for own in values.values() for v in own if v.isdecimal())
    few = 2 * plain.total() < sum(map(len, values.values()))
    named, told, decades = {}, Counter[str](), Counter[str]()
    for i, own in values.items():
        found: list[str] = []
        for value in own:
            meant = _genres_of_numbers(value, few)
            found += [value] if meant is None else meant
            if meant is not None:
                told.update([f"{quoted(value)} is {quoted(meant[0] if meant else 'unknown')}"])
            elif few and DECADE.fullmatch(value) and (genres := named_genres([value])):
                decades.update([f"{quoted(value)} is {quoted(genres[0])} there"])
        named[i] = tuple(dict.fromkeys(found))
    notes = []
    if told:
        shown = list_examples([f"{text} ({n})" for text, n in told.most_common()])
        notes.append(f"{told.total()} genre(s) are numbers of ID3's list: {shown}")
    if decades:
        shown = list_examples([f"{text} ({n})" for text, n in decades.most_common()])
        notes.append(f"genres that may be decades or numbers of ID3's list stay as they are: {shown}")
    return named, notes


def _genres_of_numbers(value: str, plain: bool) -> list[str] | None:
    """The genres that ID3's numbers name, none for that of an unknown genre; None where a text is no such number.

    In brackets (``(17)``, ``(17)(RX)``), with the genre's own name behind it or not; ``plain``: also without them.
    """
    if plain and NUMBER.fullmatch(value) and not DECADE.fullmatch(value):
        value = f"({value})"
    if not (found := IN_BRACKETS.fullmatch(value)):
        return None
    numbers = BRACKETS.findall(found[1])
    if any(number != NO_GENRE and not named_genres([number]) for number in numbers):
        return None
    names = named_genres(numbers)
    rest = spelling_key(found[2]) if found[2].strip() else ""
    return names if not rest or rest in map(spelling_key, names) else None


def without_contradicting_rows(
    files: Mapping[str, AnyPath], contents: Mapping[str, str], labels: dict[str, tuple[str, ...]], label: str,
    asked: FolderConfig, table: TrackTable, rejects: list[Reject],
) -> dict[str, tuple[str, ...]]:  # fmt: skip
    """The labels without those of files to which two rows of the table give different ones."""
    if asked.several or asked.contradictions == "keep":
        return labels
    key = (main_artist_key if label == "artist" else spelling_key) if asked.merge_labels else str
    told = {i: own[label] for i, own in table.contradictions.items() if i in labels and label in own}
    told = {i: values for i, values in told.items() if len(set(map(key, values))) > 1}
    for i, values in told.items():
        detail = f"{table.name} gives {i} two labels: {' and '.join(map(repr, values))}"
        rejects.append(set_aside(i, files[i], CONTRADICTION, detail, contents[i]))
    return {i: own for i, own in labels.items() if i not in told}


def _folder_of(relative: str, root: str) -> str:
    """The name of a file's folder, also of one that lies in the root itself."""
    return PurePosixPath(relative).parent.name or any_path(root).absolute().name


def one_of_each_content(
    files: Mapping[str, AnyPath], contents: Mapping[str, str], labels: Mapping[str, tuple[str, ...]],
    asked: FolderConfig, rejects: list[Reject],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:  # fmt: skip
    """The labels of the files that are kept: of those with the same bytes one, or none if their labels contradict.

    And notes on those that differ in labels and are kept all the same.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for relative, content in contents.items():
        same[content].append(relative)
    kept: dict[str, tuple[str, ...]] = {}
    differing: list[str] = []
    for alike in same.values():
        first = next((i for i in alike if labels[i]), alike[0])
        labelled = [i for i in alike if labels[i]]
        told = labels_told(labelled, ["; ".join(labels[i]) for i in labelled])
        if asked.several:
            union = dict.fromkeys(label for i in alike for label in labels[i])
            kept[first] = tuple(union if asked.several_labels else sorted(union))
        elif asked.contradictions == "reject" and labels_differ([labels[i] for i in alike]):
            detail = f"the same bytes under two labels: {told}"
            rejects += [set_aside(i, files[i], CONTRADICTION, detail, contents[i]) for i in alike]
            continue
        else:
            kept[first] = labels[first]
        differing += [told] if labels_differ([tuple(sorted(labels[i])) for i in alike]) else []
        # One recording in two splits would be tested on what it was trained on.
        rejects += [set_aside(i, files[i], "duplicate", f"the same bytes as {first}") for i in alike if i != first]
    return {i: kept[i] for i in contents if i in kept}, differing_notes(differing, asked.several)


def set_aside(relative: str, path: AnyPath, reason: str, detail: str, content: str = "") -> Reject:
    try:
        size = path.size if isinstance(path, RemotePath) else path.stat().st_size
    except OSError:  # it is gone meanwhile
        size = -1
    return Reject(track_id=relative, source=str(path), stage="scan", reason=reason, detail=detail, key=content,
                  bytes=size)  # fmt: skip
