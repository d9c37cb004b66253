"""Each alert fires where it should and is quiet where it should be, as Prometheus's own program for tests sees it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.files import ROOT
from tests.servers import needs
from tonearm.core.metrics import JOB_METRICS, SERVER_METRICS

pytestmark = pytest.mark.integration

MONITORING = ROOT / "infra" / "monitoring"
RULES = [r for g in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for r in g["rules"]]
NAMES = {rule["alert"] for rule in RULES}
LATER = 90  # minutes after which is looked, unless a case says otherwise


@dataclass(frozen=True)
class Case:
    """What is scraped each minute (in Prometheus's notation: 0+5x90 begins at 0 and grows by 5, 90 times), and the
    summary of the alert that this comes to; "" if it stays quiet."""

    alert: str
    summary: str
    series: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    minutes: int = LATER


DECODED, REJECTS, WAITING = "tonearm_tracks_decoded_total", "tonearm_rejects_total", "tonearm_tracks_waiting"
EPOCHS, TRIALS, REQUESTS = "tonearm_epochs_total", "tonearm_trials", "tonearm_requests_total"
WAITS, SECONDS, QUEUE = "tonearm_data_wait_seconds_total", "tonearm_epoch_seconds_total", "tonearm_waiting"
SLOW = 'tonearm_request_seconds_bucket{route="/v1/classify",le="%s"}'
UP, NODE = 'up{job="%s",instance="a:1"}', '%s{instance="a:1"}'
DAY = 24 * 60

CASES = [
    Case("ExtractionStalled", "40 tracks wait, and none was decoded for 10 minutes",
         {WAITING: "40x120", DECODED: "0+9x30 270x90"}),
    Case("ExtractionStalled", "", {WAITING: "40x120", DECODED: "0+1x120"}),  # slow, but it goes on
    Case("ExtractionStalled", "", {WAITING: "0x120", DECODED: "50x120"}),  # ended
    Case("ManyRejects", "20% of the tracks are set aside",
         {DECODED: "0+100x120", REJECTS + '{reason="silent"}': "0+20x120"}),
    Case("ManyRejects", "", {DECODED: "0+100x120", REJECTS + '{reason="silent"}': "0+5x120"}),
    Case("ManyRejects", "", {DECODED: "0+1x120", REJECTS + '{reason="silent"}': "0+1x120"}, minutes=30),  # few so far
    Case("TrialsFail", "50% of the trials that ended have failed",
         {TRIALS + '{state="failed"}': "3x120", TRIALS + '{state="completed"}': "3x120"}),
    Case("TrialsFail", "", {TRIALS + '{state="failed"}': "1x120", TRIALS + '{state="stopped"}': "9x120"}),
    Case("SweepStalled", "2 trials run, and none has finished an epoch for 30 minutes",
         {TRIALS + '{state="running"}': "2x120", EPOCHS: "0+1x20 20x100"}, minutes=85),
    Case("SweepStalled", "", {TRIALS + '{state="running"}': "2x120", EPOCHS: "0x20 1x20 2x20 3x20 4x20 5x20"}),
    Case("TrainingWaitsForData", "trainings spend 75% of their time waiting for batches",
         {WAITS: "0+45x120", SECONDS: "0+60x120"}),
    Case("TrainingWaitsForData", "", {WAITS: "0+6x120", SECONDS: "0+60x120"}),
    Case("ServerDown", "a:1 does not answer", {UP % "serve": "1x10 0x120"}, {"job": "serve", "instance": "a:1"}),
    Case("ServerDown", "", {UP % "serve": "1x88 0x1 1x20"}),  # a restart
    Case("ServerErrors", "10% of the answers are errors of ours",
         {REQUESTS + '{status="200"}': "0+90x120", REQUESTS + '{status="503"}': "0+10x120"}),
    Case("ServerErrors", "", {REQUESTS + '{status="200"}': "0+90x120", REQUESTS + '{status="415"}': "0+90x120"}),
    Case("ServerSlow", "1 of 20 classifications takes over 9.5s",
         {SLOW % "5": "0+50x120", SLOW % "10": "0+100x120", SLOW % "+Inf": "0+100x120"}),
    Case("ServerSlow", "", {SLOW % "5": "0+100x120", SLOW % "10": "0+100x120", SLOW % "+Inf": "0+100x120"}),
    Case("ListenerQueueLong", "24 requests wait for the model",
         {QUEUE + '{ingress="a"}': "12x120", QUEUE + '{ingress="b"}': "12x120"}),
    Case("ListenerQueueLong", "", {QUEUE + '{ingress="a"}': "0x85 100x2 0x30"}),  # a burst
    Case("ListenersDie", "10 requests were sent again in 10 minutes, since the process that heard them had died",
         {"tonearm_resends_total": "0+1x120"}),
    Case("ListenersDie", "", {"tonearm_resends_total": "0x40 3x80"}),
    Case("FeedbackRefused", "10 events of feedback could not be kept in 10 minutes",
         {'tonearm_feedback_refused_total{why="full"}': "0+1x120"}),
    Case("FeedbackRefused", "", {'tonearm_feedback_refused_total{why="other_event"}': "0+1x120"}),
    Case("TwoVersionsForLong", "a canary has answered for a day and is neither promoted nor rolled back",
         {'tonearm_model_info{role="current",version="1"}': f"1x{2 * DAY}",
          'tonearm_model_info{role="canary",version="2"}': f"1x{2 * DAY}"}, minutes=DAY + 10),
    Case("TwoVersionsForLong", "", {'tonearm_model_info{role="canary",version="2"}': f"1x600 _x{DAY}"},
         minutes=DAY + 10),
    Case("NodeNotScraped", "a:1 exports no figures: the node is gone or cut off", {UP % "ray": "1x9 0x120"},
         {"job": "ray", "instance": "a:1"}),
    Case("NodeNotScraped", "", {UP % "ray": "1x120", UP % "serve": "0x120"}),
    Case("DiskNearlyFull", "a:1 has 5% of its disk left",
         {NODE % "ray_node_disk_free": "5x120", NODE % "ray_node_disk_usage": "95x120"}, {"instance": "a:1"}),
    Case("DiskNearlyFull", "", {NODE % "ray_node_disk_free": "50x120", NODE % "ray_node_disk_usage": "50x120"}),
    Case("MemoryNearlyFull", "a:1 has 2% of its memory left; Ray kills what it finds",
         {NODE % "ray_node_mem_available": "2x120", NODE % "ray_node_mem_total": "100x120"}, {"instance": "a:1"}),
    Case("MemoryNearlyFull", "", {NODE % "ray_node_mem_available": "20x120", NODE % "ray_node_mem_total": "100x120"}),
]  # fmt: skip


def test_every_alert_has_a_case_that_fires_and_one_that_is_quiet() -> None:
    assert {c.alert for c in CASES if c.summary} == {c.alert for c in CASES if not c.summary} == NAMES


def test_alerts_fire_and_are_quiet(tmp_path: Path) -> None:
    rules = {rule["alert"]: rule for rule in RULES}
    tests = []
    for case in CASES:
        rule = rules[case.alert]
        fired: dict[str, Any] = {
            "exp_labels": {**rule["labels"], **case.labels},
            "exp_annotations": {"summary": case.summary, "fix": rule["annotations"]["fix"]},
        }
        tests.append({
            "interval": "1m", "input_series": [{"series": s, "values": v} for s, v in case.series.items()],
            "alert_rule_test": [{"eval_time": f"{case.minutes}m", "alertname": case.alert,
                                 "exp_alerts": [fired] if case.summary else []}],
        })  # fmt: skip
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(MONITORING / "alerts.yml")], "tests": tests}))
    done = subprocess.run([needs("promtool"), "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_ask_for_figures_that_there_are() -> None:
    known = {metric.name for metric in (*JOB_METRICS, *SERVER_METRICS)}
    for rule in RULES:
        asked = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\btonearm_\w+", rule["expr"])}
        assert asked <= known, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "fix"} and rule["labels"]["severity"]
