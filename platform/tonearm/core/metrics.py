"""All that Tonearm counts about itself, by name: what each figure means, its labels, and where it is exported.

Code says what happened, ``DECODED_TRACKS.add()``; where the figures go is not its business. A process that is part of a
Ray sends them to Ray's metrics (:mod:`tonearm.tracking.ray_metrics`), another one to nobody. The server's own are read
from its ``/metrics`` (:mod:`serve.metrics`). Names follow Prometheus: the unit, then ``_total`` of what only grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

Item = TypeVar("Item")
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Metric:
    """A figure.

    Attributes
    ----------
    name
        As Prometheus has it.
    kind
        Of Prometheus.
    help
        What it means, without a full stop.
    labels
        Each of few values: every combination of them is a series of its own.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count more of a counter; nothing where the amount is 0.

        Raises
        ------
        ValueError
            If these are not its labels, or the amount is negative.
        """
        if amount < 0:
            raise ValueError(f"{self.name} only grows: {amount:g} cannot be added")
        if amount:
            self._record(amount, labels)

    def set(self, value: float, **labels: str) -> None:
        """The value of a gauge from now on.

        Raises
        ------
        ValueError
            If these are not its labels.
        """
        self._record(value, labels)

    def _record(self, value: float, labels: Mapping[str, str]) -> None:
        if set(labels) != set(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {tuple(labels)}")
        if _receiver is not None:
            _receiver(self, value, labels)


Receiver = Callable[[Metric, float, Mapping[str, str]], None]
_receiver: Receiver | None = None


def send_to(receiver: Receiver | None) -> None:
    """Let a function have what this process counts from now on, with the metric and its labels; None: nobody."""
    global _receiver
    _receiver = receiver


def count_seconds(items: Iterable[Item], metric: Metric) -> Generator[Item]:
    """The items, as they are asked for; the seconds until each is there are added to a counter at the end."""
    waited, ahead = 0.0, iter(items)
    try:
        while True:
            began = time.perf_counter()
            try:
                item = next(ahead)
            except StopIteration:
                return
            finally:
                waited += time.perf_counter() - began
            yield item
    finally:
        if isinstance(ahead, Generator):
            ahead.close()
        metric.add(waited)


#: Of jobs: Ray's metrics have them.
DECODED_TRACKS = Metric("tonearm_tracks_decoded_total", "counter", "Tracks that extractions have decoded or set aside")
DECODED_SECONDS = Metric("tonearm_audio_decoded_seconds_total", "counter", "Seconds of audio that were decoded")
EXTRACTION_SECONDS = Metric(
    "tonearm_extraction_cpu_seconds_total", "counter", "Seconds of a core that extractions took", ("step",)
)
REJECTS = Metric("tonearm_rejects_total", "counter", "Tracks that were set aside, by reason", ("reason",))
EXTRACTION_RATE = Metric(
    "tonearm_tracks_per_second", "gauge", "Tracks a second that a running extraction has decoded since its first"
)
WAITING_TRACKS = Metric("tonearm_tracks_waiting", "gauge", "Tracks that a running extraction has yet to decode")
EPOCHS = Metric("tonearm_epochs_total", "counter", "Epochs that were finished, of whatever trials")
EPOCH_SECONDS = Metric("tonearm_epoch_seconds_total", "counter", "Seconds that these epochs took")
DATA_SECONDS = Metric(
    "tonearm_data_wait_seconds_total", "counter", "Seconds in which a network had to wait for its next batch"
)
TRIALS = Metric("tonearm_trials", "gauge", "Trials of running sweeps by state, as the sweep sees them", ("state",))
JOB_METRICS = (
    DECODED_TRACKS, DECODED_SECONDS, EXTRACTION_SECONDS, REJECTS, WAITING_TRACKS, EXTRACTION_RATE, EPOCHS,
    EPOCH_SECONDS, DATA_SECONDS, TRIALS,
)  # fmt: skip

_OWN = "of this ingress alone: several answer in turn, the label ingress says which; sum over it"


def _served(name: str, kind: Kind, help: str, *labels: str) -> Metric:
    return Metric(name, kind, f"{help}, {_OWN}", ("ingress", *labels))


#: Of the server: its ``/metrics`` has them.
REQUESTS = _served(
    "tonearm_requests_total", "counter", "Requests by route and status (499: the client had gone)", "route", "status"
)
REQUEST_SECONDS = _served(
    "tonearm_request_seconds", "histogram", "From a request to the end of its answer", "route"
)  # fmt: skip
WAITING_REQUESTS = _served("tonearm_waiting", "gauge", "Requests that wait for the model or are heard by it")
HELD_BYTES = _served("tonearm_held_bytes", "gauge", "Of uploads that are read or answered")
LISTEN_SECONDS = _served("tonearm_listen_seconds", "gauge", "That the model takes for an answer")
CACHE_HITS = _served("tonearm_cache_hits_total", "counter", "Answers that were remembered or being made")
CACHE_MISSES = _served("tonearm_cache_misses_total", "counter", "Answers that had to be made")
RESENDS = _served(
    "tonearm_resends_total", "counter", "Requests sent again since the process that heard had died"
)  # fmt: skip
MODELS = _served(
    "tonearm_model_info", "gauge", "1 of each version that answers", "model", "version", "bundle", "role"
)  # fmt: skip
ASSIGNED = _served(
    "tonearm_assigned_total", "counter", "Requests by the arm of who asked, and the version that was to answer", "arm",
    "version",
)  # fmt: skip
FEEDBACK = _served("tonearm_feedback_total", "counter", "Events that were kept", "kind", "arm")
REFUSED_FEEDBACK = _served("tonearm_feedback_refused_total", "counter", "Events that were not", "why")
FEEDBACK_COMMITS = _served("tonearm_feedback_commits_total", "counter", "Transactions that kept events")
WAITING_FEEDBACK = _served("tonearm_feedback_waiting", "gauge", "Events that wait for the disk")
SERVER_METRICS = (
    REQUESTS, REQUEST_SECONDS, WAITING_REQUESTS, HELD_BYTES, LISTEN_SECONDS, CACHE_HITS, CACHE_MISSES, RESENDS, MODELS,
    ASSIGNED, FEEDBACK, REFUSED_FEEDBACK, FEEDBACK_COMMITS, WAITING_FEEDBACK,
)  # fmt: skip
