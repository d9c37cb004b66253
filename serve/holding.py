"""Versions of the model as applications of Ray Serve's, without a route: the follower begins and ends them."""

from __future__ import annotations

from typing import Any

from ray import serve

from serve.heard import MOST
from serve.listener import Listener
from serve.log_settings import log_settings
from serve.settings import AppArgs
from serve.versions import Version
from tonearm.core import home
from tonearm.core.best_effort import best_effort
from tonearm.core.log_lines import log_variables
from tonearm.core.threads import thread_environment
from tonearm.tracking.fetch import fetch_model

SURGE = 100  # per cent: who shall be replaced answers until the other is ready
WAITING = 4  # requests that a copy of the model takes at once: one is heard, others are sent over meanwhile


def listener_target(args: AppArgs, version: Version) -> serve.RunTarget:
    """The application that holds one version of the model.

    Its bundle is fetched here, where MLflow is known already, so that the listener is spared its 80 MiB; on another
    machine it fetches the bundle itself.
    """
    scale: dict[str, Any] = {"num_replicas": args.replicas}
    if args.most_replicas > args.replicas:
        limits = {"min_replicas": args.replicas, "max_replicas": args.most_replicas}
        scale = {"autoscaling_config": {**limits, "target_ongoing_requests": WAITING / 2}}
    listener = serve.deployment(
        Listener,
        name="Listener",
        max_ongoing_requests=WAITING,
        max_surge_percent=SURGE,
        graceful_shutdown_timeout_s=60,  # longer than an answer takes
        ray_actor_options=replica_options(args.cpus, args.gpus),
        logging_config=log_settings(),
        **scale,
    )
    place = best_effort(f"the place of {version.uri}", fetch_model, version.uri) or ""
    settings = (version, args.max_seconds, args.allowed_modules, place, args.gpus, MOST if args.cache_bytes else 0)
    bound = listener.bind(*settings)  # type: ignore[attr-defined]
    return serve.RunTarget(target=bound, name=version.application(args.name), route_prefix=None)


def replica_options(cpus: float, gpus: float = 0.0, works: bool = True) -> dict[str, Any]:
    """What Ray reserves for a process, and its environment: one that works does so beside the loop in which Serve asks
    it how it is, in the fast mode, too."""
    variables = {**thread_environment(), **home.handed_variables(), **log_variables()}  # the driver's
    if works:
        variables["RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD"] = "1"
    return {"num_cpus": cpus, "num_gpus": gpus, "runtime_env": {"env_vars": variables}}
