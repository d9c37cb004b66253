"""A trial as it is at one moment, which another process may be training further."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tonearm.core import storage
from tonearm.training.bundle import DESCRIPTION, WEIGHTS
from tonearm.training.trial import HISTORY, WINDOW_METRICS, TrialFolder

FILES = (HISTORY, "validation.parquet", "test.parquet", WINDOW_METRICS, f"bundle/{WEIGHTS}", f"bundle/{DESCRIPTION}")
SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def whole_trial(folder: TrialFolder) -> Iterator[TrialFolder]:
    """A copy on this machine of what is kept of a trial, all of it of one epoch; it is removed afterwards.

    Who trains the trial keeps its lock for hours: it is not waited for, except while it writes.
    """
    with tempfile.TemporaryDirectory(prefix="tonearm-") as place:
        copy = TrialFolder(place)
        while not _copy(folder, copy) and folder.trainer():
            time.sleep(SECONDS_BETWEEN_LOOKS)
        yield copy


def _copy(folder: TrialFolder, copy: TrialFolder) -> bool:
    """Copy what is there; whether all of it is of one epoch."""
    description = storage.join(folder.bundle_uri, DESCRIPTION)
    before = _bytes(description)
    for name in FILES:
        data, place = _bytes(storage.join(folder.uri, name)), storage.join(copy.uri, name)
        if data is None:
            storage.remove(place)
        else:
            storage.write_bytes(place, data)
    improved = [h["epoch"] for h in copy.history() if h.get("improved")]
    if before is None:  # it is being written; a baseline, and a trial without an epoch, have none
        return not improved or folder.is_completed()
    return before == _bytes(description) and (not improved or copy.kept_epoch() == improved[-1])


def _bytes(uri: str) -> bytes | None:
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError:
        return None
