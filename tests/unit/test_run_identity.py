"""Runs are found by what was run, whatever people call them in MLflow's pages; what is finished stays as it ended."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from tests.builders import tiny_config
from tonearm.core.errors import TrackingError
from tonearm.sweeps.trial_names import MAX_NAME_LENGTH, name_of_fields, trial_name
from tonearm.tracking import names
from tonearm.tracking.buffer import BufferedRun
from tonearm.tracking.known_runs import MIN_PREFIX_LENGTH, require_run
from tonearm.tracking.log import RunWriter, client, experiment_id
from tonearm.tracking.overview import overview
from tonearm.tracking.pages import page_of
from tonearm.tracking.query import _conditions, _experiments, _search, child_runs, find_runs, get_run

pytestmark = pytest.mark.usefixtures("database")

SWEEP = {names.SWEEP: "8f0e11223344aabb", names.SPACE: "demo"}
TRIAL = {names.CONFIG: "4ab3", names.TRIAL: "2", names.FOLDER: "/home/trials/8f0e/02-4ab3"}
STAGE = {names.CONFIG: "c0ffee", names.FOLDER: "/home/trials/single/time-c0ffee"}
TRAINING = {names.TRAINING: "time_mel-0548aabb"}
FOLD = {names.FOLD: "2/5", names.SEED: "1"}


def of_experiment(name: str) -> int:
    return len(client().search_runs([experiment_id(name)]))


@pytest.mark.parametrize("tags", [SWEEP, TRIAL, STAGE, TRAINING, FOLD], ids=lambda tags: next(iter(tags)))
def test_a_run_that_was_renamed_is_gone_on_with(tags: dict[str, str]) -> None:
    where = f"renamed {' '.join(tags.values()).replace('/', ' ')}"
    parent = RunWriter.open(where, "above", tags={names.SWEEP: "above"}).run_id if tags is not SWEEP else None
    first = RunWriter.open(where, "a name", parent, tags=tags)
    before = of_experiment(where)
    client().update_run(first.run_id, name="what I call it")
    assert RunWriter.open(where, "a name", parent, tags=tags).run_id == first.run_id
    other = RunWriter.open(where, "what I call it", parent, tags={**tags, next(iter(tags)): "another"})
    assert other.run_id != first.run_id, "the name of one run makes no other of it"
    assert of_experiment(where) == before + 1 and get_run(first.run_id).name == "what I call it"


def test_trials_of_one_config_are_two_and_so_are_those_below_two_sweeps() -> None:
    sweeps = [RunWriter.open("same", "demo", tags={names.SWEEP: s}).run_id for s in ("a", "b")]
    trials = [RunWriter.open("same", "02", s, tags={**TRIAL, names.TRIAL: i}).run_id for s in sweeps for i in "23"]
    assert len(set(trials)) == 4


def test_a_run_is_not_one_that_bears_its_tags_and_more() -> None:
    """A mean bears its fold, its seed and its config, and may have been started first; a fold's run holds stages."""
    parent = RunWriter.open("more", "above", tags=TRAINING).run_id
    mean = RunWriter.open("more", "mean seed 1 fold 2/5", parent, tags={**FOLD, names.CONFIG: "c0ffee"})
    trial = RunWriter.open("more", "02", parent, tags={**TRIAL, **FOLD})
    fold = RunWriter.open("more", "seed 1 fold 2/5", parent, tags=FOLD)
    stage = RunWriter.open("more", "time", parent, tags={**TRIAL, names.TRIAL: "", **FOLD})
    found = [mean, trial, fold, stage]
    assert len({run.run_id for run in found}) == 4
    for run in found:
        client().update_run(run.run_id, name="renamed")
    assert RunWriter.open("more", "seed 1 fold 2/5", parent, tags=FOLD).run_id == fold.run_id
    assert RunWriter.open("more", "time", parent, tags={names.CONFIG: TRIAL[names.CONFIG]}).run_id == stage.run_id
    assert RunWriter.open("more", "mean", parent, tags={names.CONFIG: "c0ffee"}).run_id == mean.run_id
    assert RunWriter.open("more", "02", parent, tags=TRIAL).run_id == trial.run_id


