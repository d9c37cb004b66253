"""What a person reads of an error in place of its traceback; Ray's own errors too, without importing Ray."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback

from tonearm.core.errors import TonearmError

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_STORE = (
    "Ray's object store is full of what other jobs hold, and so is the disk of its temporary folder: make space there, "
    "or end those jobs, which `ray memory` lists"
)
BUSY = "a machine that is slow, busy or short of memory may be why"


def describe_error(error: BaseException) -> str:
    """What is said of an error in place of its traceback; "" where the traceback is what is needed.

    What a worker raised on purpose is said in its own words; a full disk is no bug, whoever met it. Ray's own errors
    are pages of text that other processes wrote: they are kept in a file.
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
    if isinstance(behind, OSError) and behind.errno in FULL:
        where = f" ({behind.filename})" if behind.filename else ""
        return f"{behind.strerror}{where}: make space there; what is finished is kept, the same command goes on"
    if not isinstance(error, of_ray) and not (type(error) is TimeoutError and _raised_in_ray(error)):
        return ""
    raised = getattr(error, "cause", None) or error
    why = FULL_STORE if type(raised).__name__ in ("OutOfDiskError", "ObjectStoreFullError") else BUSY
    line = next(iter(str(raised).strip().splitlines()), "")
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="backslashreplace", prefix="tonearm-error-", suffix=".txt", delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    return (
        f"Ray gave up: {type(raised).__name__}: {line[:300]} ({why}; what is finished is kept, "
        f"the same command goes on; all that was said is in {file.name})"
    )


def _raised_in_ray(error: BaseException) -> bool:
    """Whether Ray's own code raised an error: Serve, whose proxy does not start, raises Python's ``TimeoutError``."""
    frames = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] == "ray"
