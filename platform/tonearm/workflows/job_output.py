"""Where the library's messages go while a job works; the library itself configures no logging."""

from __future__ import annotations

import io
import logging
import sys


class _PrintedMessages(logging.Handler):
    """Prints the bare message to what ``sys.stdout`` is at that moment, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def configure_output() -> None:
    """Print what the library says while it works: INFO and above of the logger ``tonearm``; a second call is no harm.

    A notebook, which does not call it, is quiet unless its user wants otherwise.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end the job
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # MLflow's migrations give the root logger a handler of their own: lines would come twice
    if not any(isinstance(handler, _PrintedMessages) for handler in logger.handlers):
        logger.addHandler(_PrintedMessages())
