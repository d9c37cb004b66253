"""The tags of a file: title, artist, album, genre, year, album artist."""

from __future__ import annotations

import os
import re
import struct

from tonearm.core.storage import is_local, local_path

TAG_FIELDS = ("title", "artist", "album", "genre", "year", "albumartist")
EASY_KEYS = ("title", "artist", "album", "genre", "date", "albumartist")
ID3_FRAMES = ("TIT2", "TPE1", "TALB", "TCON", "TDRC", "TPE2")  # in WAV and AIFF, for which mutagen has no easy keys
#: Raised by mutagen on damaged headers, besides its own errors.
BUILTIN_ERRORS = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)


def read_tags(source: str | os.PathLike[str]) -> dict[str, str]:
    """The first value of each of the file's own tags; see :func:`read_tag_values`."""
    return {field: values[0] for field, values in read_tag_values(source).items()}


def read_tag_values(source: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Read the file's own tags with mutagen; absent or unreadable tags are left out, since tags are optional.

    Returns
    -------
    dict
        A subset of ``title artist album genre year albumartist`` to their values, each a non-empty text.
    """
    import mutagen
    import mutagen.id3

    uri = os.fspath(source)
    if not is_local(uri):
        return {}
    try:
        file = mutagen.File(local_path(uri), easy=True)
    except (mutagen.MutagenError, OSError, EOFError, struct.error, *BUILTIN_ERRORS):
        return {}
    if file is None or file.tags is None:
        return {}
    found = {}
    keys = ID3_FRAMES if isinstance(file.tags, mutagen.id3.ID3) else EASY_KEYS
    for field, key in zip(TAG_FIELDS, keys, strict=True):
        try:
            values = file.tags.get(key)
        except (KeyError, ValueError, TypeError):
            continue  # the container's tags know no such key
        values = getattr(values, "text", values)  # of an ID3 frame
        texts = [str(v).strip() for v in (values if isinstance(values, list) else [values])] if values else []
        if field == "year":
            texts = [match.group() for text in texts[:1] if (match := re.search(r"\d{4}", text))]
        if any(texts):
            found[field] = tuple(text for text in texts if text)
    return found
