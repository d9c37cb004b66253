"""From one version to the next: warmed first, then a share of the requests, then all; back if it does worse."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from serve.versions import Version
from tonearm.core.errors import TonearmError

State = Literal["absent", "starting", "running", "unhealthy", "failed"]
LINGER = 20.0  # seconds that a version is kept after another took its place: answers may be on their way
FEWEST_FAILURES = 2  # of a share of the requests, below which it may be chance
MOST_FALLS = 1  # times that processes of a version may die soon after it began: the machine may be to blame
LONG = 60.0  # seconds after which it is told that a version is still starting
WORSE = 2.0  # times as many failures a request as the version before

logger = logging.getLogger("ray.serve")


class Deployer(Protocol):
    """Who holds versions in processes."""

    def deploy(self, version: Version) -> None:
        """Begin to hold one; nothing happens if it is held."""

    def remove(self, version: Version) -> None:
        """Hold it no longer, once what it is asked is answered."""

    def state(self, version: Version) -> tuple[State, str]:
        """How far it is, and what is wrong."""

    def about(self, version: Version) -> dict[str, Any]:
        """What one that runs says of itself; a ``problem`` if it is unusable."""


@dataclass(frozen=True)
class Route:
    """A version that answers, and what it says of itself."""

    version: Version
    about: Mapping[str, Any]


@dataclass
class Outcomes:
    """What became of the requests that a version was asked."""

    answered: int = 0
    failed: int = 0

    @property
    def rate(self) -> float:
        """Share that failed, 0..1; 0 of none."""
        return self.failed / total if (total := self.answered + self.failed) else 0.0


@dataclass
class Rollout:
    """Which version answers, and which is on its way; :meth:`step` goes on as far as it can without waiting.

    Attributes
    ----------
    deployer
        Who holds versions.
    resolve
        The version that is wanted now; None: none any more.
    canary_share
        0..1, of the requests that a new version is tried with; 0: none, it takes all at once.
    canary_seconds
        How long it is tried.
    clock
        Seconds.
    others
        Versions that somebody else needs: they are left to be held.
    refused, details
        Versions that were not taken: why, for everybody; and what is for who runs the server, with places and causes.
    """

    deployer: Deployer
    resolve: Callable[[], Version | None]
    canary_share: float
    canary_seconds: float
    clock: Callable[[], float] = time.monotonic
    others: Callable[[], Collection[Version]] = tuple
    current: Route | None = None
    canary: Route | None = None
    problem: str = ""
    refused: dict[Version, str] = field(default_factory=dict)
    details: dict[Version, str] = field(default_factory=dict)
    _wanted: Version | None = None
    _candidate: Version | None = None
    _since: float = 0.0
    _begun: float = 0.0
    _falls: int = 0
    _healthy: bool = True
    _leaving: dict[Version, float] = field(default_factory=dict)
    _previous: tuple[Route, float] | None = None
    _outcomes: dict[Version, Outcomes] = field(default_factory=dict)

    @property
    def needed(self) -> set[Version]:
        """Versions that answer, are on their way, or may have to answer again."""
        routes = [self.current, self.canary, self._previous[0] if self._previous else None]
        own = {route.version for route in routes if route is not None}
        return own if self._candidate is None else own | {self._candidate}

    def count(self, version: Version, answered: int, failed: int) -> None:
        """Take account of what became of requests, while a version is tried."""
        if self.canary is not None:
            outcomes = self._outcomes.setdefault(version, Outcomes())
            outcomes.answered += answered
            outcomes.failed += failed

    def adopt(self, route: Route) -> None:
        """Go on from a version that answers already, if it is still held."""
        if self.current is None and self.deployer.state(route.version)[0] not in ("absent", "failed"):
            self.current = route

    def step(self) -> None:
        """Go on."""
        self._look()
        self._watch()
        self._bring()
        self._retire()

    def _look(self) -> None:
        """Which version is wanted."""
        try:
            wanted = self.resolve()
        except TonearmError as error:  # the registry is away: who answers goes on
            if not self.problem:
                logger.error("the registry cannot be asked, the version stays: %s", error)
            self.problem = "the registry cannot be asked, the version stays; the log has why"
            return
        self.problem = ""
        if wanted != self._wanted:
            self.refused, self.details = {}, {}  # whoever is wanted once more may be tried once more
        self._wanted = wanted
        if wanted is None and self.current is not None:
            self._end_previous()
            self._leave(self.current.version)
            self.current = None

    def _watch(self) -> None:
        """Back to the version before, if the one that took its place fails soon after."""
        if self.current is None or self._previous is None:
            return
        state, why = self.deployer.state(self.current.version)
        if state in ("failed", "absent") or self._fell(state):
            failed, self.current, self._previous = self.current.version, self._previous[0], None
            self._refuse(failed, "its processes died after it had taken all requests", why)

    def _bring(self) -> None:
        """The wanted version nearer to answering."""
        wanted = self._wanted
        here = self.current is not None and self.current.version == wanted
        if self._candidate is not None and (here or wanted != self._candidate):
            self._drop()
        if wanted is None or here or wanted in self.refused:
            return
        if self._candidate is None:
            self._candidate, self._begun, self._falls, self._healthy = wanted, self.clock(), 0, True
        self._leaving.pop(wanted, None)
        state, why = self.deployer.state(wanted)
        if state == "absent":  # not yet, or since what was left of an earlier one is gone now
            self.deployer.deploy(wanted)
        elif state == "failed":
            self._refuse(wanted, "its processes do not start", why)
        elif self._fell(state):
            self._refuse(wanted, "its processes died while it was tried", why)
        elif state == "running":
            self._try(wanted)
        elif self.clock() - self._begun > LONG:
            self.problem = f"version {wanted.number} has been starting for {self.clock() - self._begun:.0f} s: there " \
                           "may be no room for it beside the one that answers"  # fmt: skip

    def _try(self, wanted: Version) -> None:
        """A version that runs: try it, then let it take all."""
        if self.canary is None:
            about = self.deployer.about(wanted)
            if "problem" in about:
                self._refuse(wanted, "it cannot be used", about["detail"])
                return
            self.canary, self._since = Route(wanted, about), self.clock()
            self._outcomes.clear()
        if self.current is not None and self.canary_share > 0:
            if worse := self._worse(self.current.version, wanted):
                self._refuse(wanted, worse)
                return
            if self.clock() - self._since < self.canary_seconds:
                return
        if self.current is not None:
            self._end_previous()
            self._previous = (self.current, self.clock())
            logger.warning("%s %s took the place of %s", wanted.name, wanted.number, self.current.version.number)
        self.current, self.canary, self._candidate = self.canary, None, None
        self._falls, self._healthy = 0, True

    def _worse(self, current: Version, wanted: Version) -> str:
        """Why a version that is tried does worse; "" if it does not."""
        own, others = self._outcomes.get(wanted, Outcomes()), self._outcomes.get(current, Outcomes())
        if own.failed >= FEWEST_FAILURES and own.rate > WORSE * others.rate:
            return (
                f"{own.failed} of {own.answered + own.failed} requests failed, {others.failed} of "
                f"{others.answered + others.failed} of the version before"
            )
        return ""

    def _fell(self, state: State) -> bool:
        """Whether processes of a version that is watched have died too often; a trial begins anew when they do."""
        if state == "unhealthy" and self._healthy:
            self._falls += 1
            self._since = self.clock()
        self._healthy = state != "unhealthy"
        return self._falls > MOST_FALLS

    def _refuse(self, version: Version, why: str, detail: str = "") -> None:
        logger.error("%s %s is refused, the version before stays: %s: %s", version.name, version.number, why, detail)
        self.refused[version], self.details[version] = why, f"{why}: {detail}" if detail else why
        self._leave(version)
        if self._candidate == version:
            self._candidate = self.canary = None

    def _drop(self) -> None:
        if self._candidate is not None:
            self._leave(self._candidate)
        self._candidate = self.canary = None

    def _leave(self, version: Version, since: float | None = None) -> None:
        """Hold a version for a while yet: who was told of it asks it, and answers are on their way."""
        self._leaving.setdefault(version, self.clock() if since is None else since)

    def _retire(self) -> None:
        """End what nobody asks any more."""
        if self._previous is not None and self.clock() - self._previous[1] > LINGER:
            self._end_previous()
        needed = self.needed | set(self.others())
        for version, since in list(self._leaving.items()):
            if version in needed:
                del self._leaving[version]
            elif self.clock() - since > LINGER:
                self.deployer.remove(version)
                del self._leaving[version]

    def _end_previous(self) -> None:
        """The version before the one that answers need not be gone back to."""
        if self._previous is not None:
            self._leave(self._previous[0].version, self._previous[1])
            self._previous = None
