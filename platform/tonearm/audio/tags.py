"""The tags of a file: title, artist, album, genre, year, album artist; from every place where people have them."""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from tonearm.audio.sources import open_named
from tonearm.audio.tag_texts import read_as_meant

TAG_FIELDS = ("title", "artist", "album", "genre", "year", "albumartist")
#: What the fields are called: in ID3, in MP4, in Vorbis comments, in APEv2 and in the INFO chunk of a WAV.
ID3_FRAMES = ("TIT2", "TPE1", "TALB", "TCON", "TDRC", "TPE2")
MP4_ATOMS = ("\xa9nam", "\xa9ART", "\xa9alb", "\xa9gen", "\xa9day", "aART")
COMMENTS = ("title", "artist", "album", "genre", "date", "albumartist")
APE_KEYS = ("Title", "Artist", "Album", "Genre", "Year", "Album Artist")
AIFF_CHUNKS = {b"NAME": "INAM", b"AUTH": "IART"}  # and the INFO chunks that mean the same
FFMPEG_NAMES = {"album_artist": "albumartist", "date_released": "date"}
MATROSKA = b"\x1aE\xdf\xa3"
INFO_CHUNKS = ("INAM", "IART", "IPRD", "IGNR", "ICRD", "")
SHORTEST_NAME = 3  # letters on both sides of a slash that divides two artists: AC/DC is one
MOST_CHUNKS = 500
LATIN_1 = 0  # ID3's mark of that encoding
#: Raised by mutagen on damaged headers, besides its own errors.
BUILTIN_ERRORS = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, NotImplementedError)

Repaired = Callable[[str, str, str], None]
Values = dict[str, tuple[str, ...]]
logger = logging.getLogger(__name__)
_told: set[str] = set()


def read_tags(source: str | os.PathLike[str]) -> dict[str, str]:
    """The first value of each of the file's own tags; see :func:`read_tag_values`."""
    return {field: values[0] for field, values in read_tag_values(source).items()}


def read_tag_values(
    source: str | os.PathLike[str], repaired: Repaired | None = None, data: bytes | None = None
) -> Values:
    """Read the file's own tags; absent or unreadable tags are left out, since tags are optional.

    They are looked for in the container's own place, then in an ID3 or APEv2 tag in front of it or behind it, then in
    the chunks of a WAV or AIFF, then in WebM and Matroska; of each field the first place counts. Texts that are marked
    as latin-1 and are in cp1251 or UTF-8 are read as those; genres by number are named; ID3v2.3's slashes divide
    artists, and genres where all parts are known genres.

    Parameters
    ----------
    source
        A path or a URI; of one elsewhere the blocks that tags may be in are fetched, a small file as a whole.
    repaired
        Is told the encoding, the text as it stands there and as it was read, of each that was marked as latin-1
        wrongly; None logs the first of each encoding.
    data
        All bytes of the file, where they were read before.

    Returns
    -------
    dict
        A subset of ``title artist album genre year albumartist`` to their values, each a non-empty text.

    Raises
    ------
    OSError
        If a file elsewhere cannot be read: that it has no tags is not known then.
    """
    uri = os.fspath(source)
    found: Values = {}
    with open_named(uri, data) as file:
        for read in (_of_container, _of_id3, _of_apev2, _of_chunks, _of_matroska) if file is not None else ():
            values = _tried(read, file, repaired or partial(_log_repair, uri.rpartition("/")[2]))
            found = {**values, **found}
            if len(found) == len(TAG_FIELDS) or (read is _of_container and {"title", "artist", "genre"} <= set(found)):
                break
    return {field: found[field] for field in TAG_FIELDS if field in found}


def _tried(read: Callable[[Any], Any], file: Any, repaired: Repaired) -> Values:
    """What one place in an open file has, by field; nothing where it is not there or is damaged."""
    import mutagen

    try:
        file.seek(0)
        tags = read(file)
        return _values(tags, repaired) if tags is not None else {}
    except (mutagen.MutagenError, OSError, EOFError, struct.error, *BUILTIN_ERRORS):
        return {}


def _of_container(file: Any) -> Any:
    import mutagen

    found = mutagen.File(file)
    return None if found is None else found.tags


def _of_id3(file: Any) -> Any:
    import mutagen.id3

    return mutagen.id3.ID3(file)  # type: ignore[no-untyped-call]


def _of_apev2(file: Any) -> Any:
    import mutagen.apev2

    return mutagen.apev2.APEv2(file)  # type: ignore[no-untyped-call]


