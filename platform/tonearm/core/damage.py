"""What is said of a file that cannot be read: that it is damaged, or that this process cannot read it now.

Only the first is a reason to delete anything: with too many files open, no memory left or a disk that is away, whole
files cannot be read either.
"""

from __future__ import annotations

import errno

#: Errors that a file's content, or its absence, may cause. All others are of the process, the disk or the network.
OF_THE_FILE = (errno.ENOENT, errno.EINVAL, errno.EISDIR, errno.ENOTDIR)
FIXES = {
    errno.EMFILE: "raise the limit of open files, e.g. with 'ulimit -n 8192'",
    errno.ENFILE: "close other programs: the whole machine has too many files open",
    errno.ENOMEM: "free memory, or start fewer trials at once",
    errno.EACCES: "let this user read it, e.g. with 'chmod u+r'",
    errno.EPERM: "let this user read it, e.g. with 'chmod u+r'",
}


def is_damage(error: BaseException) -> bool:
    """Whether an error while a file was read is the file's own: it lacks, or holds something else than it should."""
    if isinstance(error, MemoryError):
        return False
    return not isinstance(error, OSError) or error.errno is None or error.errno in OF_THE_FILE


def describe_unreadable(what: str, error: BaseException, remedy: str) -> str:
    """A sentence on a file that cannot be read.

    Parameters
    ----------
    what
        The file, e.g. ``"index /home/.../index.parquet"``.
    remedy
        What to do if it is damaged.
    """
    if is_damage(error):
        return f"{what} is damaged ({error}): {remedy}"
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    fix = FIXES.get(number or 0, "see that its disk is there and try again")
    return f"{what} cannot be read now ({str(error) or 'no memory is left'}); that does not mean it is damaged: {fix}"