def test_runs_of_earlier_versions_are_found_by_their_names_and_tagged() -> None:
    api, experiment = client(), experiment_id("earlier")
    training = api.create_run(experiment, run_name="time_mel-0548aabb").info.run_id
    fold = api.create_run(experiment, run_name="fold-2-seed-1", tags={names.PARENT_RUN: training}).info.run_id
    assert RunWriter.open("earlier", "time_mel-0548aabb", tags=TRAINING).run_id == training
    assert RunWriter.open("earlier", "seed 1 fold 2/5", training, None, FOLD, "fold-2-seed-1").run_id == fold
    api.update_run(training, name="renamed")  # from now on by tags
    assert RunWriter.open("earlier", "time_mel-0548aabb", tags=TRAINING).run_id == training
    assert get_run(fold).name == "fold-2-seed-1" and get_run(fold).tags[names.FOLD] == "2/5"


def test_an_experiment_that_was_renamed_is_gone_on_with() -> None:
    run, number = RunWriter.open("music", "demo-8f0e", tags=SWEEP), experiment_id("music")
    client().rename_experiment(number, "my music")
    assert experiment_id("music") == number and RunWriter.open("music", "demo", tags=SWEEP).run_id == run.run_id
    assert number in page_of("music") and page_of("my music") == ""
    assert get_run(run.run_id).experiment == "music"
    assert {r.experiment for r in overview().runs if r.run_id == run.run_id} == {"music"}


def test_an_experiment_of_earlier_versions_is_found_by_its_name() -> None:
    number = client().create_experiment("plain")
    assert experiment_id("plain") == number
    client().rename_experiment(number, "fancy")
    assert experiment_id("plain") == number


def test_an_experiment_that_was_deleted_is_restored_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    run, number = RunWriter.open("deleted", "demo-8f0e", tags=SWEEP), experiment_id("deleted")
    client().delete_experiment(number)
    with caplog.at_level(logging.WARNING, "tonearm"):
        assert RunWriter.open("deleted", "demo-8f0e", tags=SWEEP).run_id == run.run_id
    (said,) = [r.getMessage() for r in caplog.records]
    assert "'deleted' had been deleted in MLflow; it was restored" in said
    assert client().get_experiment(number).lifecycle_stage == "active"


