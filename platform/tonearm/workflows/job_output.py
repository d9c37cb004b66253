"""Where the library's messages go while a job works; the library itself configures no logging."""

from __future__ import annotations

import io
import logging
import sys

from tonearm.core.log_lines import log_as_json, wants_json, writes_json


class _PrintedMessages(logging.Handler):
    """Prints the bare message to what ``sys.stdout`` is at that moment, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def configure_output() -> None:
    """Print what the library says while it works: INFO and above of the logger ``tonearm``; a second call is no harm.
    With ``TONEARM_LOG=json`` it is written to stderr instead, as :mod:`tonearm.core.log_lines` has it.

    A notebook, which does not call it, is quiet unless its user wants otherwise.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end the job
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if wants_json():
        log_as_json()
        return
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # MLflow's migrations give the root logger a handler of their own: lines would come twice
    if not any(isinstance(handler, _PrintedMessages) for handler in logger.handlers):
        logger.addHandler(_PrintedMessages())


def tell_ending(why: str) -> None:
    """Say on stderr why a job ends."""
    if writes_json():
        logging.getLogger("tonearm").error(why)
    else:
        print(f"\n{why}", file=sys.stderr, flush=True)
