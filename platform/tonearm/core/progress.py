"""Progress that a person can follow: one line that is rewritten on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import TextIO

from tonearm.core.log_lines import wants_json

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0  # where lines pile up, in a log file


class StatusLine:
    """A status line that is rewritten in place, between lines that stay; on stderr where results go to stdout."""

    def __init__(self, on_stderr: bool = False) -> None:
        self._on_stderr = on_stderr
        self._terminal = self._stream().isatty()
        self._shown = time.monotonic()
        self._open = False

    def show(self, line: str, now: bool = False) -> None:
        """Show the state: on a terminal always, elsewhere at most every five seconds unless ``now``."""
        if wants_json():
            if now or time.monotonic() - self._shown >= SECONDS_BETWEEN_LINES:
                self._shown = time.monotonic()
                logger.info(line)
        elif self._terminal:
            print(f"\r\033[K{line}", end="", file=self._stream(), flush=True)
            self._open = True
        elif now or time.monotonic() - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = time.monotonic()
            print(line, file=self._stream(), flush=True)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if wants_json():
            logger.info(line)
            return
        print(f"\r\033[K{line}" if self._open else line, file=self._stream(), flush=True)
        self._open = False

    def close(self) -> None:
        """End the line on a terminal."""
        if self._open:
            print(file=self._stream(), flush=True)
            self._open = False

    def _stream(self) -> TextIO:
        return sys.stderr if self._on_stderr else sys.stdout


class Progress:
    """Counts work done and shows the rate and the time left.

    Parameters
    ----------
    what
        The thing counted, in the plural: ``"tracks"``.
    total
        How many there are.
    on_stderr
        Whether it is shown there, where results go to stdout.
    """

    def __init__(self, what: str, total: int, on_stderr: bool = False) -> None:
        self.what, self.total, self.done = what, total, 0
        self._first: tuple[float, int] | None = None
        self._line = StatusLine(on_stderr)

    def add(self, count: int = 1, note: str = "") -> None:
        """Count work as done; ``note`` is added to the line."""
        self.done += count
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self.done)  # workers take seconds to start: the rate counts from the first answer
        seconds, done = now - self._first[0], self.done - self._first[1]
        rate = done / seconds if seconds > 1 else 0.0
        speed = f", {rate:.1f}/s" if rate > 0 else ""
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate > 0 and self.done < self.total else ""
        line = f"  {self.done}/{self.total} {self.what}{speed}{left} {note}".rstrip()
        self._line.show(line, now=self.done >= self.total)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._line.close()
