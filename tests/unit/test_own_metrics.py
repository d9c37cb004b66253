"""What Tonearm counts about itself: who counts it, and who is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.builders import tiny_config, toy_batches
from tests.servers import wait_until
from tests.unit.test_rungs import Sweep, space
from tonearm.core import metrics
from tonearm.core.metrics import DATA_SECONDS, EPOCH_SECONDS, EPOCHS, REJECTS, TRIALS, WAITING_TRACKS, Metric
from tonearm.core.process_identity import process_identity
from tonearm.pipelines.decoding import count_track
from tonearm.sweeps import Asha
from tonearm.tracking import ray_metrics
from tonearm.training.bundle import build_network
from tonearm.training.fit import fit
from tonearm.workflows.metrics_targets import HOST, file_name, local_targets

Told = Counter[tuple[str, ...]]


@pytest.fixture
def told() -> Iterator[Told]:
    """What is counted, by name and values of the labels."""
    found: Told = Counter()

    def receive(metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        found[metric.name, *labels.values()] += value  # type: ignore[assignment]

    metrics.send_to(receive)
    yield found
    metrics.send_to(None)


def test_names_are_prometheus_own() -> None:
    every = (*metrics.JOB_METRICS, *metrics.SERVER_METRICS)
    named = {m for m in vars(metrics).values() if isinstance(m, Metric)}
    assert named == set(every) and len({m.name for m in every}) == len(every)
    for metric in every:
        assert metric.name.startswith("tonearm_") and not metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_who_is_told_and_what_is_refused(told: Told) -> None:
    REJECTS.add(2, reason="silent")
    REJECTS.add(0, reason="silent")
    WAITING_TRACKS.set(5)
    assert told == {(REJECTS.name, "silent"): 2, (WAITING_TRACKS.name,): 5}
    for wrong in ({}, {"reason": "silent", "of": "whom"}):
        with pytest.raises(ValueError, match="has the labels"):
            REJECTS.add(**wrong)
    with pytest.raises(ValueError, match="only grows"):
        EPOCHS.add(-1)
    metrics.send_to(None)
    EPOCHS.add()
    assert (EPOCHS.name,) not in told


def test_a_wait_is_counted_and_what_is_counted_is_closed(told: Told) -> None:
    closed = []

    def slow() -> Iterator[int]:
        try:
            for i in range(3):
                time.sleep(0.01)
                yield i
        finally:
            closed.append(True)

    assert list(metrics.count_seconds(slow(), DATA_SECONDS)) == [0, 1, 2]
    assert told[DATA_SECONDS.name,] >= 0.03
    broken_off = metrics.count_seconds(slow(), DATA_SECONDS)
    next(broken_off)
    broken_off.close()
    assert len(closed) == 2


def test_a_training_counts_its_epochs_and_waits(told: Told, tmp_path: Path) -> None:
    config = tiny_config({"optim.epochs": 2})
    batches = toy_batches(tmp_path, config)
    reports = list(fit(build_network(config, len(batches.classes)), config.task, batches, config.optim))
    assert told[EPOCHS.name,] == len(reports) == 2
    assert told[EPOCH_SECONDS.name,] == pytest.approx(sum(r.metrics["epoch_seconds"] for r in reports))
    assert 0 < told[DATA_SECONDS.name,] < told[EPOCH_SECONDS.name,]


def test_a_track_is_counted_with_its_reason(told: Told) -> None:
    row = {"audio": 30.0, "decode": 0.5, "compute": 0.25}
    count_track({**row, "reason": ""})
    count_track({**row, "audio": 0.0, "reason": "silent"})
    assert told == {
        ("tonearm_tracks_decoded_total",): 2, ("tonearm_audio_decoded_seconds_total",): 30,
        ("tonearm_extraction_cpu_seconds_total", "decode"): 1, (REJECTS.name, "silent"): 1,
        ("tonearm_extraction_cpu_seconds_total", "compute"): 0.5,
    }  # fmt: skip


def test_states_of_trials_add_up(tmp_path: Path) -> None:
    sweep = Sweep(space(Asha(), 6), tmp_path)
    midway, ended = sweep.run(kill_after=4).states(), sweep.run().states()
    assert 0 < midway["running"] <= sweep.workers and sum(midway.values()) <= 6
    assert (ended["running"], ended["waiting"], ended["failed"]) == (0, 0, 0)
    assert ended["completed"] >= 1 and ended["completed"] + ended["stopped"] == 6
    assert set(midway) == set(ended) and TRIALS.labels == ("state",)


def test_rays_of_killed_jobs_are_forgotten(tonearm_home: Path) -> None:
    folder = tonearm_home / "metrics"
    folder.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own, here = process_identity(os.getpid()), os.getpid()
    names = [file_name(*process) for process in ((here, own), (dead.pid, own), (here, f"{own}0"))]
    others = file_name(dead.pid, own).replace(HOST, f"@another-{HOST[1:]}")
    names.append(others)
    for port, name in enumerate(names, 1):
        group = {"targets": [f"127.0.0.1:{port}"], "labels": {"job": "ray"}}
        (folder / name).write_text(json.dumps([group]))
    assert local_targets() == ["127.0.0.1:1"]
    assert {p.name for p in folder.iterdir()} == {names[0], others}, "another machine's is left alone"


def test_a_gauge_that_stays_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[float] = []
    gauge = SimpleNamespace(set=lambda value, labels: said.append(value))
    joined = True
    monkeypatch.setattr(ray_metrics, "SECONDS", 0.01)
    monkeypatch.setattr(ray_metrics, "_in_ray", lambda: joined)
    thread = ray_metrics._Gauges()
    thread.start()
    thread.say(gauge, TRIALS, 2.0, {"state": "running"})
    wait_until(lambda: len(said) > 3, "it is said again")
    thread.say(gauge, TRIALS, 1.0, {"state": "running"})
    wait_until(lambda: said[-3:] == [1.0] * 3, "the last value alone is")
    joined = False
    wait_until(lambda: not thread._last, "Ray was left")
    thread._end()
    assert set(said) == {2.0, 1.0} and not thread.is_alive()
