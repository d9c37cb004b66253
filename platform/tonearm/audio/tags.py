"""The tags of a file: title, artist, album, genre, year."""

from __future__ import annotations

import os
import re
import struct

from tonearm.core.storage import is_local, local_path

TAG_FIELDS = ("title", "artist", "album", "genre", "year")
EASY_KEYS = ("title", "artist", "album", "genre", "date")
ID3_FRAMES = ("TIT2", "TPE1", "TALB", "TCON", "TDRC")  # in WAV and AIFF, for which mutagen has no easy keys
#: Raised by mutagen on damaged headers, besides its own errors.
BUILTIN_ERRORS = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError)


def read_tags(source: str | os.PathLike[str]) -> dict[str, str]:
    """Read the file's own tags with mutagen; absent or unreadable tags are left out, since tags are optional.

    Returns
    -------
    dict
        A subset of ``title artist album genre year`` to non-empty text, the first value of each.
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
        text = str(values[0] if isinstance(values, list) else values).strip() if values else ""
        if field == "year":
            match = re.search(r"\d{4}", text)
            text = match.group() if match else ""
        if text:
            found[field] = text
    return found
