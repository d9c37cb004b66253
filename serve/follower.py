"""Follows the registry's alias and tells the ingresses which version answers. One process, which holds no model."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from serve.rollout import Rollout, Route, State
from serve.settings import AppArgs
from serve.versions import Version, follows, resolve, resolve_challenger
from tonearm.tracking.lean import import_mlflow

SECONDS_BETWEEN_STEPS = 0.5
SECONDS_TO_ADOPT = 3.0  # that a new follower waits for an ingress to say who answers
SECONDS_TO_SAY = 30.0  # that a version has to say what it is

logger = logging.getLogger("ray.serve")


class ServeDeployer:
    """Holds each version as an application of Ray Serve's, without a route.

    Parameters
    ----------
    args
        Settings of the ingress's application, which is called ``args.name``.
    """

    def __init__(self, args: AppArgs) -> None:
        self._args = args

    def deploy(self, version: Version) -> None:
        """See :class:`serve.rollout.Deployer`."""
        from ray import serve

        from serve.holding import listener_target

        if self.state(version)[0] == "absent":
            serve.run_many([listener_target(self._args, version)], wait_for_applications_running=False,
                           wait_for_ingress_deployment_creation=False)  # fmt: skip

    def remove(self, version: Version) -> None:
        """See :class:`serve.rollout.Deployer`."""
        from ray import serve

        name = version.application(self._args.name)
        if name in serve.status().applications:
            serve.delete(name, _blocking=False)

    def state(self, version: Version) -> tuple[State, str]:
        """See :class:`serve.rollout.Deployer`."""
        from ray import serve

        found = serve.status().applications.get(version.application(self._args.name))
        if found is None:
            return "absent", ""
        states: dict[str, State] = {"RUNNING": "running", "DEPLOY_FAILED": "failed", "UNHEALTHY": "unhealthy"}
        own = [f"{name}: {d.message}" for name, d in found.deployments.items() if d.message]
        return states.get(found.status.value, "starting"), "; ".join((found.message, *own))

    def lives(self, version: Version) -> bool:
        """Whether a process of it is there."""
        from ray import serve
        from ray.serve._private.common import ReplicaState

        found = serve.status().applications.get(version.application(self._args.name))
        running = ReplicaState.RUNNING
        return found is not None and any(d.replica_states.get(running, 0) for d in found.deployments.values())

    def about(self, version: Version) -> dict[str, Any]:
        """See :class:`serve.rollout.Deployer`."""
        from ray import serve

        handle = serve.get_app_handle(version.application(self._args.name))
        said: dict[str, Any] = handle.about.remote().result(timeout_s=SECONDS_TO_SAY)
        return said


class Follower:
    """Keeps the version that is wanted answering.

    Parameters
    ----------
    args
        As :class:`AppArgs` has them.
    first
        The version that the alias meant when the application was built; None: it is looked up now.
    """

    def __init__(self, args: dict[str, Any], first: Version | None = None) -> None:
        self._args = AppArgs(**args)
        if follows(self._args.model):
            import_mlflow()
        self._first, self._resolved, self._looked = first, first, -self._args.follow_seconds
        self._deployer = ServeDeployer(self._args)
        self._rollout = Rollout(self._deployer, self._wanted, self._args.canary_share, self._args.canary_seconds,
                                others=lambda: self._challenger.needed)  # fmt: skip
        self._found: Version | None = None
        self._asked = -self._args.follow_seconds
        self._challenger = Rollout(
            self._deployer, self._wanted_challenger, 0.0, 0.0, others=lambda: self._rollout.needed
        )
        self._lock, self._answering = threading.Lock(), list[Route]()
        self._started, self._serving = time.monotonic(), False
        threading.Thread(target=self._follow, daemon=True, name="follower").start()

    def reasons(self) -> list[str]:
        """Why versions were refused, with places and causes: for who runs the server, and never over HTTP."""
        details = {**self._challenger.details, **self._rollout.details}
        return [f"{v.name} {v.number}".strip() + f": {why}" for v, why in details.items()]

    def routes(self, answering: Route | None, outcomes: Mapping[Version, tuple[int, int]]) -> dict[str, Any]:
        """Who answers now: an ingress says whom it asks, and what became of its requests.

        Returns
        -------
        dict
            ``current``, ``canary`` and ``challenger``, a :class:`Route` or None; ``share`` of the canary; ``serving``,
            whether processes of the current one are there; ``problem``, ``refused`` and ``challenger_refused``,
            sentences.
        """
        with self._lock:
            if answering is not None:
                self._answering.append(answering)
            for version, (answered, failed) in outcomes.items():
                self._rollout.count(version, answered, failed)
            rollout = self._rollout
            return {
                "current": rollout.current,
                "canary": rollout.canary,
                "challenger": self._challenger.current,
                "share": self._args.canary_share,
                "serving": self._serving,
                "problem": rollout.problem,
                "refused": [f"{v.name} {v.number}: {why}" for v, why in dict(rollout.refused).items()],
                "challenger_refused": [
                    f"challenger {v.name} {v.number}: {why}" for v, why in dict(self._challenger.refused).items()
                ],
            }

    def _wanted(self) -> Version:
        """What the alias means, asked every few seconds."""
        due = time.monotonic() - self._looked >= self._args.follow_seconds
        if self._resolved is None or (follows(self._args.model) and self._args.follow_seconds and due):
            self._looked = time.monotonic()
            self._resolved = resolve(self._args.model)
        return self._resolved

    def _wanted_challenger(self) -> Version | None:
        """What the challenger's alias means, asked every few seconds; None if there is none (any more)."""
        uri, every = self._args.challenger, self._args.follow_seconds
        due = time.monotonic() - self._asked >= every
        if uri and due and (self._found is None or (follows(uri) and every)):  # 0: only once, as the model
            self._asked = time.monotonic()
            self._found = resolve_challenger(uri)
        return self._found

    def _follow(self) -> None:
        while True:
            try:
                self._step()
            except Exception:  # whatever it is, e.g. Serve's controller away: the next step may succeed
                logger.exception("following %s failed; it is tried again", self._args.model)
            time.sleep(SECONDS_BETWEEN_STEPS)

    def _step(self) -> None:
        rollout = self._rollout
        try:  # before: a follower that was begun anew says who answers once it knows both
            self._challenger.step()
        except Exception:
            logger.exception("following the challenger %s failed; it is tried again", self._args.challenger)
        if rollout.current is None and self._answering:  # this process was begun anew
            rollout.adopt(self._answering[-1])
        elif rollout.current is None and time.monotonic() - self._started < SECONDS_TO_ADOPT and self._is_anew():
            return
        try:
            rollout.step()
        finally:
            serving = rollout.current is not None and self._deployer.lives(rollout.current.version)
            with self._lock:
                self._serving = serving
                if rollout.current is not None:
                    self._answering = []

    def _is_anew(self) -> bool:
        """Whether versions were held before this process began."""
        from ray import serve

        from serve.versions import listeners_of

        mine = {name for name in serve.status().applications if name.startswith(listeners_of(self._args.name))}
        begun = self._challenger.needed | ({self._first} if self._first else set())
        return bool(mine - {version.application(self._args.name) for version in begun})
