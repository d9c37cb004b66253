"""Which clips of tracks a feature store holds: a small file for each way of cutting them that was ever asked for.

A store's keys are digests of a track's content and of this way, so that who has a manifest and these files finds every
track's features; without them (stores from before they were written) the way must be known.
"""

from __future__ import annotations

from tonearm.audio.windows import ClipConfig
from tonearm.core import storage
from tonearm.core.damage import describe_unreadable
from tonearm.core.errors import ConfigError, StoreError

CLIPS = "clips"
COMPLETE = "from-the-start"  # a store that has this file has noted the clips of all that it holds


def write_clip_config(uri: str, clip: ClipConfig) -> None:
    """Note, once, that a store holds such clips."""
    file = storage.join(uri, CLIPS, f"{clip.signature()}.json")
    if not storage.exists(file):
        storage.write_json(file, clip.to_dict())


def mark_complete(uri: str) -> None:
    """Note that the store is empty as yet, so that its clips will all be noted."""
    storage.write_bytes(storage.join(uri, CLIPS, COMPLETE), b"")


def knows_all_clips(uri: str) -> bool:
    """Whether the clips of all that a store holds were noted."""
    return storage.exists(storage.join(uri, CLIPS, COMPLETE))


def read_clip_configs(uri: str) -> tuple[ClipConfig, ...]:
    """Ways in which the clips of a store were cut; none for a store from before they were kept.

    Raises
    ------
    StoreError
        If a file of them is damaged.
    """
    found = []
    for name in storage.list_files(storage.join(uri, CLIPS), ".json"):
        file = storage.join(uri, CLIPS, name)
        try:
            found.append(ClipConfig.from_dict(storage.read_json(file)))
        except (OSError, ValueError, TypeError, ConfigError) as error:
            remedy = "delete it and extract again, which writes it anew"
            raise StoreError(describe_unreadable(file, error, remedy)) from None
    return tuple(found)
