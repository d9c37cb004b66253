"""What was heard of recordings lately: who asks again about one names it, by the digest of its bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

MOST = 200  # recordings; of each an answer and an embedding, some tens of kilobytes
NAME = r"^([0-9a-f]{32})?$"  # what a recording is named by; "" names none
FORGOTTEN = {
    "problem": "not_remembered",
    "detail": "what was heard of this recording is not remembered (any more): send the recording itself",
}


class Heard:
    """The last :data:`MOST` recordings that were asked for; threads may ask at a time. No recording itself is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[bool, dict[str, Any]]] = OrderedDict()

    def keep(self, name: str, has_descriptors: bool, found: dict[str, Any]) -> None:
        """Remember what was heard, and whether descriptors are in it."""
        with self._lock:
            self._known[name] = has_descriptors, found
            self._known.move_to_end(name)
            while len(self._known) > MOST:
                self._known.popitem(last=False)

    def find(self, name: str, descriptors: bool) -> dict[str, Any] | None:
        """What was heard, with descriptors if they are wanted; None if that is not known."""
        with self._lock:
            has_descriptors, found = self._known.get(name, (False, None))
            if found is None or (descriptors and not has_descriptors):
                return None
            self._known.move_to_end(name)
            return dict(found)
