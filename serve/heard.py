"""What was heard of recordings lately: who asks again about one names it, by a name that only its answer told.

A name is drawn at random: who has the same file learns nothing of who has sent it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MOST = 200  # recordings; of each an answer and an embedding, some tens of kilobytes
LONGEST = 900.0  # seconds that one is remembered
NAME = r"^([0-9a-f]{32})?$"  # what a recording is named by; "" names none
FORGOTTEN = {
    "problem": "not_remembered",
    "detail": "what was heard of this recording is not remembered (any more): send the recording itself",
}


class Heard:
    """The last recordings that were asked for; threads may ask at a time. No recording itself is kept.

    Parameters
    ----------
    most
        Recordings that are remembered; 0: none.
    clock
        Seconds that only grow.
    """

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock, self._lock = most, clock, threading.Lock()
        self._known: OrderedDict[str, tuple[float, bool, dict[str, Any]]] = OrderedDict()

    def keep(self, has_descriptors: bool, found: dict[str, Any]) -> dict[str, Any]:
        """Remember what was heard, and whether descriptors are in it; the same with its ``name``, None where nothing is
        remembered."""
        if not self._most:
            return {**found, "name": None}
        name = secrets.token_hex(16)
        with self._lock:
            self._known[name] = self._clock(), has_descriptors, {**found, "name": name}
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return dict(self._known[name][2])

    def find(self, name: str, descriptors: bool) -> dict[str, Any] | None:
        """What was heard, with descriptors if they are wanted; None if that is not known."""
        with self._lock:
            since, has_descriptors, found = self._known.get(name, (0.0, False, None))
            if found is None or (descriptors and not has_descriptors):
                return None
            if self._clock() - since > LONGEST:
                del self._known[name]
                return None
            self._known.move_to_end(name)
            return dict(found)
