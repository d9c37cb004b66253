"""Runs in MLflow are compared: simulated predictions of known truth, in a database of the module's own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.unit.comparison_runs import BASE, log_grid, log_sweep, log_trial, tracks, with_changes
from tests.unit.test_comparison_document import Page, cells, markdown_tables
from tonearm.comparison.compare import Comparison, Options, compare
from tonearm.comparison.document import to_markdown, write_document
from tonearm.comparison.find import find_candidates
from tonearm.comparison.report import candidates_table, report
from tonearm.core.errors import ConfigError, TrackingError, UnknownNameError
from tonearm.features import Mel
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps.results import ERROR
from tonearm.tasks import Embedding, MultiLabel, Regression
from tonearm.tasks.base import Task
from tonearm.tracking.log import RunWriter
from tonearm.tracking.pages import run_page, web_server
from tonearm.training.baselines import BaselineConfig
from tonearm.training.estimators import Logistic
from tonearm.training.evaluate import score

pytestmark = pytest.mark.usefixtures("database")

OF = tracks(60, 3)


def compared(*texts: str, **options: object) -> Comparison:
    return compare(texts, Options(**options))  # type: ignore[arg-type]


def pair(name: str, task: Task, predictions: list[np.ndarray], target: np.ndarray, classes: tuple[str, ...],
         best: tuple[float, float]) -> RunWriter:  # fmt: skip
    """A sweep of two trials of any task."""
    parent = log_sweep(name, name)
    for i, (p, value) in enumerate(zip(predictions, best, strict=True)):
        config = with_changes({"task": task, "dataset.name": name, "optim.lr": (i + 1) / 1000})
        log_trial(parent, f"{i:02d}-{config.signature()}", config, p, OF, value, classes=classes, target=target)
    return parent


@pytest.fixture(scope="module")
def planted(one_home: Path) -> str:
    """Time is better than Simple by 0.2, at both window lengths, with three seeds; one trial stopped, one failed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        parent = log_sweep("planted")
        configs = [with_changes({"model": m, "feature.n_fft": n}) for m in (TimeConfig(), SimpleConfig())
                   for n in (1024, 4096)]  # fmt: skip
        share = {"time": 0.8, "simple": 0.6}
        log_grid(parent, OF, configs, lambda c: OF.right(share[c.model.kind], c.seed + c.feature.n_fft), seeds=3)
        stopped, failed = with_changes({"optim.lr": 0.01}), with_changes({"optim.lr": 0.1})
        log_trial(parent, "98-stopped", stopped, OF.predictions(OF.right(0.9)), OF, 0.3, ending="stopped", epochs=1)
        log_trial(parent, "99-failed", failed, None, OF, ending="failed", error="Traceback\nTrainingError: <b>nan",
                  epochs=0)  # fmt: skip
        parent.metrics({"heldout/test_trivial_f1_micro": 0.31, "heldout/test_trivial_f1_macro": 0.15})
        parent.end()
    return "planted"


def test_the_better_configuration_is_found(planted: str) -> None:
    found = compared(planted, top=4)
    assert [a.candidate.name.split()[0] for a in found.predictions] == ["time"] * 2 + ["simple"] * 2
    pairs = {(c.first, c.second): c for c in found.pairs}
    assert len(pairs) == 6 and all(c.tracks == 180 and c.groups == "60 artists" for c in pairs.values())
    for time in "AB":
        for simple in "CD":
            assert pairs[time, simple].significant and pairs[time, simple].gain > 0.1
    assert not pairs["A", "B"].significant and not pairs["C", "D"].significant
    assert all(c.adjusted >= c.p and c.family == 6 for c in found.pairs)
    assert all(c.discordant is None for c in found.pairs)  # three seeds each


