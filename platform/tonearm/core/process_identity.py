"""Which process has a number now: one that was there before, or another one that has the number since."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
ENDED = (b"Z", b"X")  # killed, and nobody has asked for its exit code


def process_identity(pid: int) -> str | None:
    """What no other process of this machine has, had or will have; None if no process with this number runs, "" if one
    does and nothing more is shown of it, as of another user's.

    On Linux the boot, and the ticks since it at which the process began. Not the time of day: that is another one as
    soon as the clock is set.
    """
    if not (PROC / "self" / "stat").exists():
        return _by_time(pid)
    try:
        state, *fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()  # the name may have any
    except PermissionError:
        return ""
    except (FileNotFoundError, ProcessLookupError):
        return "" if _is_hidden(pid) else None
    return None if state in ENDED else f"{_boot()}-{int(fields[18])}"


def _is_hidden(pid: int) -> bool:
    """Whether a process runs of which there is no file: ``/proc`` may be told to show each user only their own."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return False  # our own, which has ended or begun this moment


def _boot() -> str:
    place = PROC / "sys" / "kernel" / "random" / "boot_id"
    return place.read_text("ascii").strip() if place.exists() else ""


def _by_time(pid: int) -> str | None:
    try:
        import psutil
    except ImportError:  # a bare machine that only trains
        return ""
    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ""
