"""What every job needs: messages of the library on stdout, errors as one line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tonearm.core.error_text import describe_error
from tonearm.core.errors import ConfigError
from tonearm.core.processes import STOP_SIGNALS, exit_on_stop_signals
from tonearm.workflows.job_output import configure_output, tell_ending
from tonearm.workflows.prepared_names import KINDS

DATASETS = ", ".join(KINDS)
FEATURES = (
    "stft, stft_halved, mel, cqt, chroma, mfcc, contrast, waveform, waveform_mid_side, mel_mid_side, mel_playlist, "
    "mel_temporal, descriptors"
)
DEVICES = "[cpu|cuda]"
"""Choices as help texts show them, which import nothing to know them; a test compares them with the registries.
Data sets of one's own and ``cuda:1`` are accepted, too."""
SIGNAL_CODES = {*(128 + number for number in STOP_SIGNALS), signal.SIGTERM}  # Ray's handler leaves the 128 out
GOES_ON = "; what is finished is kept, the same command goes on"


@contextmanager
def cli_errors(stopped: str = GOES_ON) -> Iterator[None]:
    """Turn Tonearm's and Ray's errors into a message and exit code 1; all else is a bug and keeps its traceback.

    SIGTERM and SIGHUP end a job as Ctrl-C does: its runs in MLflow are marked as killed, locks are released.
    """
    try:
        configure_output()
        exit_on_stop_signals()
        yield
    except Exception as error:
        said = describe_error(error)
        if not said:
            raise
        tell_ending(f"error: {said}")
        sys.exit(1)
    except KeyboardInterrupt:
        tell_ending(f"stopped{stopped}")
        sys.exit(130)
    except SystemExit as end:
        if end.code in SIGNAL_CODES:
            tell_ending(f"stopped{stopped}")
        raise


def require_folder(option: str, path: str) -> None:
    """Check that a local folder, if one is named, is there; URIs are left to who reads them.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if path and "://" not in path and not Path(path).expanduser().is_dir():
        raise ConfigError(f"{option} {path} is no folder: give the one that holds the data set's files")
