"""What a file says of itself: title, artist, album, genre, year."""

from __future__ import annotations

import os
import re

from tonearm.core.storage import is_local, local_path

TAG_FIELDS = ("title", "artist", "album", "genre", "year")


def read_tags(source: str | os.PathLike[str]) -> dict[str, str]:
    """Read the file's own tags with mutagen; absent or unreadable tags are left out, since tags are optional.

    Returns
    -------
    dict
        A subset of ``title artist album genre year`` to non-empty text, the first value of each.
    """
    import mutagen

    uri = os.fspath(source)
    if not is_local(uri):
        return {}
    try:
        file = mutagen.File(local_path(uri), easy=True)
    except (mutagen.MutagenError, OSError, ValueError):  # ValueError: mutagen on some damaged headers
        return {}
    if file is None or file.tags is None:
        return {}
    found = {}
    for field, key in zip(TAG_FIELDS, ("title", "artist", "album", "genre", "date"), strict=True):
        try:
            values = file.tags.get(key)
        except (KeyError, ValueError, TypeError):
            continue  # the container's tags know no such key
        text = str(values[0] if isinstance(values, list) else values).strip() if values else ""
        if field == "year":
            match = re.search(r"\d{4}", text)
            text = match.group() if match else ""
        if text:
            found[field] = text
    return found
