"""What a process counts, given to Ray's metrics: each node exports those of its processes, for Prometheus."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tonearm.core.metrics import Metric, send_to

PREFIX = "ray_"  # that Ray puts before every name
SECONDS = 1.0  # between two times that gauges are said; the shortest interval in which Ray exports


def export_metrics() -> None:
    """Give Ray what this process counts from now on. Called once it has joined a Ray; a second call is no harm."""
    send_to(_record)


class _Gauges(threading.Thread):
    """Says the last value of each gauge again and again: Ray forgets one that was not said for two of its intervals,
    and most of ours stay as they are for minutes, those of a stalled job above all."""

    def __init__(self) -> None:
        super().__init__(name="gauges", daemon=True)
        self._last: dict[tuple[str, tuple[str, ...]], tuple[Any, float, dict[str, str]]] = {}
        self._ended = threading.Event()
        atexit.register(self._end)

    def say(self, instrument: Any, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """From now on, as long as this process is part of a Ray."""
        self._last[metric.name, tuple(labels.values())] = instrument, value, labels
        instrument.set(value, labels)

    def run(self) -> None:
        while not self._ended.wait(SECONDS):
            if not _in_ray():
                self._last.clear()  # the next Ray must not hear of them
            for instrument, value, labels in list(self._last.values()):
                instrument.set(value, labels)

    def _end(self) -> None:
        """Before Ray's library is taken down, into which the thread calls."""
        self._ended.set()
        self.join()


_instruments: dict[str, Any] = {}
_gauges: list[_Gauges] = []


def _record(metric: Metric, value: float, labels: Mapping[str, str]) -> None:
    if not _in_ray():  # it was left meanwhile
        return
    if metric.name not in _instruments:
        from ray.util import metrics

        kind = {"counter": metrics.Counter, "gauge": metrics.Gauge}[metric.kind]
        _instruments[metric.name] = kind(metric.name, metric.help, metric.labels)
    instrument = _instruments[metric.name]
    if metric.kind == "counter":
        instrument.inc(value, dict(labels))
        return
    if not _gauges:
        _gauges.append(_Gauges())
        _gauges[0].start()
    _gauges[0].say(instrument, metric, value, dict(labels))


def _in_ray() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
