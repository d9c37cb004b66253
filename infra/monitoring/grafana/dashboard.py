"""The dashboard, as code: ``python infra/monitoring/grafana/dashboard.py`` writes ``dashboards/tonearm.json`` anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "dashboards" / "tonearm.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, WIDTH, HEIGHT = 3, 8, 7  # Grafana's grid has 24 columns


@dataclass(frozen=True)
class Panel:
    """A plot: its title, the unit as Grafana calls it, and what is asked, with the legend of each."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


ROWS: dict[str, tuple[Panel, ...]] = {
    "Extraction": (
        Panel("Tracks decoded", "cps", (("sum(rate(tonearm_tracks_decoded_total[2m]))", "tracks/s"),)),
        Panel("Tracks that wait", "short", (("sum(tonearm_tracks_waiting)", "tracks"),)),
        Panel("Set aside, by reason", "short", (("sum by (reason) (tonearm_rejects_total)", "{{reason}}"),)),
        Panel("Audio decoded a second", "s", (("sum(rate(tonearm_audio_decoded_seconds_total[2m]))", "real time"),)),
        Panel("Cores that extract", "short", (
            ("sum by (step) (rate(tonearm_extraction_cpu_seconds_total[2m]))", "{{step}}"),
        )),
    ),
    "Training": (
        Panel("Trials", "short", (("sum by (state) (tonearm_trials)", "{{state}}"),)),
        Panel("Epochs", "short", (("sum(tonearm_epochs_total)", "finished"),)),
        Panel("An epoch takes", "s", (
            ("sum(rate(tonearm_epoch_seconds_total[10m])) / sum(rate(tonearm_epochs_total[10m]))", "seconds"),
        )),
        Panel("Share of the time that is waited for data", "percentunit", (
            ("sum(tonearm_data_wait_seconds_total) / sum(tonearm_epoch_seconds_total)", "waited"),
        )),
    ),
    "Server": (
        Panel("Answers, by route", "reqps", (("sum by (route) (rate(tonearm_requests_total[2m]))", "{{route}}"),)),
        Panel("Answers, by code", "reqps", (("sum by (status) (rate(tonearm_requests_total[2m]))", "{{status}}"),)),
        Panel("95 % are answered within", "s", (
            ("histogram_quantile(0.95, sum by (le, route) (rate(tonearm_request_seconds_bucket[5m])))", "{{route}}"),
        )),
        Panel("Wait for the model", "short", (("sum(last_over_time(tonearm_waiting[1m]))", "requests"),)),
        Panel("Uploads held", "bytes", (("sum(last_over_time(tonearm_held_bytes[1m]))", "bytes"),)),
        Panel("The model takes", "s", (("max(last_over_time(tonearm_listen_seconds[1m]))", "an answer"),)),
        Panel("Answers that were remembered", "percentunit", (
            ("sum(last_over_time(tonearm_cache_hits_total[1m])) / (sum(last_over_time(tonearm_cache_hits_total[1m])) + "
             "sum(last_over_time(tonearm_cache_misses_total[1m])))", "share"),
        )),
        Panel("Sent again", "short", (("sum(last_over_time(tonearm_resends_total[1m]))", "requests"),)),
        Panel("Feedback, by kind and arm", "short", (
            ("sum by (kind, arm) (last_over_time(tonearm_feedback_total[1m]))", "{{kind}} {{arm}}"),
        )),
        Panel("Versions", "short", (
            ("count by (model, version, role) (last_over_time(tonearm_model_info[1m]))",
             "{{model}} {{version}} {{role}}"),
        ), "stat"),
    ),
    "Nodes": (
        Panel("Cores in use", "percent", (("ray_node_cpu_utilization", "{{instance}}"),)),
        Panel("Memory in use", "bytes", (("ray_node_mem_used", "{{instance}}"),)),
        Panel("Object store in use", "bytes", (("sum by (instance) (ray_object_store_used_memory)", "{{instance}}"),)),
        Panel("Disk left", "bytes", (("ray_node_disk_free", "{{instance}}"),)),
        Panel("Actors, by state", "short", (("sum by (State) (ray_actors)", "{{State}}"),)),
        Panel("Scraped", "short", (("up", "{{job}} {{instance}}"),), "stat"),
    ),
}  # fmt: skip


def queries() -> list[str]:
    """All that the dashboard asks Prometheus."""
    return [expression for panels in ROWS.values() for panel in panels for expression, _ in panel.queries]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana's JSON."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, of_row in ROWS.items():
        place = {"h": 1, "w": 24, "x": 0, "y": y}
        panels.append({"type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []})
        y += 1
        for i, panel in enumerate(of_row):
            at = {"h": HEIGHT, "w": WIDTH, "x": WIDTH * (i % COLUMNS), "y": y + HEIGHT * (i // COLUMNS)}
            asked = [
                {"datasource": SOURCE, "expr": expression, "legendFormat": legend, "refId": chr(ord("A") + n)}
                for n, (expression, legend) in enumerate(panel.queries)
            ]
            panels.append({
                "type": panel.kind, "title": panel.title, "datasource": SOURCE, "gridPos": at, "targets": asked,
                "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
            })  # fmt: skip
        y += HEIGHT * -(-len(of_row) // COLUMNS)
    numbered = [{"id": n, **panel} for n, panel in enumerate(panels, 1)]
    return {
        "uid": "tonearm", "title": "Tonearm", "tags": ["tonearm"], "schemaVersion": 39, "editable": False,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "panels": numbered,
    }  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n")
