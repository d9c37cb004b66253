"""What a trial asks of a cluster."""

from __future__ import annotations

import logging
import os

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from tonearm.core.errors import ConfigError, JobError

logger = logging.getLogger(__name__)

WAIT = "TONEARM_NODE_SECONDS"
"""Seconds to wait for a node that an autoscaler starts; 0 by default: what no node has is refused."""


def require_resources(cpus: float, gpus: float) -> None:
    """Check that a node of the cluster has what a trial needs, which would wait for it without end.

    Where ``TONEARM_NODE_SECONDS`` is set, a node is asked for and waited for so long: a cluster that grows may have
    none of the kind now.

    Raises
    ------
    JobError
        With what the largest node has.
    ConfigError
        If the variable is no number of seconds.
    """
    seconds = _seconds_to_wait()
    nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
    if any(n.get("CPU", 0) >= cpus and n.get("GPU", 0) >= gpus for n in nodes):
        return
    need = f"a trial needs {cpus:g} core(s) and {gpus:g} GPU(s)"
    if seconds:
        logger.info(f"  {need}, which no node has: one is asked for, and waited for up to {seconds:g} s")
        group = placement_group([{"CPU": cpus, **({"GPU": gpus} if gpus else {})}])
        came = group.wait(timeout_seconds=seconds)
        remove_placement_group(group)
        if came:
            return
    has = ", ".join(f"{n.get('CPU', 0):g} core(s) and {n.get('GPU', 0):g} GPU(s)" for n in nodes)
    fix = f"none came in {seconds:g} s" if seconds else f"or, where nodes are started on demand, set {WAIT}=900"
    raise JobError(f"{need}, the nodes have {has}: give cpus and gpus that one of them has; {fix}")


def _seconds_to_wait() -> float:
    given = os.environ.get(WAIT, "").strip() or "0"
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{WAIT} is {given!r}: seconds to wait for a node are needed, such as 900, or 0")
    return seconds