def test_the_table_shows_everything_that_ran(planted: str) -> None:
    found = compared(planted, top=2)
    best, other, *rest, stopped, failed = found.rows
    answers = found.predictions[0]
    wanted = score(answers.task, answers.seeds[0][0], answers.target, answers.groups)
    seeds = [answers.task.metrics(p, t)["f1_micro"] for p, t in answers.seeds]
    mean, deviation, interval = best.scores["f1_micro"]
    assert (best.label, best.seeds, best.tracks, best.parameters, best.seconds) == ("A", 3, 180, 12_000, 20.0)
    assert mean == pytest.approx(np.mean(seeds)) and deviation == pytest.approx(np.std(seeds, ddof=1))
    assert interval is not None and interval.low < mean < interval.high
    assert wanted.intervals["f1_micro"].low == pytest.approx(interval.low, abs=0.05)
    assert best.validation == pytest.approx(np.mean(seeds)) and best.calibration_error is not None
    assert other.label == "B" and [r.label for r in rest] == ["", ""]
    assert {r.status for r in rest} == {"not among the best on validation"}
    assert (stopped.status, stopped.scores, stopped.validation) == ("stopped early, not compared on test", {}, 0.3)
    assert failed.status == "failed: TrainingError: <b>nan" and math.isnan(failed.validation)
    rows = {row[1]: row for row in candidates_table(found).rows}
    assert rows["chance"][3] == "0.333" and rows["majority class"][3:5] == ["0.310", "0.150"]


def test_the_report_tells_it(planted: str, tmp_path: Path) -> None:
    found = compared(planted, by="model", within="feature.n_fft")
    document = report(found)
    assert document.summary[0].startswith("Best on validation is A (time n_fft=")
    assert any(line.startswith("time is better than simple: f1_micro +0.") for line in document.summary)
    write_document(document, str(tmp_path))
    html = (tmp_path / "comparison.html").read_text("utf-8")
    page = Page(html)
    assert page.open == [] and "TrainingError: &lt;b&gt;nan" in html and "<b>" not in html
    sources = [a[k] or "" for _, a in page.tags for k in ("src", "href") if k in a]
    assert len(sources) >= 8 and all(s.startswith("data:image/png;base64,") for s in sources)
    markdown = (tmp_path / "comparison.md").read_text("utf-8")
    for rows in markdown_tables(markdown):
        assert len({cells(row) for row in rows}) == 1, rows[0]
    for words in ("stopped early, not compared on test", "Hesterberg 2015", "Does model matter", "n_fft 4096",
                  "too few to estimate", "60 artists",
                  found.predictions[0].candidate.runs[0].summary.run_id):  # fmt: skip
        assert words in markdown
    (run,) = found.found.named
    assert run_page(run.experiment_id, run.run_id, web_server()) in markdown and "tonearm mlflow" in markdown


def test_a_factor_is_answered_overall_and_within(planted: str) -> None:
    found = compared(planted, by="model", within="feature.n_fft").factor
    assert found is not None and [c.within for c in found.contrasts] == ["", "n_fft 1024", "n_fft 4096"]
    assert all(c.significant and (c.first, c.second) == ("time", "simple") for c in found.contrasts)
    assert not found.confounders and found.contrasts[0].difference.value == pytest.approx(0.2, abs=0.06)


def test_validation_lets_the_stopped_ones_take_part(planted: str) -> None:
    found = compared(planted, split="validation", top=9)
    stopped = next(r for r in found.rows if "stopped early" in r.status)
    assert stopped.label == "E" and stopped.status == "stopped early; 1 of 3 seeds only: ranked by these"
    assert "scores are too good" in to_markdown(report(found))


def test_runs_are_compared_by_their_names(planted: str) -> None:
    config = [with_changes({"model": m, "feature.n_fft": 1024}) for m in (TimeConfig(), SimpleConfig())]
    found = compared(f"00-{config[0].signature()}", f"02-{config[1].signature()}")
    (only,) = found.pairs
    assert only.significant and only.first == "A" and only.discordant is not None and found.rows[0].seeds == 1
    assert report(found).summary[2].startswith("A is better than B: f1_micro +0.")
    assert "McNemar" in to_markdown(report(found))


def test_another_metric_decides_if_asked(planted: str) -> None:
    found = compared(planted, top=3, metric="f1_macro")
    assert found.measure.name == "f1_macro" and all(set(c.others) == {"f1_micro"} for c in found.pairs)
    with pytest.raises(UnknownNameError, match=r"unknown metric 'f1_makro'. Did you mean 'f1_macro'"):
        compared(planted, metric="f1_makro")


