"""Which stored tracks are the same recording: new ones are searched for among all, and what is found is kept.

Beside the stores lies a table for each way to take clips, with the tracks that were compared, each with each, and what
they are the same recording as. So a job that adds nothing compares nothing, and reads no fingerprint.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

import numpy as np

from tonearm.audio.duplicates import SEARCH_VERSION, connected_groups, find_duplicates
from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.parquet import read_parquet
from tonearm.core.progress import Progress
from tonearm.core.seeding import digest
from tonearm.features.row_store import FINGERPRINT_TABLE, read_rows
from tonearm.features.store import track_key

FOLDER = "duplicates"
logger = logging.getLogger(__name__)

Compared = dict[str, tuple[str, ...]]
"""By track key the keys of the same recording that come after it."""


def duplicate_keys(root: str, clip: ClipConfig, keys: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of track keys that hold the same recording, by what they sound like; each sorted, and sorted.

    Parameters
    ----------
    root
        Folder or URI of the stores.
    clip
        Of these clips the keys are.
    keys
        To look at; all have fingerprints below ``root``. Those that were not compared before are compared with all that
        were, in other data sets, too, and with one another.
    """
    wanted = set(keys)
    uri = _uri(root, clip)
    compared = _read(uri)
    if not wanted <= compared.keys():
        compared = _compare_new(root, compared, wanted)
        _write(uri, compared)
    return _groups(compared, wanted)


def same_recordings(
    root: str, clip: ClipConfig, contents: Collection[str], earlier: Collection[str]
) -> dict[str, set[str]]:
    """By content the earlier contents that hold the same recording; of what was compared before, nothing is now.

    Parameters are those of :func:`duplicate_keys`, the files by their contents.
    """
    if not contents or not earlier:
        return {}
    content_of = {track_key(content, clip): content for content in (*earlier, *contents)}
    new, old = set(contents), set(earlier)
    found: dict[str, set[str]] = {}
    for keys in _groups(_read(_uri(root, clip)), content_of.keys()):
        same = {content_of[key] for key in keys}
        found |= dict.fromkeys(same & new, same & old)
    return {content: same for content, same in found.items() if same}


def _uri(root: str, clip: ClipConfig) -> str:
    return storage.join(root, FOLDER, f"{FINGERPRINT_TABLE}-{SEARCH_VERSION}-{digest(clip.to_dict())}.parquet")


def _groups(compared: Compared, wanted: Set[str]) -> list[tuple[str, ...]]:
    return connected_groups(
        (first, second) for first in wanted & compared.keys() for second in compared[first] if second in wanted
    )


def _compare_new(root: str, before: Compared, wanted: set[str]) -> Compared:
    """What was compared before and is still there, and now."""
    rows = read_rows(root, FINGERPRINT_TABLE, wanted | before.keys())
    prints = {key: np.frombuffer(rows.pop(key)["fingerprint"], dtype=np.uint32) for key in sorted(rows)}
    compared: dict[str, set[str]] = {key: {k for k in before.get(key, ()) if k in prints} for key in prints}
    with Progress("parts compared in the search for duplicates", 0) as progress:

        def told(done: int, parts: int) -> None:
            if parts > 1:
                progress.total = parts
                progress.add()

        for match in find_duplicates(prints, before, told):
            compared[match.first].add(match.second)
    return {key: tuple(sorted(same)) for key, same in compared.items()}


def _read(uri: str) -> Compared:
    if not storage.exists(uri):
        return {}
    data = storage.read_bytes(uri)
    try:
        table = read_parquet(data, ["track_key", "same"])
    except (OSError, ValueError) as error:
        logger.warning("%s is damaged (%s): all tracks are compared anew", uri, error)
        return {}
    return dict(zip(table["track_key"].to_pylist(), map(tuple, table["same"].to_pylist()), strict=True))


def _write(uri: str, compared: Mapping[str, Sequence[str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    schema = pa.schema({"track_key": pa.string(), "same": pa.list_(pa.string())})
    pq.write_table(pa.table({"track_key": list(compared), "same": list(compared.values())}, schema=schema), buffer)
    storage.write_bytes(uri, buffer.getvalue())
