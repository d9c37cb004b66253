"""A trial's writer that never waits for the tracking server and never fails by it: what cannot be sent is kept."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tonearm.tracking.log import MAX_METRICS, MAX_TAGS, LogEntry, RunWriter, numeric_values
from tonearm.tracking.retry import (
    MIN_RETRY_DELAY,
    backoff_delays,
    disable_client_retries,
    error_summary,
    is_unavailable,
)
from tonearm.tracking.system import PEAK_MEMORY, SystemMetrics

Result = TypeVar("Result")


class _ClosedError(Exception):
    """The time for sending the rest is over."""


class BufferedRun:
    """Writes one run that is worked on, from a thread of its own: opens it, sends what is queued, samples the machine.

    While the server is away (see :func:`tonearm.tracking.retry.is_unavailable`) everything stays queued, in order and
    with the time at which it was handed over. What the server refuses is dropped with a line on stderr. The thread
    dies with the process; what was not sent then is in the trial's folder, and the driver completes the run.

    Parameters
    ----------
    experiment, name, parent, params, tags
        As of :meth:`tonearm.tracking.log.RunWriter.open`.
    system_seconds
        Between two samples of the machine's load, which appear as MLflow's system metrics.
    open_run
        What opens it, given the first five of these.
    """

    def __init__(
        self,
        experiment: str,
        name: str,
        parent: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        system_seconds: float = 10.0,
        open_run: Callable[..., RunWriter] = RunWriter.open,
    ) -> None:
        # Here and not in the thread: two threads that import what depends on each other may see half a module.
        import mlflow  # noqa: F401

        disable_client_retries()
        self._opening, self._open = (experiment, name, parent, dict(params or {}), dict(tags or {})), open_run
        self._system_seconds = system_seconds
        self._queue: deque[LogEntry] = deque()
        self._changed = threading.Condition()
        self._deadline: float | None = None  # of the time.monotonic() clock, once it is to end
        self._refused = 0
        self._reported: set[str] = set()
        self._system: SystemMetrics | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracking of {name}", daemon=True)
        self._thread.start()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Queue figures of a step (an epoch), with the time of this call; what is no number is left out."""
        self._put(LogEntry(metrics=numeric_values(values), step=step))

    def tag(self, key: str, value: str) -> None:
        """Queue a tag."""
        self._put(LogEntry(tags={key: value}))

    def close(self, wait_seconds: float = 5.0) -> int:
        """End the thread, which tries for so long to send what is left. The run stays open: the driver ends it.

        Returns
        -------
        How many calls' metrics or tags did not reach the server.
        """
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + wait_seconds
            self._changed.notify()
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        with self._changed:
            return len(self._queue) + self._refused

    def _put(self, entry: LogEntry) -> None:
        with self._changed:
            self._queue.append(entry)
            self._changed.notify()

    def _work(self) -> None:
        try:
            writer = self._retry(self._open, *self._opening)
            self._retry(writer.resume)
            steps = self._retry(writer.steps, PEAK_MEMORY)
            self._system = SystemMetrics(self._system_seconds, max(steps, default=-1) + 1)
            while not self._is_closing():
                self._wait_for_work()
                self._sample()
                self._send_all(writer)
            self._sample(now=True)  # so that a short run has one too
            self._send_all(writer)
        except _ClosedError:
            pass
        except Exception as error:  # the run cannot be opened: the figures stay in the trial's folder
            self._report_once(f"run {self._opening[1]!r} is not tracked", error)

    def _retry(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call until the server answers; a refusal is raised, and :class:`_ClosedError` when time is over."""
        delays = backoff_delays()
        while True:
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise _ClosedError
            try:
                return function(*args)
            except Exception as error:
                if not is_unavailable(error):
                    raise
            self._wait_before_retry(next(delays))
            self._sample()

    def _send_all(self, writer: RunWriter) -> None:
        while batch := self._batch():
            try:
                self._retry(writer.log, batch)
                self._sent(len(batch))
            except _ClosedError:
                raise
            except Exception:  # one of them is at fault: find it
                for entry in batch:
                    self._send_one(writer, entry)

    def _send_one(self, writer: RunWriter, entry: LogEntry) -> None:
        try:
            self._retry(writer.log, [entry])
        except _ClosedError:
            raise
        except Exception as error:
            self._refused += 1
            what = f"the tags {sorted(entry.tags)}" if entry.tags else f"metrics of step {entry.step}"
            self._report_once(f"run {self._opening[1]!r}: MLflow refused {what}, which are left out", error)
        self._sent(1)

    def _batch(self) -> list[LogEntry]:
        """The first entries that fit into one request of each kind; at least one if there is one."""
        batch: list[LogEntry] = []
        metrics = tags = 0
        with self._changed:
            for entry in self._queue:
                metrics, tags = metrics + len(entry.metrics), tags + len(entry.tags)
                if batch and (metrics > MAX_METRICS or tags > MAX_TAGS):
                    break
                batch.append(entry)
        return batch

    def _sent(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._queue.popleft()

    def _sample(self, now: bool = False) -> None:
        if self._system is not None and (now or self._system.seconds_left() == 0):
            step = self._system.step
            self._put(LogEntry(metrics=self._system.sample(), step=step))

    def _is_closing(self) -> bool:
        with self._changed:
            return self._deadline is not None

    def _wait_for_work(self) -> None:
        left = self._system.seconds_left() if self._system is not None else None
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._deadline is not None, left)

    def _wait_before_retry(self, seconds: float) -> None:
        """Wait before a new attempt; closing ends the wait."""
        if self._is_closing():
            time.sleep(MIN_RETRY_DELAY)
        else:
            with self._changed:
                self._changed.wait_for(lambda: self._deadline is not None, seconds)

    def _report_once(self, what: str, error: Exception) -> None:
        reason = error_summary(error)
        if reason not in self._reported:  # what is refused each epoch is reported once
            print(f"{what}: {reason}", file=sys.stderr, flush=True)
        self._reported.add(reason)
