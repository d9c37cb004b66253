"""What a home's jobs and its server do now, on one screen, without Prometheus and Grafana."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tonearm.core import metrics
from tonearm.core.text import command, format_size, format_table
from tonearm.workflows.activity import Activity, list_activity
from tonearm.workflows.home_tables import format_tables
from tonearm.workflows.metrics_targets import local_targets
from tonearm.workflows.read_metrics import Exported, ServerReader, cluster_addresses, rates, read_nodes

ROUTES_SHOWN = 8
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Look:
    """What was seen at a time.

    Attributes
    ----------
    jobs
        Figures of extractions and trainings, of whatever nodes.
    server, before
        Those of the server on this machine, and an earlier reading of them.
    """

    activity: Activity
    jobs: Exported
    server: Exported
    before: Exported

    @property
    def empty(self) -> bool:
        return self.activity.empty and not self.jobs.values and not self.server.values

    def __str__(self) -> str:
        if self.empty:
            return f"nothing runs on {self.activity.home} now: {command('ls')} shows what there is"
        tables = [f"{title}\n{format_table(rows)}" for title, rows in (*self._of_jobs(), *self._of_server())]
        running = [format_tables(self.activity)] if not self.activity.empty else []
        return "\n\n".join([f"home {self.activity.home}", *running, *tables])

    def _of_jobs(self) -> Iterator[tuple[str, Rows]]:
        jobs = self.jobs
        if jobs.knows(metrics.DECODED_TRACKS, metrics.WAITING_TRACKS):
            reasons = jobs.sums(metrics.REJECTS, "reason")
            aside = ", ".join(f"{reason} {n:.0f}" for (reason,), n in sorted(reasons.items(), key=lambda r: -r[1]))
            yield "extraction", [
                ("decoded", "waiting", "tracks/s", "set aside"),
                (f"{jobs.total(metrics.DECODED_TRACKS):.0f}", f"{jobs.total(metrics.WAITING_TRACKS):.0f}",
                 _figure(jobs.total(metrics.EXTRACTION_RATE)), aside or "0"),
            ]  # fmt: skip
        if jobs.knows(metrics.TRIALS):
            states = dict(sorted(jobs.sums(metrics.TRIALS, "state").items()))
            yield "trials", [tuple(state for (state,) in states), tuple(f"{n:.0f}" for n in states.values())]
        epochs, seconds = jobs.total(metrics.EPOCHS), jobs.total(metrics.EPOCH_SECONDS)
        if epochs:
            waited = jobs.total(metrics.DATA_SECONDS) / seconds if seconds else 0.0
            yield (
                "training",
                [
                    ("epochs", "seconds each", "of it waiting for data"),
                    (f"{epochs:.0f}", _figure(seconds / epochs), f"{waited:.0%}"),
                ],
            )

    def _of_server(self) -> Iterator[tuple[str, Rows]]:
        server, before = self.server, self.before
        if not server.values:
            return
        hits, made = server.total(metrics.CACHE_HITS), server.total(metrics.CACHE_MISSES)
        ingresses = max(1, len(server.sums(metrics.LISTEN_SECONDS, "ingress")))
        yield "server", [
            ("waiting", "uploads held", "the model takes", "remembered", "sent again"),
            (f"{server.total(metrics.WAITING_REQUESTS):.0f}", format_size(int(server.total(metrics.HELD_BYTES))),
             f"{_figure(server.total(metrics.LISTEN_SECONDS) / ingresses)} s",
             f"{hits / (hits + made):.0%}" if hits + made else "", f"{server.total(metrics.RESENDS):.0f}"),
        ]  # fmt: skip
        versions = server.sums(metrics.MODELS, "model", "version", "role")
        if versions:
            yield "versions", [("model", "version", "role"), *sorted(versions)]
        codes = server.sums(metrics.REQUESTS, "route", "status")
        seconds = server.sums(f"{metrics.REQUEST_SECONDS.name}_sum", "route")
        speeds = rates(before, server, lambda f: f.sums(metrics.REQUESTS, "route"))
        answers = server.sums(metrics.REQUESTS, "route")
        busiest = sorted(answers, key=lambda route: -answers[route])[:ROUTES_SHOWN]
        yield "answers", [
            ("route", "a second", "answers", "mean seconds", "by code"),
            *((at[0], _figure(speeds.get(at, 0.0)), f"{answers[at]:.0f}",
               _figure(seconds.get(at, 0.0) / answers[at]) if answers[at] else "",
               ", ".join(f"{code} {n:.0f}" for (route, code), n in sorted(codes.items()) if (route,) == at))
              for at in busiest),
        ]  # fmt: skip


class Top:
    """Looks again and again.

    Parameters
    ----------
    dashboard
        The URL of a cluster's dashboard; "": the private Rays of this machine that work on the home.
    port, mlflow_port
        Where the server and MLflow's pages would be, on this machine.
    """

    def __init__(self, dashboard: str, port: int, mlflow_port: int) -> None:
        self._dashboard, self._ports = dashboard, (port, mlflow_port)
        self._server = ServerReader(f"http://127.0.0.1:{port}")
        self._before = Exported()

    def look(self) -> Look:
        """What is to be seen now; answers a second are since the last look.

        Raises
        ------
        JobError
            If the cluster's dashboard does not answer.
        TrackingError
            If MLflow is a server that cannot be reached.
        """
        nodes = cluster_addresses(self._dashboard) if self._dashboard else local_targets()
        activity = list_activity(*self._ports)
        found = Look(activity, read_nodes(nodes), self._server.read(), self._before)
        self._before = found.server
        return found

    def look_once(self, seconds: float = 1.0) -> Look:
        """A single look, with the answers a second of so many seconds, where there is a server."""
        found = self.look()
        if not found.server.values:
            return found
        time.sleep(seconds)
        return self.look()


def fit(text: str, columns: int, lines: int) -> str:
    """What of a text fits on a screen: long lines are cut, and so is what is below."""
    rows = [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in text.splitlines()]
    return "\n".join(rows if len(rows) <= lines else [*rows[: lines - 1], "…"])


def _figure(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
