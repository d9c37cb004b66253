"""Schedulers, scores and resources in Ray Tune's form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

from tonearm.core.errors import JobError
from tonearm.sweeps.strategies import Asha, Median, Scheduler
from tonearm.tasks.base import Task

SCHEDULER_METRIC = "judged"
"""In what is reported to Tune: larger is better."""


def scheduler_score(task: Task, metrics: Mapping[str, Any]) -> float:
    """An epoch's validation score, the tie-breaking metric deciding among equals as in :meth:`Task.better`.

    On a few dozen tracks many trials have one and the same share of hits, and a scheduler lets all of them go on.
    """
    primary, tie_breaker = (
        float(metrics[f"validation_{task.primary}"]),
        float(metrics[f"validation_{task.tie_breaker}"]),
    )
    if math.isnan(primary):
        return -math.inf
    tie = 0.0 if math.isnan(tie_breaker) or tie_breaker < 0 else tie_breaker / (1 + tie_breaker)
    return (primary if task.maximise else -primary) - 1e-6 * tie


def tune_scheduler(scheduler: Scheduler, max_epochs: int) -> tune.schedulers.TrialScheduler:
    """Ray Tune's form of a scheduler."""
    by: dict[str, Any] = {"time_attr": "epoch", "metric": SCHEDULER_METRIC, "mode": "max"}
    if isinstance(scheduler, Asha):
        return tune.schedulers.ASHAScheduler(
            **by, grace_period=min(scheduler.grace, max_epochs), reduction_factor=scheduler.reduction,
            max_t=max_epochs,
        )  # fmt: skip
    if isinstance(scheduler, Median):
        return tune.schedulers.MedianStoppingRule(
            **by, grace_period=scheduler.grace, min_samples_required=scheduler.others
        )
    fifo: tune.schedulers.TrialScheduler = tune.schedulers.FIFOScheduler()  # type: ignore[no-untyped-call]
    return fifo


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
