"""Which process has a number now: one that was there before, or another one that has the number since."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")
ENDED = (b"Z", b"X")  # killed, and nobody has asked for its exit code


def process_identity(pid: int) -> str | None:
    """What no other process of this machine has, had or will have; None if no process with this number runs.

    On Linux the boot, and the ticks since it at which the process began. Not the time of day: that is another one as
    soon as the clock is set.
    """
    if not (PROC / "self" / "stat").exists():
        return _by_time(pid)
    try:
        state, *fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()  # the name may have any
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in ENDED else f"{_boot()}-{int(fields[18])}"


def _boot() -> str:
    place = PROC / "sys" / "kernel" / "random" / "boot_id"
    return place.read_text("ascii").strip() if place.exists() else ""


def _by_time(pid: int) -> str | None:
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.NoSuchProcess:
        return None
