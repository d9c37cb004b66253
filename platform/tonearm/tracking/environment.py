"""What a run was made with: the code's commit, the installed distributions, the machine. Looked up once a process."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tonearm.core.seeding import digest
from tonearm.tracking import names

CHANGED = "+changes"
UNKNOWN = "unknown"
STATE = "TONEARM_STATE"  # by which a submitted job knows its code's state; it has no checkout
LARGEST_CODE = 2**20  # bytes of a new file that is read; of a larger one size and time are looked at


def commit() -> str:
    """The commit of the code that runs, with ``+changes`` if the tree was not clean; ``unknown`` outside a checkout.

    A job on a cluster has no checkout: :mod:`jobs.submit` hands it ``TONEARM_COMMIT``.
    """
    return os.environ.get("TONEARM_COMMIT") or _checkout()


def clean() -> str:
    """Whether the tree held nothing but the commit: ``true``, ``false``, or ``unknown`` outside a checkout."""
    known = commit()
    return UNKNOWN if known == UNKNOWN else str(not known.endswith(CHANGED)).lower()


def state() -> str:
    """The commit, and a digest of what was changed since: two processes of one state run the same code."""
    known = commit()
    return os.environ.get(STATE) or (f"{known}-{_changes()}" if known.endswith(CHANGED) else known)


@functools.cache
def environment() -> str:
    """Python, the platform and every installed distribution as ``name==version``, sorted: a file of constraints."""
    installed = {f"{d.name}=={d.version}" for d in metadata.distributions()}
    head = [f"# python {platform.python_version()}", f"# {platform.system()} {platform.machine()}"]
    return "\n".join([*head, *sorted(installed, key=str.lower)]) + "\n"


@functools.cache
def environment_digest() -> str:
    """Digest of :func:`environment`: two runs of one digest had the same distributions."""
    return digest(environment())


def hardware() -> dict[str, str]:
    """The machine as tags: processor, cores of this process, memory, GPUs that it may use, and torch's threads.

    The host's name is left out: it identifies people and changes no result.
    """
    tags = dict(_machine())
    threads = getattr(sys.modules.get("torch"), "get_num_threads", None)  # a process without torch has none
    return tags if threads is None else {**tags, names.THREADS: str(threads())}


def provenance() -> dict[str, str]:
    """All tags on how a run was made and by whom, except the digest of the environment."""
    version = {} if commit() == UNKNOWN else {names.VERSION: commit().removesuffix(CHANGED)}
    return {names.COMMIT: commit(), names.CLEAN: clean(), **version, **_user(), **hardware()}


def machine_tags() -> dict[str, str]:
    """All of that, with the digest of the environment: what this process says of what it trains."""
    return {**provenance(), names.ENVIRONMENT: environment_digest()}


@functools.cache
def _user() -> dict[str, str]:
    """The name of this process's account, as MLflow itself gives it; none where the machine has no name for it."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        return {names.USER: getpass.getuser()}
    return {}


@functools.cache
def _checkout() -> str:
    here = Path(__file__).parent
    try:
        head = _output(["git", "rev-parse", "HEAD"], here)
        # Without optional locks: a query must not block a person's own git command.
        changes = _output(["git", "--no-optional-locks", "status", "--porcelain"], here)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return head[:12] + (CHANGED if changes else "")


@functools.cache
def _changes() -> str:
    return changes(Path(__file__).parent)


def changes(folder: Path) -> str:
    """Digest of what the tree around a folder holds beside its commit: changes of files, and new ones."""
    try:
        top = Path(_output(["git", "rev-parse", "--show-toplevel"], folder))
        changed = _output(["git", "--no-optional-locks", "diff", "--no-ext-diff", "HEAD"], top)
        new = _output(["git", "ls-files", "--others", "--exclude-standard", "-z"], top).split("\0")
        return digest(changed, [(name, _content(top / name)) for name in new if name], size=4)
    except (OSError, subprocess.SubprocessError):
        return ""


def _content(path: Path) -> str:
    """What is known of a file's content; "" if it is none, or has gone."""
    with contextlib.suppress(OSError):
        found = path.stat()
        if found.st_size > LARGEST_CODE:
            return f"{found.st_size} {found.st_mtime_ns}"
        return digest(path.read_bytes())
    return ""


@functools.cache
def _machine() -> tuple[tuple[str, str], ...]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    tags = {names.CPU: _processor(), names.CORES: str(cores), names.MEMORY: f"{memory:.1f}", names.GPU: _gpus()}
    return tuple(tags.items())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _gpus() -> str:
    """``name, memory`` of every GPU that this process may use; ``none`` without one, ``unknown`` if it cannot be found.

    NVIDIA's own tool is asked, not torch: a query must not allocate memory on the GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible in ("", "-1"):
        return "none"
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return "; ".join(_output([*command, "-i", visible] if visible else command).splitlines()) or "none"
    except FileNotFoundError:
        return "none"
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN


def _output(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="backslashreplace",
                          check=True, timeout=30)  # fmt: skip
    return done.stdout.strip()
