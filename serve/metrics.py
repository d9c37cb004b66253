"""What an ingress counts, as Prometheus reads it. Each ingress counts its own, under a label of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.feedback import FeedbackWriter
from serve.front import Front
from tonearm.core import metrics as known

MEDIA_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds of the buckets
OTHER = "other"  # the route of a path that is none
GONE = 499  # the status of who was not answered because he had gone


class Metrics:
    """Counts requests, and reads what a front holds when it is asked.

    Parameters
    ----------
    front, feedback
        Of this process.
    """

    def __init__(self, front: Front, feedback: FeedbackWriter) -> None:
        self._registry, self._ingress = CollectorRegistry(), uuid.uuid4().hex[:8]
        requests, seconds = known.REQUESTS, known.REQUEST_SECONDS
        self._requests = Counter(requests.name, requests.help, requests.labels, registry=self._registry)
        self._seconds = Histogram(seconds.name, seconds.help, seconds.labels, registry=self._registry, buckets=SECONDS)
        self._registry.register(_FrontMetrics(front, self._ingress))
        self._registry.register(_FeedbackMetrics(feedback, self._ingress))

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request to a route, by its path with the names of what varies."""
        self._requests.labels(self._ingress, route, str(status)).inc()
        self._seconds.labels(self._ingress, route).observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)


class _Held(Collector):
    """What is read when it is asked for, under the label of an ingress."""

    def __init__(self, ingress: str) -> None:
        self._ingress = ingress

    def _of(self, one: known.Metric, value: float) -> Metric:
        return self._family(one, {(): value})

    def _family(self, one: known.Metric, values: Mapping[tuple[str, ...], float]) -> Metric:
        """A metric with its values, by those of its labels but the ingress."""
        family = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
        found = family(one.name, one.help, labels=one.labels)
        for labels, value in values.items():
            found.add_metric([self._ingress, *labels], value)
        return found


class _FeedbackMetrics(_Held):
    def __init__(self, feedback: FeedbackWriter, ingress: str) -> None:
        super().__init__(ingress)
        self._feedback = feedback

    def collect(self) -> Iterator[Metric]:
        feedback = self._feedback
        yield self._family(known.FEEDBACK, {labels: float(n) for labels, n in dict(feedback.kept).items()})
        yield self._family(
            known.REFUSED_FEEDBACK, {(why,): float(count) for why, count in dict(feedback.refused).items()}
        )
        yield self._of(known.FEEDBACK_COMMITS, feedback.commits)
        yield self._of(known.WAITING_FEEDBACK, feedback.waiting)


class _FrontMetrics(_Held):
    def __init__(self, front: Front, ingress: str) -> None:
        super().__init__(ingress)
        self._front = front

    def collect(self) -> Iterator[Metric]:
        front = self._front
        admission, cache = front.admission, front.cache
        yield self._of(known.WAITING_REQUESTS, admission.waiting)
        yield self._of(known.HELD_BYTES, admission.bytes_held)
        yield self._of(known.LISTEN_SECONDS, admission.service_seconds)
        yield self._of(known.CACHE_HITS, cache.hits)
        yield self._of(known.CACHE_MISSES, cache.misses)
        yield self._of(known.RESENDS, front.resent)
        experiment = front.routes.experiment
        shelves = (("current", front.routes.current), ("canary", front.routes.canary),
                   ("challenger", experiment.challenger if experiment else None))  # fmt: skip
        versions = {(*shelf.signature.values(), role): 1.0 for role, shelf in shelves if shelf is not None}
        yield self._family(known.MODELS, versions)
        yield self._family(known.ASSIGNED, {labels: float(count) for labels, count in dict(front.assigned).items()})


class Measured:
    """ASGI middleware: counts requests, refused ones too.

    Parameters
    ----------
    metrics
        Where; asked for at each request.
    routes
        That are told apart.
    """

    def __init__(self, app: ASGIApp, metrics: Callable[[], Metrics], routes: Sequence[BaseRoute]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            status = status or 500
            raise
        finally:
            self._metrics().count(self._route(scope), status or GONE, time.perf_counter() - began)

    def _route(self, scope: Scope) -> str:
        """Of what was refused before it was looked for, too."""
        if routed := getattr(scope.get("route"), "path", ""):
            return str(routed)
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                found: str = getattr(route, "path", OTHER)
                return found
        return OTHER
