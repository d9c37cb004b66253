"""What every job needs: messages of the library on stdout, errors as one line."""

from __future__ import annotations

import io
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tonearm.core.errors import ConfigError, TonearmError
from tonearm.core.plugins import has_own_code
from tonearm.core.processes import STOP_SIGNALS, exit_on_stop_signals
from tonearm.core.registry import not_registered
from tonearm.workflows.prepared_names import not_prepared, prepared_name

KINDS = ("artists", "cifar100", "fma", "folder", "playlists", "scores", "spotify")
DATASETS = f"[{'|'.join(KINDS)}]"
FEATURES = (
    "stft, stft_halved, mel, cqt, chroma, mfcc, contrast, waveform, waveform_mid_side, mel_mid_side, mel_playlist, "
    "mel_temporal"
)
DEVICES = "[cpu|cuda]"
"""Choices as help texts show them, which import nothing to know them; a test compares them with the registries.
Data sets of one's own and ``cuda:1`` are accepted, too."""
SIGNAL_CODES = {*(128 + number for number in STOP_SIGNALS), signal.SIGTERM}  # Ray's handler leaves the 128 out
STOPPED = "\nstopped; what is finished is kept, the same command goes on"


class _PrintedMessages(logging.Handler):
    """Prints the bare message to what ``sys.stdout`` is at that moment, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def configure_output() -> None:
    """Print what the library says while it works: INFO and above of the logger ``tonearm``; a second call is no harm.

    The library itself configures no logging, so a notebook is quiet unless its user wants otherwise.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end the job
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("tonearm")
    logger.setLevel(logging.INFO)
    logger.propagate = False  # MLflow's migrations give the root logger a handler of their own: lines would come twice
    if not any(isinstance(handler, _PrintedMessages) for handler in logger.handlers):
        logger.addHandler(_PrintedMessages())


@contextmanager
def cli_errors() -> Iterator[None]:
    """Turn Tonearm's and Ray's errors into a message and exit code 1; all else is a bug and keeps its traceback.

    SIGTERM and SIGHUP end a job as Ctrl-C does: its runs in MLflow are marked as killed, locks are released.
    """
    configure_output()
    exit_on_stop_signals()
    try:
        yield
    except Exception as error:
        said = describe_error(error)
        if not said:
            raise
        print(f"\nerror: {said}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr, flush=True)
        sys.exit(130)
    except SystemExit as end:
        if end.code in SIGNAL_CODES:
            print(STOPPED, file=sys.stderr, flush=True)
        raise


def describe_error(error: BaseException) -> str:
    """What is said of an error in place of its traceback; "" where the traceback is what is needed.

    What a worker raised on purpose is said in its own words. Ray's own errors are pages of text that other processes
    wrote: they are kept in a file.
    """
    exceptions = getattr(sys.modules.get("ray"), "exceptions", None)
    of_ray: type[BaseException] | tuple[()] = () if exceptions is None else exceptions.RayError
    behind: BaseException = error
    while isinstance(behind, of_ray) or type(behind).__module__.startswith("ray."):  # it holds what a worker raised
        held = getattr(behind, "cause", None)
        held = held if isinstance(held, BaseException) else behind.__cause__
        if held is None:
            break
        behind = held
    if isinstance(behind, TonearmError):
        return str(behind)
    if not isinstance(error, of_ray) and not (type(error) is TimeoutError and _raised_in_ray(error)):
        return ""
    raised = getattr(error, "cause", None) or error
    line = next(iter(str(raised).strip().splitlines()), "")
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="backslashreplace", prefix="tonearm-error-", suffix=".txt", delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    return (
        f"Ray gave up: {type(raised).__name__}: {line[:300]} (a machine that is slow, busy or short of memory "
        f"may be why; what is finished is kept, the same command goes on; all that was said is in {file.name})"
    )


def _raised_in_ray(error: BaseException) -> bool:
    """Whether Ray's own code raised an error: Serve, whose proxy does not start, raises Python's ``TimeoutError``."""
    frames = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] == "ray"


def require_folder(option: str, path: str) -> None:
    """Check that a local folder, if one is named, is there; URIs are left to who reads them.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if path and "://" not in path and not Path(path).expanduser().is_dir():
        raise ConfigError(f"{option} {path} is no folder: give the one that holds the data set's files")


def require_kind(kind: str) -> None:
    """Check the kind of a data set, as far as that is known without the code of one's own that may add some.

    Raises
    ------
    UnknownNameError
        If it is unknown.
    """
    if kind not in KINDS and not has_own_code():
        raise not_registered("data set", kind, KINDS)


def require_dataset(dataset: str, data: str) -> None:
    """Check the data set of a job that takes a prepared one, or with ``--data`` the kind of one that it prepares.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if data and dataset:
        require_kind(dataset)
    elif dataset and dataset not in KINDS and not prepared_name(dataset) and not has_own_code():
        raise not_prepared(dataset, KINDS)
