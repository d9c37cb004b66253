"""For a process that starts servers: free ports, signals that end it in order, children that end with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from tonearm.core.errors import JobError

SECONDS_TO_END = 10.0  # of a child that was asked to, before it is killed
SECONDS_TO_LEAVE = 60.0  # of one that ends a Ray of its own, and says in MLflow that its runs are over
PARENT = "TONEARM_PARENT"  # which process runs this one along with itself
PR_SET_PDEATHSIG = 1  # of Linux's prctl
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


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
                f"port {port} on {host} is in use or not ours ({error.strerror}): choose another port, "
                'by --port N, or through make by ARGS="--port N"'
            ) from None


def exit_on_stop_signals() -> None:
    """Let SIGTERM and SIGHUP raise SystemExit, so that ``finally`` is reached; the exit code is 128 + the signal's.

    Only the main thread can ask for it; elsewhere nothing is done. Ctrl-C raises KeyboardInterrupt anyway. What is
    ignored stays so, as ``nohup`` asks for. Whom :func:`run_along` has started is sent SIGTERM when its parent ends.
    """
    _end_with_parent()
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _heeded():
        if number != signal.SIGINT:
            signal.signal(number, lambda caught, _: sys.exit(128 + caught))


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Undo what a library does to a handler that :func:`exit_on_stop_signals` set: Ray takes its place when it starts,
    and leaves none when it ends."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def wait_for_stop_signal() -> None:
    """Return at Ctrl-C, SIGTERM or SIGHUP, as far as they are not ignored."""
    stopped = threading.Event()
    for number in _heeded():
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def run_until_stopped(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and end it and all that it started when this process is asked to; its exit code."""
    exit_on_stop_signals()
    child = subprocess.Popen(command, env=dict(environment), start_new_session=True)  # a group to end as a whole
    try:
        return child.wait()
    finally:
        _end_group(child)


def run_along(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end in this process's own group, so that what ends the group ends both; its exit code.

    Who is asked to stop before it has ended waits for it, a minute at most. Where this process is killed, on Linux, a
    command of ours is asked to stop.
    """
    exit_on_stop_signals()
    child = subprocess.Popen(command, env={**environment, PARENT: str(os.getpid())})
    try:
        return child.wait()
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):  # Ctrl-C has reached it, too
            child.terminate()
        try:
            child.wait(SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise


def _end_with_parent() -> None:
    """Let this process be sent SIGTERM when the one that runs it along with itself ends, or now if it has ended."""
    parent = os.environ.pop(PARENT, "")  # what this process starts is none of it
    if not parent or sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)


def _heeded() -> list[signal.Signals]:
    return [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):  # workers may outlive the one that started them
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
