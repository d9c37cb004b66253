"""What every job needs: messages of the library on stdout, errors as one line, steps with their seconds."""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tonearm.core.errors import JobError, TonearmError

DATASETS = "[artists|cifar100|fma|folder|playlists|scores|spotify]"
FEATURES = (
    "stft, stft_halved, mel, cqt, chroma, mfcc, contrast, waveform, waveform_mid_side, mel_mid_side, mel_playlist, "
    "mel_temporal"
)
DEVICES = "[cpu|cuda]"
"""Choices as help texts show them, which import nothing to know them; a test compares them with the registries.
Data sets of one's own and ``cuda:1`` are accepted, too."""


class _PrintedMessages(logging.Handler):
    """Prints the bare message to what ``sys.stdout`` is at that moment, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def configure_output() -> None:
    """Print what the library says while it works: INFO and above of the logger ``tonearm``; a second call is no harm.

    The library itself configures no logging, so a notebook is quiet unless its user wants otherwise.
    """
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # MLflow's migrations give the root logger a handler of their own: lines would come twice
    if not any(isinstance(handler, _PrintedMessages) for handler in logger.handlers):
        logger.addHandler(_PrintedMessages())


@contextmanager
def cli_errors() -> Iterator[None]:
    """Turn Tonearm's errors into a message and exit code 1; anything else is a bug and keeps its traceback."""
    configure_output()
    try:
        yield
    except TonearmError as error:
        print(f"\nerror: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nstopped; what is finished is kept, the same command goes on", file=sys.stderr, flush=True)
        sys.exit(130)


@dataclass
class Steps:
    """The steps of a job, announced as they begin, with the seconds each took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run one step."""
        print(f"\n[{len(self.seconds) + 1}] {name}", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        print(f"  done in {self.seconds[name]:.1f} s", flush=True)


def require_free_port(host: str, port: int) -> None:
    """Check that nothing listens on a port.

    Raises
    ------
    JobError
        If it is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind((host, port))
        except OSError as error:
            raise JobError(
                f"port {port} on {host} is in use or not ours ({error.strerror}): choose another with --port"
            ) from None
