"""What the other nodes of a cluster have installed: one that lacks a package, has other code, another time of day, or
would keep runs in another database, is named before work starts. It would fail in the middle of it, or come to other
results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from tonearm.core import home
from tonearm.core.errors import JobError
from tonearm.tracking.environment import commit

logger = logging.getLogger(__name__)

PACKAGES = ("av", "librosa", "mlflow", "numba", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy",
            "soundfile", "soxr", "torch")  # fmt: skip
"""Distributions that results, or what is written, hang on."""
CODE = ("tonearm", "search_spaces", "serve")
SECONDS_TO_ANSWER = 120.0
SECONDS_OFF = 60.0  # by which clocks may differ


def check_nodes() -> None:
    """Ask each node but this one, once, what it has; Ray is running. One that joins later is not asked.

    Raises
    ------
    JobError
        If a node lacks a package, has another version of one, or other code than this process, or other places with
        a password, which are not sent; all are named.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    asked = {n["NodeID"]: n["NodeManagerAddress"] for n in nodes if n["Alive"]}
    if not home.secret_variables():
        asked.pop(here, None)  # else its workers may have another environment than this process
    if not asked:
        return
    own, began = _asking()(), time.time()
    found = [(asked[node], has) for node, has in _answers(asked)]
    _compare_clocks({address: _seconds_ahead(has["clock"], began, time.time()) for address, has in found})
    problems = [f"node {address} {what}" for address, has in found for what in _differences(own, has)]
    if problems:
        raise JobError(
            f"{'; '.join(problems)}: install constraints.txt and this commit there, send the code along with "
            "tonearm submit, or take the node out of the cluster"
        )
    elsewhere = [f"node {address} has another {name}" for address, has in found for name in _elsewhere(own, has)]
    if elsewhere:
        raise JobError(
            f"{'; '.join(elsewhere)} than this job, whose password is not sent, since Ray would write it to its logs: "
            "set it on the nodes, or leave the password out of it there and here (PGPASSWORD or ~/.pgpass have it, or "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
        )


def _answers(nodes: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each node has; one that is gone meanwhile has nothing to say."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(_asking())
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(): node
        for node in nodes
    }
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=SECONDS_TO_ANSWER)
    for answer in ready:
        try:
            yield asked[answer], ray.get(answer)
        except RayError as error:
            logger.warning("  note: node %s could not be asked what it has installed: %s", nodes[asked[answer]],
                           str(error).strip().splitlines()[0])  # fmt: skip
    for answer in late:
        ray.cancel(answer, force=True)
        logger.warning("  note: node %s did not say in %.0f s what it has installed", nodes[asked[answer]],
                       SECONDS_TO_ANSWER)  # fmt: skip


def _asking() -> Callable[[], dict[str, Any]]:
    """What finds out what a process can import. It travels by value: where it runs, Tonearm may be missing."""
    packages, code, secret = PACKAGES, CODE, home.secret_variables()

    def ask() -> dict[str, Any]:
        import hashlib
        import importlib.metadata
        import importlib.util
        import os
        import pathlib
        import time

        versions: dict[str, str] = {}
        for name in packages:
            try:
                versions[name] = importlib.metadata.version(name).partition("+")[0]  # +cpu and +cu130 are one version
            except importlib.metadata.PackageNotFoundError:
                versions[name] = ""
        digests: dict[str, str] = {}
        for name in code:
            spec = importlib.util.find_spec(name)
            files = [p for place in (spec.submodule_search_locations or () if spec else ())
                     for p in sorted(pathlib.Path(place).rglob("*.py"))]  # fmt: skip
            found = hashlib.blake2b(digest_size=8)
            for path in files:
                found.update(path.read_bytes())
            digests[name] = found.hexdigest() if files else ""
        try:
            from tonearm.tracking.environment import commit

            known = commit()
        except ImportError:
            known = ""
        hidden = {name: hashlib.blake2b(os.environ.get(name, "").strip().encode()).hexdigest() for name in secret}
        return {"versions": versions, "code": digests, "commit": known, "secrets": hidden, "clock": time.time()}

    return ask


def _seconds_ahead(clock: float, began: float, ended: float) -> float:
    """By how much a node's clock is ahead of this machine's at least, if it said that time between these two."""
    return clock - ended if clock > ended else min(0.0, clock - began)


def _compare_clocks(ahead: dict[str, float]) -> None:
    """Tell which nodes' clocks are off, by seconds."""
    off = [f"node {address} is {abs(s) / 60:.0f} minutes {'ahead of' if s > 0 else 'behind'} this machine"
           for address, s in ahead.items() if abs(s) > SECONDS_OFF]  # fmt: skip
    if off:
        logger.warning("  note: clocks differ, %s: times in MLflow and in logs are wrong by that; S3 refuses who is "
                       "15 minutes off its own: set them (chrony)", " and ".join(off))  # fmt: skip


def _elsewhere(own: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The variables of places with a password that a node has otherwise than this process."""
    return [name for name, hidden in own["secrets"].items() if found["secrets"].get(name) != hidden]


def _differences(own: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """How a node differs from this process."""
    has, here = found["versions"], own["versions"]
    lacking = [name for name in PACKAGES if here[name] and not has[name]]
    lacking += [name for name in CODE if own["code"][name] and not found["code"][name]]
    if lacking:
        yield f"lacks {', '.join(lacking)}"
    both = [name for name in PACKAGES if has[name] and here[name]]
    others = [f"{name} {has[name]} (here {here[name]})" for name in both if has[name] != here[name]]
    if others:
        yield f"has {', '.join(others)}"
    known = [name for name in CODE if found["code"][name] and own["code"][name]]
    changed = [name for name in known if found["code"][name] != own["code"][name]]
    if changed:
        yield f"has other code of {', '.join(changed)}, commit {found['commit']} (here {commit()})"