def test_folds_are_put_together_and_seeds_averaged() -> None:
    parent = log_sweep("folds")
    halves = [list(range(0, 180, 2)), list(range(1, 180, 2))]
    for rate, share in ((0.001, 0.8), (0.002, 0.5)):
        for seed in (0, 1, 2):
            hits = OF.right(share, seed)
            for k, keep in enumerate(halves):
                config = with_changes({"optim.lr": rate, "seed": seed, "dataset.fold": f"{k + 1}/2",
                                       "dataset.data_signature": f"d{k}"})  # fmt: skip
                above = RunWriter.open("toy", f"fold-{k}-seed-{seed}", parent.run_id)
                log_trial(above, f"net-{config.signature()}", config, OF.predictions(hits, seed), OF, share, keep=keep)
    found = compared("folds")
    assert [(r.seeds, r.folds, r.tracks) for r in found.rows] == [(3, 2, 180)] * 2
    assert found.pairs[0].significant and found.pairs[0].tracks == 180
    best = found.predictions[0]
    place = {track: i for i, track in enumerate(best.track_ids)}
    wanted = np.mean([OF.right(0.8, seed) for seed in range(3)], axis=0)
    np.testing.assert_allclose(best.scores[[place[t] for t in OF.ids]], wanted)
    assert found.rows[0].validation == pytest.approx(0.8) and found.rows[0].deviation == pytest.approx(0)


def test_tracks_that_a_seed_lacks_are_left_out_and_said() -> None:
    parent = log_sweep("lacking")
    for rate in (0.001, 0.002):
        for seed in (0, 1):
            config = with_changes({"optim.lr": rate, "seed": seed})
            keep = range(150) if (rate, seed) == (0.001, 1) else range(180)
            log_trial(parent, f"{rate}-{seed}", config, OF.predictions(OF.right(0.7, seed)), OF, keep=list(keep))
    found = compared("lacking")
    assert found.pairs[0].tracks == 150
    assert any("of 180 tracks only 150 were predicted with every seed" in note for note in found.found.notes)


def test_other_tasks_are_compared_by_their_own_metric() -> None:
    rng = np.random.default_rng(0)
    several = (rng.uniform(size=(180, 4)) < 0.4).astype(np.float32)
    several[np.arange(180), rng.integers(0, 4, 180)] = 1
    good, poor = (np.clip(several + rng.normal(0, s, several.shape), 0.01, 0.99).astype(np.float32) for s in (0.2, 0.6))
    pair("multi", MultiLabel(), [good, poor], several, ("a", "b", "c", "d"), (0.05, 0.2))
    found = compared("multi")
    assert found.pairs[0].significant and found.pairs[0].gain > 0 and found.measure.name == "mse"
    assert set(found.pairs[0].others) == {"hamming_loss", "mean_average_precision"}
    assert (
        found.reliability["A"].count.sum() == sum((p >= 0.5).sum() for p, _ in found.predictions[0].seeds)
        and len(found.changes["A", "B"]) == 4
    )

    value = rng.uniform(0.2, 0.8, (180, 1)).astype(np.float32)
    near, far = ((value + rng.normal(0, s, value.shape)).astype(np.float32) for s in (0.05, 0.15))
    pair("regression", Regression(target="energy"), [near, far], value, ("energy",), (0.04, 0.12))
    found = compared("regression")
    assert found.pairs[0].significant and not found.reliability and not found.changes["A", "B"]
    assert "Do their predictions agree?" not in to_markdown(report(found))

    vectors = rng.normal(size=(180, 5)).astype(np.float32)
    close, away = ((vectors + rng.normal(0, s, vectors.shape)).astype(np.float32) for s in (0.2, 2.0))
    pair("embedding", Embedding(target="artist", k=3), [close, away], vectors, tuple("abcde"), (0.9, 0.5))
    found = compared("embedding")
    assert found.pairs[0].significant and found.rows[0].scores["mean_cosine"][0] > 0.9
    assert "mean_cosine" in to_markdown(report(found))


