"""What is odd about files that were used, kept beside their features: a later job, which decodes none, says it, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tonearm.features.row_store import read_rows, write_rows

NOTE_TABLE = "header-notes-1"


def keep_notes(root: str, keys: Iterable[str], heard: Mapping[str, str]) -> dict[str, str]:
    """Keep the notes of tracks that were decoded now; returns those of all tracks, by track key.

    Parameters
    ----------
    root
        Folder or URI of the stores.
    keys
        The track keys that are asked for.
    heard
        Notes of those decoded now, "" where nothing is odd.
    """
    kept = {key: str(row["note"]) for key, row in read_rows(root, NOTE_TABLE, keys).items()}
    changed = {key: note for key, note in heard.items() if note != kept.get(key, "")}
    write_rows(root, NOTE_TABLE, [{"track_key": key, "note": note} for key, note in changed.items()])
    return {key: note for key, note in {**kept, **changed}.items() if note}
