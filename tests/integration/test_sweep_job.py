"""Every kind of sweep as a user runs it, on a few recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Workplace
from tests.integration.quick_sweep import ONE_AT_A_TIME, extract
from tonearm.tracking import names, query
from tonearm.tracking.query import RunSummary

pytestmark = pytest.mark.integration

SPACES = "tests.integration.spaces"


@pytest.fixture(autouse=True)
def tracking(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))


@pytest.fixture(scope="module")
def prepared(place: Workplace) -> Workplace:
    extract(place)
    return place


def runs_of(space: str) -> tuple[RunSummary, list[RunSummary]]:
    """The sweep of a space and its trials."""
    (parent,) = query.find_runs(f"{space}-")
    return parent, query.child_runs(parent.run_id)


def ledger(place: Workplace, parent: RunSummary) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((trials(place, parent) / "trials.json").read_text())
    return rows


def trials(place: Workplace, parent: RunSummary) -> Path:
    return place.home / "trials" / parent.tags[names.SWEEP]


def test_model_based_search_proposes_all_and_then_nothing(prepared: Workplace) -> None:
    output = prepared.job("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", joins=True)
    parent, runs = runs_of("learning")
    assert len(ledger(prepared, parent)) == len(runs) == 5 and {r.status for r in runs} == {"FINISHED"}
    assert len({r.params["optim.lr"] for r in runs}) == 5
    assert f"tonearm compare {parent.name}" in output
    before = (trials(prepared, parent) / "trials.json").stat().st_mtime_ns
    prepared.call("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", "--resume")
    assert (trials(prepared, parent) / "trials.json").stat().st_mtime_ns == before


def test_more_trials_are_the_same_sweep_and_train_only_what_is_new(prepared: Workplace) -> None:
    parent, before = runs_of("learning")
    single = prepared.home / "trials" / "single"
    states = {p: p.stat().st_mtime_ns for p in single.glob("*/state.pt")}
    prepared.call("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", "--trials", "6", *ONE_AT_A_TIME)
    after, runs = runs_of("learning")
    assert after.run_id == parent.run_id and after.status == "FINISHED" and after.tags["tonearm.trials"] == "6"
    assert {r.run_id: r.ended for r in before}.items() <= {r.run_id: r.ended for r in runs}.items() and len(runs) == 6
    assert {p: p.stat().st_mtime_ns for p in states} == states and len(list(single.glob("*/state.pt"))) == 6


def test_trials_of_other_code_are_told_and_trained_anew_where_that_is_asked_for(prepared: Workplace) -> None:
    again = ("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", "--trials", "6", *ONE_AT_A_TIME)
    single, before = prepared.home / "trials" / "single", runs_of("learning")[1]
    first, second = (p.parent for p in sorted(single.glob("*/code.json"))[:2])
    for folder in (first, second):
        (folder / "code.json").write_text('["0ld"]')
    states = {p: p.stat().st_mtime_ns for p in single.glob("*/state.pt")}
    assert "2 of 6 trials were trained by other code (digest 0ld; now " in prepared.call(*again)
    assert {p: p.stat().st_mtime_ns for p in states} == states
    output = prepared.call(*again, "--retrain")
    assert output.count("is trained anew: it was trained by code 0ld, now ") == 2 and "by other code" not in output
    assert {p.parent for p in states if p.stat().st_mtime_ns != states[p]} == {first, second}
    parent, runs = runs_of("learning")
    kept = {r.run_id for r in before} & {r.run_id for r in runs}
    assert (
        len(runs) == 6 and len(kept) == 4 and parent.status == "FINISHED" and {r.status for r in runs} == {"FINISHED"}
    )


def test_runs_say_what_was_run(prepared: Workplace) -> None:
    parent, runs = runs_of("learning")
    assert parent.params["search"].startswith("tpe ") and " to " in parent.params["over.optim.lr"]
    assert query.artifact_bytes(parent.run_id, "environment.txt")
    for run in runs:
        for tag in (names.DATA, names.FEATURE, names.CONFIG, names.CONFIGURATION, names.SEED, names.COMMIT,
                    names.CLEAN, names.ENVIRONMENT, names.CPU, names.CORES, names.MEMORY, names.FOLDER,
                    names.PARAMETERS):  # fmt: skip
            assert run.tags[tag], tag
        assert not any("test_" in metric for metric in run.metrics), "nobody sorts trials by test"
        for metric in ("best_f1_micro", "seconds", "system/process_peak_memory_megabytes"):
            assert metric in run.metrics
        config = query.artifact_bytes(run.run_id, "config.json")
        assert config and json.loads(config)["optim"]["lr"] == float(run.params["optim.lr"])


def test_sweep_begins_with_the_best_of_another(prepared: Workplace) -> None:
    parent, runs = runs_of("learning")
    output = prepared.call("jobs.sweep", f"{SPACES}:learning", "--dataset", "music", "--trials", "2", "--epochs", "1",
                          "--warm-start", parent.name, *ONE_AT_A_TIME)  # fmt: skip
    name = output.split("tonearm compare ")[1].split()[0]
    (warm,) = query.find_runs(name)
    rates = {float(r.params["optim.lr"]) for r in query.child_runs(warm.run_id)}
    assert len(rates) == 2
    scores = {float(r.params["optim.lr"]): r.metrics["best_f1_micro"] for r in runs}
    assert rates <= set(scores) and sorted(scores[r] for r in rates) == sorted(scores.values())[-2:], "the two best"
    refused = prepared.call("jobs.sweep", f"{SPACES}:quick", "--dataset", "music", "--warm-start", "nobody",
                           check=False)  # fmt: skip
    assert "has no run whose id or name is or begins with 'nobody'" in refused


def test_population_goes_on_from_its_best(prepared: Workplace) -> None:
    prepared.call("jobs.sweep", f"{SPACES}:population", "--dataset", "music", *ONE_AT_A_TIME)
    parent, runs = runs_of("population")
    rows = ledger(prepared, parent)
    assert len(rows) == len(runs) == 8 and {r.status for r in runs} == {"FINISHED"}
    for run in runs:
        epochs = [step for step, _ in query.metric_history(run.run_id, "train_loss")]
        assert sorted(epochs) == list(range(1, (2 if int(run.tags[names.TRIAL]) < 4 else 4) + 1))
    first, second = runs[:4], runs[4:]
    losses = {r.tags[names.CONFIG]: query.metric_history(r.run_id, "train_loss") for r in first}
    for run in second:
        start = run.params["start.trial"]
        assert sorted(query.metric_history(run.run_id, "train_loss"))[:2] == sorted(losses[start])


def test_members_are_trained_once_before(prepared: Workplace) -> None:
    output = prepared.call("jobs.sweep", f"{SPACES}:stacked", "--dataset", "music", *ONE_AT_A_TIME)
    parent, runs = runs_of("stacked")
    assert output.count("time seed 0: 2 epochs") == output.count("freq seed 0: 2 epochs") == 1
    assert [r.name.split()[0] for r in runs] == ["00", "01", "freq", "time"]
    tops = [r for r in runs if r.name[0] == "0"]
    assert {r.params["model.dropout"] for r in tops} == {"0.0", "0.5"} and {r.status for r in runs} == {"FINISHED"}
    single = prepared.home / "trials" / "single"
    assert [len(list(single.glob(f"{kind}-*/ended.json"))) for kind in ("time", "freq", "time_freq")] == [1, 1, 2]
    assert parent.status == "FINISHED"


def test_members_are_trained_with_each_seed(prepared: Workplace) -> None:
    """Else trials of two seeds would be alike for having the same members, and luck would seem small."""
    output = prepared.call("jobs.sweep", f"{SPACES}:stacked", "--dataset", "music", "--seeds", "2", *ONE_AT_A_TIME)
    for seed in (0, 1):
        assert output.count(f"time seed {seed}: 2 epochs") == output.count(f"freq seed {seed}: 2 epochs") == 1
    (sweep,) = {word for word in output.split() if word.startswith("stacked-")}
    runs = [r for r in query.child_runs(query.find_runs(sweep)[0].run_id) if names.TRIAL in r.tags]
    configs = [json.loads(query.artifact_bytes(r.run_id, "config.json") or b"") for r in runs]
    of_seed = [{tuple(m["trial"] for m in c["members"]) for c in configs if c["seed"] == s} for s in (0, 1)]
    assert len(configs) == 4 and [len(members) for members in of_seed] == [1, 1]
    assert not set(*of_seed[0]) & set(*of_seed[1])
    compared = prepared.call("jobs.compare", sweep)
    assert "2 configurations, 2 of them compared" in compared and "still running" not in compared


def test_what_a_stage_has_made_of_the_tracks_is_there_for_the_trials(prepared: Workplace) -> None:
    prepared.call("jobs.sweep", f"{SPACES}:with_vectors", "--dataset", "music", *ONE_AT_A_TIME)
    _, runs = runs_of("with_vectors")
    tops = [r for r in runs if r.name[0] == "0"]
    assert len(tops) == 2 and {r.status for r in runs} == {"FINISHED"}
    assert {r.params["feature.columns"] for r in tops} == {"said"}


def test_clips_of_every_length_are_extracted(prepared: Workplace) -> None:
    dry = prepared.call("jobs.sweep", f"{SPACES}:clips", "--dataset", "music", "--dry-run")
    lines = [line.split() for line in dry.splitlines() if line.strip().startswith("mel(")]
    assert [line[-2] for line in lines] == ["30", "0"] or [line[-2] for line in lines] == ["0", "30"]
    assert "time: about" in dry
    prepared.call("jobs.sweep", f"{SPACES}:clips", "--dataset", "music", *ONE_AT_A_TIME)
    _, runs = runs_of("clips")
    assert {r.params["clip.seconds"] for r in runs} == {"8.0", "10.0"} and {r.status for r in runs} == {"FINISHED"}
    again = prepared.call("jobs.sweep", f"{SPACES}:clips", "--dataset", "music", "--seed", "5", *ONE_AT_A_TIME)
    (sweep,) = {word for word in again.split() if word.startswith("clips-")}
    shared = query.child_runs(query.find_runs(sweep)[0].run_id)
    for name in (names.CONFIG, names.FOLDER, names.TRIAL):
        assert [r.tags[name] for r in shared] == [r.tags[name] for r in runs], "another sweep, the same trials"
    assert [r.metrics["best_f1_micro"] for r in shared] == [r.metrics["best_f1_micro"] for r in runs]
    ends = [(s.ended, r.ended) for s, r in zip(shared, runs, strict=True)]
    assert all(s and r and s <= r for s, r in ends), "nothing was trained: they have their own times"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["demo", "--dataset", "music", "--max-gigabytes", "0.001"], "the sweep would extract 0.00"),
        (["demo", "--dataset", "absent"], "there is no manifest of a data set 'absent'"),
        (["demos"], "Did you mean 'demo'?"),
        ([f"{SPACES}:missing"], "no search space 'tests.integration.spaces:missing'"),
        ([f"{SPACES}:no_space"], "gives a str, a search space is needed"),
        (["demo", "--set", "optim.lr=1.0", "--dataset", "music"], "optim.lr cannot be set: the space varies it"),
        (["demo", "--set", "window.frames=9000", "--dataset", "music"], "window.frames 9000 is longer than"),
        (["demo", "--dataset", "music", "--cpus", "0"], "--cpus 0"),
        (["demo", "--dataset", "music", "--label", "artist"], "label, options and name say how a data set is prepared"),
        (
            [f"{SPACES}:quick", "--dataset", "music", "--cpus", "1000"],
            "a trial needs 1000 core(s) and 0 GPU(s), the nodes",
        ),
        (
            [f"{SPACES}:quick", "--dataset", "music", "--gpus", "1"],
            "a trial needs 1 core(s) and 1 GPU(s), the nodes have",
        ),
    ],
)
def test_mistakes_are_named_before_anything_starts(prepared: Workplace, arguments: list[str], wanted: str) -> None:
    output = prepared.call("jobs.sweep", *arguments, check=False)
    assert wanted in output and "Traceback" not in output
