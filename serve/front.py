"""What an ingress keeps in memory: which version answers, its library, and how its listeners are asked."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from serve.admission import Admission
from serve.answers_cache import AnswersCache
from serve.experiment import Experiment
from serve.problems import MODEL_REFUSED, RefusedError
from serve.rollout import Route
from serve.shelf import Shelf
from serve.versions import Version
from tonearm.feedback.events import CHALLENGER

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_FIRST_LOOKS = 0.1  # before a version is known
SECONDS_TO_HEAR = 5.0  # that a request waits for an ingress that has just begun
SECONDS_TO_BEGIN = 25.0  # that Serve waits for one, which imports and reads the library; below its own 30
SECONDS_TO_SAY = 10.0  # that the follower has to say who answers
LONGEST_ANSWER = 120.0  # seconds that a listener is waited for
RESENDS = 3  # of a request whose listener has died; what kills each must end
SECONDS_BEFORE_RESEND = 0.1
LOADING = "no version of the model has been loaded yet"
LOST = (ActorDiedError, ActorUnavailableError, RayActorError, ReplicaUnavailableError)

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Routes:
    """Who answers now.

    Attributes
    ----------
    current, canary
        Versions; the canary is asked a ``share`` of the requests. None: there is none.
    serving
        Whether a process of the current one is there.
    problem
        What keeps the server from answering, or from following; "" if nothing.
    refused
        Versions that were not taken, and why.
    experiment
        The challenger, and who gets it; None: everybody gets the current one.
    challenger_refused
        Challengers that were not taken, and why.
    """

    current: Shelf | None = None
    canary: Shelf | None = None
    share: float = 0.0
    serving: bool = False
    problem: str = LOADING
    refused: tuple[str, ...] = ()
    experiment: Experiment | None = None
    challenger_refused: tuple[str, ...] = ()


class Front:
    """Follows the follower, in a thread of its own; requests read what it has found and never wait for it.

    Parameters
    ----------
    ask_follower
        Its answer, as :meth:`serve.follower.Follower.routes` has it, to the version that answers here and the outcomes.
    listeners
        The listeners of a version, as Ray Serve calls them.
    admission
        It is told how long answers take.
    cache
        Of answers.
    share, salt
        Of the listeners that get a challenger, if there is one.

    Attributes
    ----------
    assigned
        How often a version was to answer, by arm ("": of no experiment) and version.
    """

    def __init__(
        self, ask_follower: Callable[[Route | None, dict[Version, tuple[int, int]]], dict[str, Any]],
        listeners: Callable[[Version], Any], admission: Admission, cache: AnswersCache, share: float = 0.5,
        salt: str = "1",
    ) -> None:  # fmt: skip
        self._ask_follower, self._listeners = ask_follower, listeners
        self.admission, self.cache = admission, cache
        self.routes = Routes()
        self._outcomes: Counter[tuple[Version, bool]] = Counter()  # since the process began
        self._told_outcomes: Counter[tuple[Version, bool]] = Counter()
        self._share, self._salt = share, salt
        self.assigned: Counter[tuple[str, str]] = Counter()
        self.resent = 0  # requests, since their listener had died
        self._shelves: dict[Version, Shelf] = {}
        self._told: dict[Version, str] = {}
        self.heard = threading.Event()  # the follower has said once who answers, or that nobody does

    def follow(self) -> None:
        """Begin to follow, for as long as the process lives."""
        threading.Thread(target=self._follow, daemon=True, name="routes").start()

    def look(self) -> None:
        """Ask the follower once, and read what has changed."""
        current = self.routes.current
        outcomes = Counter(dict(self._outcomes))
        new = outcomes - self._told_outcomes
        counts = {v: (new[v, True], new[v, False]) for v, _ in new}
        said = self._ask_follower(Route(current.version, current.about) if current else None, counts)
        self._told_outcomes = outcomes
        if said["current"] is None and current is not None:
            return  # the follower was begun anew, and has to hear of it first: who answers goes on
        challenger = said.get("challenger")
        routes = (said["current"], said["canary"], challenger)
        shelves = {route.version: self._shelf(route) for route in routes if route is not None}
        problem = said["problem"]
        for shelf in shelves.values():
            try:
                shelf.look()
            except Exception as error:  # a catalogue that cannot be read: the one before stays
                self._tell(shelf.version, error)
                shelf.unread = True
                problem = problem or f"a catalogue cannot be read ({type(error).__name__}): the log has it"
            else:
                self._told.pop(shelf.version, None)
                shelf.unread = False
        self._shelves = shelves

        def found(route: Route | None) -> Shelf | None:
            return None if route is None else shelves[route.version]

        compared = None if challenger is None else Experiment(shelves[challenger.version], self._share, self._salt)
        self.routes = Routes(found(said["current"]), found(said["canary"]), said["share"], said["serving"], problem,
                             tuple(said["refused"]), compared, tuple(said.get("challenger_refused", ())))  # fmt: skip
        self.heard.set()

    async def assign(self, key: bytes, listener: str | None) -> tuple[Shelf, str | None]:
        """The version that answers a request of a listener, and the listener's arm; None outside of an experiment.

        Raises
        ------
        RefusedError
            503 if there is none yet.
        """
        current, compared = await self.answering(), self.routes.experiment
        arm, shelf = None, self._drawn(current, key)
        if compared is not None and (arm := compared.arm(listener)) == CHALLENGER:
            shelf = compared.challenger
        self.assigned[arm or "", shelf.version.number] += 1
        return shelf, arm

    async def choose(self, key: bytes) -> Shelf:
        """The version that answers a request of nobody in particular; the same request gets the same one while both
        are there.

        Raises
        ------
        RefusedError
            503 if there is none yet.
        """
        return (await self.assign(key, None))[0]

    def _drawn(self, current: Shelf, key: bytes) -> Shelf:
        """The version that answers, or the canary, by the request."""
        routes = self.routes
        if routes.canary is not None:
            drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
            if drawn < routes.share:
                return routes.canary
        return current

    async def answering(self) -> Shelf:
        """The version that answers; an ingress that has just begun may have to hear of it first, which is waited for.

        Raises
        ------
        RefusedError
            503 if there is none yet.
        """
        deadline = time.monotonic() + SECONDS_TO_HEAR
        while self.routes.current is None and not self.routes.refused and time.monotonic() < deadline:
            await asyncio.sleep(SECONDS_BETWEEN_FIRST_LOOKS)
        current = self.routes.current
        if current is None:
            raise not_ready(self.routes)
        return current

    async def ask(self, shelf: Shelf, method: str, *arguments: Any) -> Any:
        """The answer of a version's listeners; sent again to another one if one dies meanwhile.

        Raises
        ------
        RefusedError
            503 if none of them lives to answer, or too many wait.
        """
        for sent in range(RESENDS + 1):
            try:
                async with asyncio.timeout(LONGEST_ANSWER):
                    answer = await getattr(shelf.handle, method).remote(*arguments)
            except LOST:
                self._outcomes[shelf.version, False] += 1
                logger.warning("a listener of %s died with a request, which is sent again", shelf.version.name)
                self.resent += sent < RESENDS
                await asyncio.sleep(SECONDS_BEFORE_RESEND * sent)
            except (BackPressureError, DeploymentUnavailableError) as error:
                self._outcomes[shelf.version, False] += 1
                raise unavailable("too many wait for the model, or it is being replaced") from error
            except TimeoutError as error:
                self._outcomes[shelf.version, False] += 1
                raise unavailable(f"it took over {LONGEST_ANSWER:g} s") from error
            except BaseException as error:
                if isinstance(error, Exception):
                    self._outcomes[shelf.version, False] += 1
                raise
            else:
                told = answer if isinstance(answer, dict) else {}
                self._outcomes[shelf.version, told.get("problem") != "damaged"] += 1
                if "seconds" in told:
                    self.admission.measured(told["seconds"])
                return answer
        raise unavailable(f"{RESENDS + 1} listeners died with it")

    def _tell(self, version: Version, error: Exception) -> None:
        if self._told.get(version) != str(error):
            logger.exception("the catalogue of %s %s cannot be read", version.name, version.number)
        self._told[version] = str(error)

    def _shelf(self, route: Route) -> Shelf:
        known = self._shelves.get(route.version)
        if known is not None and known.about == route.about:
            return known
        return Shelf(route.version, route.about, self._listeners(route.version))

    def _follow(self) -> None:
        told = ""
        while True:
            try:
                self.look()
                told = ""
            except Exception as error:  # the follower is being begun anew, say: who answers goes on
                if str(error) != told:
                    logger.warning("the follower cannot be asked, the version stays: %s", error)
                told = str(error)
            time.sleep(SECONDS_BETWEEN_LOOKS if self.routes.current else SECONDS_BETWEEN_FIRST_LOOKS)


def not_ready(routes: Routes) -> RefusedError:
    """The refusal of a server that has no model yet, or none any more."""
    if routes.current is None and routes.refused:
        return RefusedError(503, MODEL_REFUSED, f"{'; '.join(routes.refused)}", {"Retry-After": "10"})
    why = routes.problem or LOADING if routes.current is None else "no process of the model is there"
    return RefusedError(503, "not_ready", f"nothing can be answered yet: {why}", {"Retry-After": "2"})


def unavailable(why: str) -> RefusedError:
    """The refusal of a request that no listener could answer."""
    return RefusedError(503, "unavailable", f"the request was not answered: {why}; send it again", {"Retry-After": "2"})
