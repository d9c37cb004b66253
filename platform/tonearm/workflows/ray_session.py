"""Ray for one process: the cluster that ``RAY_ADDRESS`` names, or a private local one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tonearm.core import home
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import JobError
from tonearm.core.log_lines import log_variables
from tonearm.core.plugins import module_folders
from tonearm.core.process_environment import private_token, spare_loopback, writable_caches
from tonearm.core.processes import keep_sigterm_handler
from tonearm.core.threads import limit_threads, thread_environment
from tonearm.tracking.ray_metrics import export_metrics
from tonearm.workflows.metrics_targets import announce_ray, withdraw_ray
from tonearm.workflows.ray_address import VARIABLE, check_ray_address, cluster_address, require_cluster
from tonearm.workflows.ray_nodes import check_nodes

OBJECT_STORE_BYTES = 256 * 2**20  # workers write their own files: only paths and figures travel
PROXY_PATIENCE = ("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "120")
"""Seconds that Serve waits for its HTTP proxy to start; Ray's own 5 are too few on a busy or slow machine."""
TRIES, NOT_UP = 3, "timed out "
"""How often a private Ray is started that is not up in time: its raylet ends itself when its agents are not there after
15 s, which no setting changes (ray-project/ray#65983); what Ray says then, in lower case, in exceptions of no kind of
their own."""
logger = logging.getLogger(__name__)


def start_ray(num_cpus: int | None = None, first: Callable[[], None] | None = None) -> None:
    """Join the cluster that ``RAY_ADDRESS`` names (a submitted job has it), else start a private local one.

    Parameters
    ----------
    num_cpus
        Of a private one; all by default.
    first
        A function of a module's, which each worker of a private one calls before all else.

    Raises
    ------
    ConfigError
        If ``RAY_ADDRESS`` is none, or ``TONEARM_HOME`` is relative on a cluster: it would lie in Ray's temporary folder
        and be lost.
    JobError
        If no cluster can be joined there, or none be started here; if a node of it lacks packages or has other code.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors reach us as exceptions; Ray keeps logs in /tmp/ray
    os.environ.setdefault(*PROXY_PATIENCE)
    os.environ.update(spare_loopback())
    logging.getLogger("ray").setLevel(logging.ERROR)
    limit_threads(1)
    if not cluster_address():
        os.environ.update(private_token())
    import ray

    if ray.is_initialized():
        return
    check_ray_address()
    home.fix_places()  # before Ray starts: workers have working folders of their own
    os.environ.update(writable_caches())
    address = cluster_address()
    require_cluster()
    try:
        _join_cluster() if address else _start_here(num_cpus, first)
        export_metrics()
    except Exception as error:  # a node that is slow to start is a bare Exception of Ray's
        what = f"the cluster of {VARIABLE}={address} cannot be joined" if address else "Ray cannot be started here"
        fix = (
            ": the machine may be busy, run it again, what is finished is kept" if NOT_UP in str(error).lower() else ""
        )
        raise JobError(f"{what}: {' '.join(str(error).split())}{fix}") from error
    if address:
        check_nodes()


def _join_cluster() -> None:
    import ray

    with _native_stderr_closed(), keep_sigterm_handler():
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)


def _start_here(num_cpus: int | None, first: Callable[[], None] | None) -> None:
    import psutil

    os.environ.setdefault("RAY_enable_worker_prestart", "0")  # ours are actors: none waits for work in advance
    before = psutil.Process().children()
    for left in reversed(range(TRIES)):
        try:
            _start_private(num_cpus, first)
            break
        except Exception as error:
            if NOT_UP not in str(error).lower():
                raise
            _end_rays_processes(before)
            if not left:
                raise
            logger.warning("Ray was not up in time: this machine may be busy. Starting it again")
    _end_onlookers()
    best_effort("the file that tells Prometheus of this Ray", announce_ray)


def _start_private(num_cpus: int | None, first: Callable[[], None] | None) -> None:
    import ray

    with _native_stderr_closed(), keep_sigterm_handler():
        ray.init(
            address="local",  # private: never a cluster that somebody runs on this machine
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={
                "env_vars": {
                    **thread_environment(),
                    **home.handed_variables(),  # the others are inherited
                    **log_variables(),
                    "RAY_USAGE_STATS_ENABLED": "0",
                },
                "worker_process_setup_hook": _search_as_here(first),
            },
        )


def _end_rays_processes(before: Sequence[Any]) -> None:
    """End those of Ray that this process has started since, with all that they have started: a start that failed leaves
    them to go on until this process ends."""
    import psutil
    import ray

    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if process not in before and any(ray.__path__[0] in part for part in process.cmdline()):
                found += [process, *process.children(recursive=True)]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(found, timeout=10)
    if alive:
        logger.warning("of a Ray that was not up in time these processes do not end: %s", [p.pid for p in alive])


def _end_onlookers() -> None:
    """End the processes of a private Ray that nobody asks here: who would ask clouds for more machines, who would send
    workers' logs to this process, and the dashboard's server, each some 60 MiB. ``ray.init`` has no words for that."""
    from ray._private import worker

    node: Any = worker._global_node
    for end in (node.kill_monitor, node.kill_log_monitor, node.kill_dashboard):
        best_effort("the memory of one of Ray's own processes", end, False)


def stop_ray() -> None:
    """End the private local Ray of this process, if there is one, so that what follows has the machine to itself."""
    if "ray" in sys.modules and not cluster_address():
        import ray

        with keep_sigterm_handler():
            ray.shutdown()
        withdraw_ray()


def _search_as_here(first: Callable[[], None] | None = None) -> Callable[[], None]:
    """What lets a worker find modules where this process does, after all others: a ``queue.py`` in the current folder
    must not take the place of Python's own. Not by ``PYTHONPATH``, which comes before it. Then a function is called."""
    folders = module_folders()
    module, name = (first.__module__, first.__name__) if first else ("", "")

    def append_folders() -> None:  # a function within a function travels by value: a worker cannot import ours yet
        import sys

        sys.path.extend(folder for folder in folders if folder not in sys.path)
        if module:
            import importlib

            getattr(importlib.import_module(module), name)()

    return append_folders


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
