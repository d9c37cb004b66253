"""Whether a file is the one that was read before: by its stamp, see :func:`tonearm.core.storage.stamp_now`."""

from __future__ import annotations

import time

from tonearm.core import storage
from tonearm.core.errors import AudioError
from tonearm.core.remote_path import reason_of

WAITS = (1.0, 3.0)  # seconds before a store that does not answer is asked again


def require_unchanged(source: str, stamp: str) -> None:
    """Check, when a file was read, that it still is the one of a stamp; of one that has none nothing is known.

    Raises
    ------
    AudioError
        ``changed`` if it is another one; ``missing`` if nobody can tell, with the driver's words.
    """
    now = _stamp_now(source) if stamp else ""
    if now and now != stamp:
        raise AudioError("changed", f"{source} was written to while it was being used: run again")


def _stamp_now(source: str) -> str:
    for wait in (*WAITS, None):
        try:
            return storage.stamp_now(source)
        except Exception as error:  # every driver has errors of its own
            if wait is None or storage.is_local(source) or isinstance(error, FileNotFoundError):
                raise AudioError("missing", f"{source} cannot be read: {reason_of(error)}") from None
        time.sleep(wait)
    raise AssertionError