def _of_chunks(file: Any) -> dict[str, list[str]] | None:
    """The INFO list of a WAV, and the text chunks of an AIFF."""
    found: dict[str, list[str]] = {}
    size = file.seek(0, os.SEEK_END)
    head = _bytes_at(file, 0, 12)
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        places = [(name, at, n) for name, at, n in _chunks(file, 12, size, ">") if name in AIFF_CHUNKS]
    elif head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        lists = [(at, n) for name, at, n in _chunks(file, 12, size) if name == b"LIST"]
        places = [
            place for at, n in lists if _bytes_at(file, at, 4) == b"INFO" for place in _chunks(file, at + 4, at + n)
        ]
    else:
        return None
    for name, at, length in places:
        text = _bytes_at(file, at, min(length, 4096)).rstrip(b"\0 ")
        found.setdefault(AIFF_CHUNKS.get(name, name.decode("latin-1")), [text.decode("latin-1")])
    return found


def _bytes_at(file: Any, place: int, count: int) -> bytes:
    file.seek(place)
    return bytes(file.read(count))


class _Comments(dict[str, list[str]]):
    """Tags that are called as in Vorbis comments."""


def _of_matroska(file: Any) -> _Comments | None:
    """The tags of WebM and Matroska, as FFmpeg finds them: those of the file, else of its first audio stream."""
    if file.read(4) != MATROSKA:
        return None
    import av

    file.seek(0)
    try:
        with av.open(file, format="matroska", metadata_errors="ignore") as container:
            places = [*(stream.metadata for stream in container.streams.audio[:1]), container.metadata]
            tags = [{name.lower(): text for name, text in found.items()} for found in places]
    except av.FFmpegError:
        return None
    known = {name: text for found in tags for name, text in found.items() if text}
    return _Comments({FFMPEG_NAMES.get(name, name): [text] for name, text in known.items()})


def _chunks(file: Any, place: int, end: int, order: str = "<") -> Iterator[tuple[bytes, int, int]]:
    """Name, place and size of the chunks up to an end, the first hundreds."""
    for _ in range(MOST_CHUNKS):
        if place + 8 > end:
            return
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        (size,) = struct.unpack(f"{order}I", head[4:])
        yield head[:4], place + 8, min(size, end - place - 8)
        place += 8 + size + size % 2


def _values(tags: Any, repaired: Repaired) -> Values:
    """The fields of tags of any kind."""
    import mutagen.apev2
    import mutagen.id3
    import mutagen.mp4

    kinds = ((mutagen.id3.ID3, ID3_FRAMES), (mutagen.mp4.MP4Tags, MP4_ATOMS), (mutagen.apev2.APEv2, APE_KEYS))
    info = type(tags) is dict
    names = INFO_CHUNKS if info else next((n for kind, n in kinds if isinstance(tags, kind)), COMMENTS)
    is_id3 = isinstance(tags, mutagen.id3.ID3)
    slashes = is_id3 and tuple(tags.version[:2]) == (2, 3)
    found: Values = {}
    for field, name in zip(TAG_FIELDS, names, strict=True):
        raw = tags.get(name) if name else None
        if not raw:
            continue
        unmarked = info or (is_id3 and getattr(raw, "encoding", None) == LATIN_1)
        texts = [str(text) for text in (getattr(raw, "text", raw) if is_id3 else raw)]
        if unmarked:
            texts = [_as_meant(text, repaired) for text in texts]
        texts = [text.strip() for text in texts]
        if field == "genre":
            texts = named_genres(texts, slashes)
        elif field == "year":
            texts = [match.group() for text in texts[:1] if (match := re.search(r"\d{4}", text))]
        elif slashes and field in ("artist", "albumartist"):
            texts = [part for text in texts for part in _names(text)]
        if any(texts):
            found[field] = tuple(text for text in texts if text)
    return found


def named_genres(texts: Sequence[str], slashes: bool = False) -> list[str]:
    """Genres by their names, also where they are written as ID3's numbers; a number that has no name is none."""
    from mutagen.id3 import TCON

    found = []
    for text in texts:
        for genre in TCON(encoding=3, text=[text]).genres:  # type: ignore[no-untyped-call]
            parts = [part.strip() for part in genre.split("/")]
            known = {name.casefold() for name in TCON.GENRES}
            several = slashes and all(part.casefold() in known for part in parts)
            found += parts if several else [genre.strip()]
    return [genre for genre in dict.fromkeys(found) if genre != "Unknown"]


def _names(text: str) -> list[str]:
    """The artists that a slash divides."""
    parts = [part.strip() for part in text.split("/")]
    return parts if all(len(part) >= SHORTEST_NAME for part in parts) else [text]


def _as_meant(text: str, repaired: Repaired) -> str:
    meant, encoding = read_as_meant(text)
    if encoding:
        repaired(encoding, text, meant)
    return meant


def _log_repair(name: str, encoding: str, text: str, meant: str) -> None:
    if encoding not in _told:
        _told.add(encoding)
        logger.warning(
            "the tags of %s are marked as latin-1 and read as %s: %r is %r; others like it are not named", name,
            encoding, text, meant,
        )  # fmt: skip
