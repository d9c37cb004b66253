"""Stored features of recordings whose header lies: an older decoder took them from a wrong place.

Each stored recording is looked at once after the decoder has changed, for its header alone. Those whose header is right
were decoded as they would be now and stay as they are; the others are extracted once more.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from tonearm.audio.decoders import DECODER_VERSION
from tonearm.audio.recording import open_audio
from tonearm.core.errors import AudioError
from tonearm.features.row_store import read_rows, write_rows

DECODER_TABLE = "decoders-1"


def find_outdated(root: str, sources: Mapping[str, str], stores: Iterable[Container[object]]) -> set[str]:
    """The track keys whose stored features are to be extracted again.

    Parameters
    ----------
    root
        Folder or URI of the stores.
    sources
        A recording's path or URI by its track key.
    stores
        Those that may hold it.
    """
    there = [*stores]
    stored = [key for key in sources if any(key in store for store in there)]
    known = {key: int(row["decoder"]) for key, row in read_rows(root, DECODER_TABLE, stored).items()}
    outdated, right = set(), []
    for key in stored:
        if known.get(key, 0) >= DECODER_VERSION:
            continue
        try:
            with open_audio(sources[key]) as file:
                lies = file.header_lies
        except AudioError as error:
            if error.reason == "missing":  # perhaps it is there the next time
                continue
            lies = True
        if lies:
            outdated.add(key)
        else:
            right.append(key)
    keep_decoder(root, right)
    return outdated


def keep_decoder(root: str, keys: Iterable[str]) -> None:
    """Keep that the features of these tracks are as the decoder of today hears them."""
    write_rows(root, DECODER_TABLE, [{"track_key": key, "decoder": DECODER_VERSION} for key in keys])
