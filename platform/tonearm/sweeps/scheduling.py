"""What a trial asks of a cluster."""

from __future__ import annotations

import ray

from tonearm.core.errors import JobError


def require_resources(cpus: float, gpus: float) -> None:
    """Check that a node of the cluster has what a trial needs, which would wait for it without end.

    Raises
    ------
    JobError
        With what the largest node has.
    """
    nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]  # type: ignore[no-untyped-call]
    if not any(n.get("CPU", 0) >= cpus and n.get("GPU", 0) >= gpus for n in nodes):
        has = ", ".join(f"{n.get('CPU', 0):g} core(s) and {n.get('GPU', 0):g} GPU(s)" for n in nodes)
        raise JobError(
            f"a trial needs {cpus:g} core(s) and {gpus:g} GPU(s), the nodes have {has}: give cpus and gpus that "
            "one of them has"
        )
