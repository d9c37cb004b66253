"""The load of the machine while a run is made, under the names by which MLflow's pages show it."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

PREFIX = "system/"  # MLflow's: its page "System metrics" shows what begins so
PEAK_MEMORY = f"{PREFIX}process_peak_memory_megabytes"
MONITORS = ("cpu_monitor.CPUMonitor", "disk_monitor.DiskMonitor", "network_monitor.NetworkMonitor",
            "gpu_monitor.GPUMonitor")  # fmt: skip


class SystemMetrics:
    """Samples MLflow's own monitors and this process's peak memory.

    Parameters
    ----------
    seconds
        Between two samples.
    step
        Of the first sample: a run that goes on counts on.
    """

    def __init__(self, seconds: float, step: int = 0) -> None:
        self.step = step
        self._seconds = seconds
        self._monitors = [m for m in map(_monitor, MONITORS) if m is not None]
        self._next = time.monotonic() + seconds

    def seconds_left(self) -> float:
        """Until the next sample is due; 0 if it is."""
        return max(0.0, self._next - time.monotonic())

    def sample(self) -> dict[str, float]:
        """The load since the last sample: megabytes, percent, watts, as the names say."""
        self._next = time.monotonic() + self._seconds
        self.step += 1
        found = {PEAK_MEMORY: _peak_memory()}
        for monitor in list(self._monitors):
            try:
                monitor.collect_metrics()
                found |= {f"{PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            except Exception as error:  # a GPU that fell off its bus must not end the tracking of a run
                self._monitors.remove(monitor)
                print(f"{type(monitor).__name__} is not sampled any more: {error}", file=sys.stderr, flush=True)
        return found


def _monitor(name: str) -> Any | None:
    """One of MLflow's monitors, after a first look, since load is counted between two; None where it cannot work."""
    module, kind = name.split(".")
    try:
        monitor = getattr(importlib.import_module(f"mlflow.system_metrics.metrics.{module}"), kind)()
        monitor.collect_metrics()
    except Exception:  # no psutil, no GPU or no library for it, a container that hides its counters
        return None
    monitor.clear_metrics()
    return monitor


def _peak_memory() -> float:
    """Megabytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