def test_threads_that_open_a_run_at_once_get_one(one_home: Path) -> None:
    experiment_id("at once")
    start, found = threading.Barrier(4), list[str]()

    def open_it(name: str) -> None:
        start.wait()
        found.append(RunWriter.open("at once", name, tags=SWEEP).run_id)

    threads = [threading.Thread(target=open_it, args=(f"demo {i % 2}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1 and of_experiment("at once") == 1


def test_what_is_finished_keeps_its_end_until_it_is_worked_on() -> None:
    run = RunWriter.open("ends", "demo", tags=SWEEP)
    run.end()
    before = get_run(run.run_id)
    time.sleep(0.01)
    again = RunWriter.open("ends", "demo", tags=SWEEP)
    again.metrics({"test_f1_micro": 0.5})
    for status in ("FINISHED", "KILLED", "FAILED"):
        again.end(status)  # type: ignore[arg-type]
    after = get_run(run.run_id)
    assert (after.started, after.ended, after.status) == (before.started, before.ended, "FINISHED")
    again.resume()
    assert get_run(run.run_id).status == "RUNNING"
    again.end("KILLED")
    stopped = get_run(run.run_id)
    assert stopped.status == "KILLED" and (stopped.ended or 0) > (before.ended or 0)
    assert stopped.started == before.started
    again.end()
    assert get_run(run.run_id).status == "FINISHED", "what was killed and then needed nothing is finished"


def test_a_trial_that_is_trained_again_runs_again() -> None:
    run = RunWriter.open("again", "02", tags=TRIAL)
    run.end("FAILED")
    BufferedRun("again", "02", None, {}, TRIAL, system_seconds=1000).close(20.0)
    assert get_run(run.run_id).status == "RUNNING"


def test_commands_find_a_renamed_run_by_the_name_that_they_printed() -> None:
    of_sweep = {names.SWEEP: "7a0e11223344aabb", names.SPACE: "typed"}
    sweep = RunWriter.open("typed", "typed-7a0e11223344aabb", tags=of_sweep)
    training = RunWriter.open("typed", "time_cqt-0548aabb", tags={names.TRAINING: "time_cqt-0548aabb"})
    of_trial = {**TRIAL, names.FOLDER: "/home/trials/7a0e/02-7ab3"}
    trial = RunWriter.open("typed", "02 freq n_fft=4096", sweep.run_id, tags=of_trial)
    for i, run in enumerate((sweep, training)):
        client().update_run(run.run_id, name=f"mine {i}")
    for text, run in (("typed-7a0e11223344aabb", sweep), ("typed-7a0e", sweep), ("mine 0", sweep), ("type", sweep),
                      ("time_cqt-0548aabb", training), ("time_cqt-05", training), ("02-7ab3", trial),
                      ("02 freq", trial), ("02 freq n_fft=4096", trial)):  # fmt: skip
        require_run(text)
        assert [r.run_id for r in find_runs(text)] == [run.run_id], text
    for text in ("typed-7a0f", "time_cqt-06", "02-7ab4", "time-7a0e"):
        for find in (require_run, find_runs):
            with pytest.raises(TrackingError, match="no run whose id or name"):
                find(text)
    assert [r.name for r in child_runs(sweep.run_id)] == ["02 freq n_fft=4096"]


def test_sweeps_of_spaces_with_dashes_are_found_by_every_beginning() -> None:
    of_space = {"my-space": "abcd11", "my": "5pace2", "my-other-5pace": "abce", "more": "abcd22", "": "ab77"}
    runs = {f"{space}-{signature}": RunWriter.open("dashes", f"renamed {signature}",
            tags={names.SWEEP: signature, **({names.SPACE: space} if space else {})})
            for space, signature in of_space.items()}  # fmt: skip
    for text in ("my-sp", "my-space", "my-space-", "my-space-a", "my-space-abcd11", "my-5", "my-5pace2", "my-o",
                 "my-other-", "my-other-5pace-abce", "more-", "more-ab", "-ab77", "-ab7"):  # fmt: skip
        require_run(text)
        (expected,) = [run.run_id for name, run in runs.items() if name.startswith(text)]
        assert [r.run_id for r in find_runs(text)] == [expected], text
    for text in ("my-space-b", "my-abcd", "space-abcd11", "-abcd", "abcd11", "my-5paces", "mor-", "my_space-abcd"):
        for find in (require_run, find_runs):
            with pytest.raises(TrackingError, match="no run whose id or name"):
                find(text)


def test_a_beginning_loads_no_sweeps_of_other_spaces() -> None:
    for text, kept in (("demo-", {"demo"}), ("my-sp", {"my-space"}), ("my-space-a", {"my-space"}), ("dem", set())):
        conditions = _conditions(text, len(text) < MIN_PREFIX_LENGTH)
        assert {r.tags.get(names.SPACE) for c in conditions for r in _search(_experiments(), c)} <= kept, text


# --- names for people


def test_trials_are_called_by_what_distinguishes_them() -> None:
    config = tiny_config({"optim.lr": 0.001631, "optim.batch_size": 8})
    assert trial_name(2, config, ("optim.lr", "optim.batch_size")) == "02 simple lr=0.001631 batch_size=8"
    assert trial_name(2, config, ("optim.batch_size", "optim.lr")) == "02 simple lr=0.001631 batch_size=8"
    assert trial_name(11, config, ("model", "optim.lr")) == "11 simple(variant=chroma,width=1) lr=0.001631"
    assert trial_name(0, config, ("model", "model.width")) == "00 simple width=1"
    assert trial_name(0, config.replace({"seed": 3}), ()) == "00 simple seed=3"
    long = name_of_fields(["00"], {f"a.field_{i}": "it's long" * 9 for i in range(9)})
    assert len(long) <= MAX_NAME_LENGTH + 10 and long.endswith(" … 8 more") and "'" not in long
