"""The demo on a folder of recordings, in its smallest form, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Workplace
from tonearm.inference import load
from tonearm.tracking import query

pytestmark = pytest.mark.integration

DEMO = ("jobs.demo", "--label", "folder", "--trials", "2", "--epochs", "2")


def files(folder: Path) -> dict[str, int]:
    """The trials' and features' files with their modification times."""
    kept = [p for sub in ("trials", "features") for p in (folder / sub).rglob("*") if p.is_file()]
    # Ray's own files, and who drives a sweep, are no results.
    return {str(p): p.stat().st_mtime_ns for p in kept
            if "ray" not in p.relative_to(folder).parts and p.name != "driver.json"}  # fmt: skip


@pytest.fixture(scope="module")
def output(place: Workplace) -> str:
    return place.job(*DEMO, "--audio", str(place.music))


def test_summary(place: Workplace, output: str) -> None:
    assert "test F1 micro" in output and "majority class" in output and "chance" in output
    assert "similarity" in output and "truth" in output
    summary = json.loads((place.home / "reports" / "music" / "summary.json").read_text())
    assert summary["tracks"] == 30
    assert set(summary["seconds"]) and len(summary["seconds"]) == 6
    f1 = summary["test"]["intervals"]["f1_micro"]
    assert 0 <= f1["low"] <= f1["value"] <= 1
    assert len(summary["answer"]["neighbours"]) == 5
    for plot in ("sweep.png", "confusion_test.png"):
        assert (place.home / "reports" / "music" / plot).read_bytes()[:4] == b"\x89PNG"


def test_bad_files_are_set_aside_and_counted(output: str) -> None:
    assert "set aside: 3" in output
    for reason in ("undecodable", "empty"):
        assert reason in output


def test_runs_are_nested_and_complete(place: Workplace, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    from tonearm.tracking.log import client

    api = client()
    experiment = api.get_experiment_by_name("music").experiment_id
    runs = api.search_runs([experiment])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1
    trials = [c for c in query.child_runs(parents[0].info.run_id) if not c.name.startswith("ensemble-")]
    assert [t.status for t in trials] == ["FINISHED", "FINISHED"]
    for trial in trials:
        for key in ("optim.lr", "optim.batch_size", "feature.n_fft", "model.kind", "dataset.data_signature", "seed"):
            assert key in trial.params
        for tag in ("tonearm.data_signature", "tonearm.feature_signature", "tonearm.seed", "tonearm.commit"):
            assert trial.tags[tag]
        epochs = {m.step for m in api.get_metric_history(trial.run_id, "validation_f1_micro")}
        assert epochs == set(range(1, int(trial.metrics["epochs"]) + 1))
        artifacts = {a.path for a in api.list_artifacts(trial.run_id)}
        assert {"learning_curves.png", "confusion_validation.png", "predictions", "bundle"} <= artifacts


def test_the_ensemble_is_compared_with_its_members(place: Workplace, output: str) -> None:
    summary = json.loads((place.home / "reports" / "music" / "summary.json").read_text())
    page = place.home / "reports" / "compared"
    compared = place.job("jobs.compare", "demo-", "--out", str(page))
    (line,) = [line for line in compared.splitlines() if "ensemble of 0" in line]
    assert f"{summary['test']['intervals']['f1_micro']['value']:.3f}" in line
    assert len([line for line in compared.splitlines() if "model simple" in line or "model time" in line]) >= 2
    assert (page / "comparison.html").exists()


def test_champion_answers(place: Workplace, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    assert query.last_promoted() == "tonearm-music"
    prediction = load(query.champion_uri("music")).predict(str(place.music / "noise" / "0.ogg"))
    assert prediction.labels == ("bass", "flute", "noise")
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_second_run_says_that_it_is_finished(place: Workplace, output: str) -> None:
    before = files(place.home)
    again = place.job(*DEMO, "--audio", str(place.music))
    assert again.startswith("this demo is finished, and nothing has changed since")
    assert output.endswith(again.split("it came to:\n")[1]) and "test F1 micro" in again
    assert "Catalogue:" not in again and files(place.home) == before


def test_the_whole_way_recomputes_nothing(place: Workplace, output: str) -> None:
    before = files(place.home)
    (place.music / "noise" / "0.ogg").touch()  # so that it is not known to be finished
    again = place.job(*DEMO, "--audio", str(place.music))
    assert "0 tracks extracted now" in again
    assert files(place.home) == before
    first = json.loads((place.home / "reports" / "music" / "summary.json").read_text())
    assert f"{first['test']['intervals']['f1_micro']['value']:.3f}" in output


def test_added_file_is_extracted_alone(place: Workplace, output: str) -> None:
    source = place.music / "noise" / "0.ogg"
    added = place.music / "noise" / "new.ogg"
    from tests.builders import encode, sounds_like

    added.write_bytes(encode(sounds_like("noise", 999, 12.0), container="OGG"))
    try:
        again = place.job("jobs.extract", "--dataset", "folder", "--audio", str(place.music))
        assert "1 tracks extracted now" in again
    finally:
        added.unlink()
        assert source.exists()
