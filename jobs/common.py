"""What every job needs: Ray, an absolute home on a cluster, errors as one line, steps with their seconds."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tonearm.core import storage
from tonearm.core.errors import JobError, TonearmError
from tonearm.core.threads import limit_threads, thread_environment

OBJECT_STORE_BYTES = 256 * 2**20  # workers write their own files: only paths and figures travel


def start_ray(num_cpus: int | None = None) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names (a submitted job has it), else start a private local one.

    Raises
    ------
    JobError
        On a cluster, if ``TONEARM_HOME`` is relative: it would lie in Ray's temporary folder and be lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach us as exceptions; Ray keeps logs in /tmp/ray
    logging.getLogger("ray").setLevel(logging.ERROR)
    limit_threads(1)
    import ray

    if ray.is_initialized():
        return
    if os.environ.get("RAY_ADDRESS"):
        home = os.environ.get("TONEARM_HOME", "")
        if not (home.startswith("/") or "://" in home):
            raise JobError(
                f"TONEARM_HOME is {home or 'not set'!r} in a job on a cluster: set a folder or URI that all nodes "
                "reach, e.g. python -m jobs.submit --home s3://bucket/tonearm -- jobs.sweep ..."
            )
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
        return
    with _native_stderr_closed():
        ray.init(
            address="local",  # private: never a cluster that somebody runs on this machine
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {**thread_environment(), "RAY_USAGE_STATS_ENABLED": "0"}},
        )


def stop_ray() -> None:
    """End the private local Ray of this process, if there is one, so that what follows has the machine to itself."""
    if "ray" in sys.modules and not os.environ.get("RAY_ADDRESS"):
        import ray

        ray.shutdown()


@contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Hold back what Ray's C++ core prints at its start (that it read its log level); exceptions are unaffected."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextmanager
def cli_errors() -> Iterator[None]:
    """Turn Tonearm's errors into a message and exit code 1; anything else is a bug and keeps its traceback."""
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


def format_table(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def save_figure(uri: str, figure: object) -> None:
    """Write a plot as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")  # type: ignore[attr-defined]
    storage.write_bytes(uri, buffer.getvalue())


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