def test_a_baseline_is_compared_with_a_network() -> None:
    parent = log_sweep("baseline")
    base = BaselineConfig(dataset=BASE.dataset, features=(Mel(),), estimator=Logistic(), task=BASE.task)
    log_trial(parent, "estimator", base, OF.predictions(OF.right(0.6, 1)), OF, 0.6)
    log_trial(parent, "network", BASE, OF.predictions(OF.right(0.8, 2)), OF, 0.8)
    found = compared("baseline")
    assert [a.candidate.name for a in found.predictions] == ["simple", "logistic"]


# --- errors


def test_one_configuration_is_not_enough() -> None:
    parent = log_sweep("alone")
    for seed in (0, 1):
        log_trial(parent, f"a-{seed}", with_changes({"seed": seed}), OF.predictions(OF.right(0.6)), OF)
    with pytest.raises(ConfigError, match=r"one configuration only, simple.*tonearm compare RUN OTHER_RUN"):
        compared("alone")


def test_without_test_predictions_validation_is_proposed() -> None:
    parent = log_sweep("stopped")
    for i in range(3):
        config = with_changes({"optim.lr": (i + 1) / 100})
        log_trial(parent, f"s-{i}", config, OF.predictions(OF.right(0.6)), OF, ending="stopped" if i else "completed")
    with pytest.raises(ConfigError, match=r"1 of 3 conf.*\(1 completed, 2 stopped runs\).*split validation"):
        compared("stopped")
    assert len(compared("stopped", split="validation").predictions) == 3


def test_what_cannot_be_compared_is_an_error(planted: str) -> None:
    parent = log_sweep("other-data")
    other = with_changes({"dataset.name": "fma"})
    log_trial(parent, "o-1", other, OF.predictions(OF.right(0.6)), OF)
    with pytest.raises(ConfigError, match=r"\(planted: single_label on toy \(sound\); o-1: .* on fma"):
        compared(planted, "o-1")
    parent = log_sweep("moved")
    for i, keep in enumerate((range(90), range(90, 180))):
        config = with_changes({"optim.lr": (i + 1) / 100})
        log_trial(parent, f"m-{i}", config, OF.predictions(OF.right(0.6)), OF, keep=list(keep))
    with pytest.raises(ConfigError, match="have no track in common"):
        compared("moved")
    with pytest.raises(TrackingError, match="no run whose id or name is or begins with 'absent-run'"):
        compared("absent-run", planted)
    with pytest.raises(ConfigError, match=r"within feature.n_fft needs by"):
        compared(planted, within="feature.n_fft")


def test_runs_without_a_config_are_no_trials() -> None:
    parent = log_sweep("empty")
    broken = RunWriter.open("toy", "00-broken", parent.run_id, tags={ERROR: "Traceback\nOSError: the disk is full"})
    broken.end("FAILED")
    with pytest.raises(TrackingError, match=r"'empty' holds no trial with a config.json"):
        compared("empty")
    for i in range(2):
        config = with_changes({"optim.lr": (i + 1) / 100})
        log_trial(parent, f"e-{i}", config, OF.predictions(OF.right(0.6, i)), OF)
    assert compared("empty").found.notes == ["00-broken failed before its first epoch: OSError: the disk is full"]


def test_stages_of_other_tasks_are_left_out() -> None:
    parent = log_sweep("stages")
    stage = with_changes({"task": Regression(target="energy"), "dataset.name": "artists"})
    log_trial(parent, "table", stage, np.zeros((180, 1), np.float32), OF, classes=("energy",),
              target=np.zeros((180, 1), np.float32))  # fmt: skip
    for i in range(2):
        config = with_changes({"optim.lr": (i + 1) / 100})
        log_trial(parent, f"z-net-{i}", config, OF.predictions(OF.right(0.6, i)), OF)
    found = find_candidates(["stages"])
    assert len(found.candidates) == 2
    assert found.notes == ["table is a stage that learns regression of energy on artists (sound): left out"]
