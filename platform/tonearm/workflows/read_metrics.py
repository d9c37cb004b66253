"""Figures that nodes and servers export, read as Prometheus does, without one."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tonearm.core.errors import JobError
from tonearm.core.metrics import Metric
from tonearm.tracking.ray_metrics import PREFIX

OURS = "tonearm_"
SECONDS_TO_ANSWER = 5.0
ASKED, REMEMBERED = 6, 30.0  # how often a server is asked, whose ingresses answer in turn; seconds an ingress is known
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Exported:
    """What was exported at a time, in seconds, by name and labels."""

    values: Mapping[Key, float] = field(default_factory=dict)
    time: float = 0.0

    def sums(self, metric: Metric | str, *labels: str) -> dict[tuple[str, ...], float]:
        """The sum over all series of a metric that are alike in these labels, by their values."""
        name, found = metric if isinstance(metric, str) else metric.name, dict[tuple[str, ...], float]()
        for (of, own), value in self.values.items():
            if of == name:
                known = dict(own)
                at = tuple(known.get(label, "") for label in labels)
                found[at] = found.get(at, 0.0) + value
        return found

    def total(self, metric: Metric | str) -> float:
        """The sum over all of its series; 0 without one."""
        return self.sums(metric).get((), 0.0)

    def knows(self, *metrics: Metric) -> bool:
        """Whether any of these was exported."""
        names = {metric.name for metric in metrics}
        return any(name in names for name, _ in self.values)


def read_nodes(addresses: Iterable[str]) -> Exported:
    """The figures of nodes, ``HOST:PORT``; those that do not answer export nothing."""
    values: dict[Key, float] = {}
    for address in addresses:
        text = ask(f"http://{address}/metrics")
        values |= {(name, labels | {("node", address)}): v for (name, labels), v in _parse(text or b"").items()}
    return Exported(values, time.monotonic())


def cluster_addresses(dashboard: str) -> list[str]:
    """Where the nodes of a cluster export their figures, as its dashboard says.

    Raises
    ------
    JobError
        If no dashboard answers at this URL, or it wants a token.
    """
    url = f"{dashboard.rstrip('/')}/api/prometheus/sd"
    try:
        groups = json.loads(_get(url, _token()))
        return [str(address) for group in groups for address in group["targets"]]
    except urllib.error.HTTPError as error:
        why = "wants its token: put it in ~/.ray/auth_token or RAY_AUTH_TOKEN" if error.code in (401, 403) else error
        raise JobError(f"the Ray dashboard at {dashboard} {why}") from None
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise JobError(f"no Ray dashboard answers at {dashboard} ({error}): give the URL of a cluster's") from None


class ServerReader:
    """The figures of a server, all of its ingresses together, of which each request meets one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._known: dict[str, tuple[float, dict[Key, float]]] = {}

    def read(self) -> Exported:
        """As they are now; without any where nobody answers."""
        now = time.monotonic()
        for _ in range(ASKED):
            text = ask(f"{self.url}/metrics")
            if text is None:
                return Exported()
            by_ingress: dict[str, dict[Key, float]] = {}
            for (name, labels), value in _parse(text).items():
                by_ingress.setdefault(dict(labels).get("ingress", ""), {})[name, labels] = value
            self._known |= {ingress: (now, values) for ingress, values in by_ingress.items()}
        self._known = {i: known for i, known in self._known.items() if now - known[0] < REMEMBERED}
        return Exported({k: v for _, values in self._known.values() for k, v in values.items()}, now)


def rates(
    before: Exported, now: Exported, choose: Callable[[Exported], dict[tuple[str, ...], float]]
) -> dict[Any, float]:
    """How much sums grew a second between two readings; a counter that began anew grew from 0."""
    passed, old = now.time - before.time, choose(before)
    if passed <= 0 or not before.values:
        return {}
    grown = {at: value - old.get(at, 0.0) for at, value in choose(now).items()}
    return {at: (value if value >= 0 else choose(now)[at]) / passed for at, value in grown.items()}


def ask(url: str) -> bytes | None:
    """An answer, None if there is none; no proxy is asked."""
    try:
        return _get(url, "")
    except (OSError, ValueError, http.client.HTTPException):  # nobody there, no answer in time, or none of HTTP
        return None


def _get(url: str, token: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with opener.open(request, timeout=SECONDS_TO_ANSWER) as answer:
        return bytes(answer.read())


def _token() -> str:
    """Of Ray's clusters, as its own clients find it; "" if there is none."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return os.environ.get("RAY_AUTH_TOKEN") or (path.read_text().strip() if path.exists() else "")


def _parse(text: bytes) -> dict[Key, float]:
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in _samples(text)}


def _samples(text: bytes) -> Iterator[Any]:
    """Those of our own metrics, without Ray's prefix; of Ray's own there are a thousand."""
    from prometheus_client.parser import text_string_to_metric_families

    lines = (line.removeprefix(PREFIX) for line in text.decode("utf-8", "replace").splitlines())
    ours = "\n".join(line for line in lines if line.startswith(OURS)) + "\n"
    for family in text_string_to_metric_families(ours):
        yield from family.samples
