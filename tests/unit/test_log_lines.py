"""Lines of JSON, with the ids of job and trial, where ``TONEARM_LOG`` asks for them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from jobs.common import cli_errors
from tests.architecture.files import ROOT
from tonearm.core import log_lines
from tonearm.core.errors import ConfigError
from tonearm.core.log_lines import log_in_worker, log_variables
from tonearm.core.progress import Progress, StatusLine
from tonearm.workflows.job_output import configure_output
from tonearm.workflows.submit import runtime_env


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(log_lines.VARIABLE, raising=False)
    monkeypatch.setenv(log_lines.JOB, "a-job")
    yield
    log_lines._ids.clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    out, err = capsys.readouterr()
    assert out == "", "only results go there"
    return [json.loads(line) for line in err.splitlines()]


def test_a_jobs_messages_progress_and_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(log_lines.VARIABLE, "json")
    with pytest.raises(SystemExit, match="1"), cli_errors():
        configure_output()
        logging.getLogger("tonearm.workflows.prepare").info('  %d tracks of "Ä"\nand more', 3)
        with Progress("tracks extracted", 2) as progress:
            progress.add(2)
        StatusLine().say("  trial 01 ended")
        raise ConfigError("name a search space")
    found = lines(capsys)
    assert [line["message"] for line in found] == [
        '3 tracks of "Ä"\nand more', "2/2 tracks extracted", "trial 01 ended", "error: name a search space"
    ]  # fmt: skip
    assert [line["level"] for line in found] == ["info"] * 3 + ["error"]
    assert {line["job"] for line in found} == {"a-job"}
    assert found[0]["logger"] == "tonearm.workflows.prepare" and found[0]["time"].endswith("Z")


def test_a_worker_says_its_trial_and_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_in_worker(trial="unheard")  # of text nobody is told
    assert log_variables() == {}
    monkeypatch.setenv(log_lines.VARIABLE, "json")
    for trial in ("time-1", "time-2"):  # Tune uses a process again
        log_in_worker(trial=trial)
        try:
            raise ValueError(trial)
        except ValueError:
            logging.getLogger("tonearm.sweeps.trainable").exception("the trial failed")
    found = lines(capsys)
    assert [line["trial"] for line in found] == ["time-1", "time-2"]
    assert found[1]["error"].endswith("ValueError: time-2")
    assert log_variables() == {"TONEARM_LOG": "json", "TONEARM_JOB": "a-job"}


def test_a_submitted_jobs_id_is_its_submissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(log_lines.JOB)
    monkeypatch.setenv(log_lines.OF_RAYS_JOB, json.dumps({"metadata": {"job_submission_id": "raysubmit_7"}}))
    assert log_lines.job_id() == "raysubmit_7"
    monkeypatch.delenv(log_lines.JOB)
    monkeypatch.setenv(log_lines.OF_RAYS_JOB, json.dumps({"runtime_env": {}}))
    own = log_lines.job_id()
    assert own and own == log_lines.job_id()


def test_a_submitted_job_writes_as_its_sender_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert log_lines.VARIABLE not in runtime_env(ROOT, "/shared")["env_vars"]
    monkeypatch.setenv(log_lines.VARIABLE, "json")
    sent = runtime_env(ROOT, "/shared")["env_vars"]
    assert sent[log_lines.VARIABLE] == "json" and log_lines.JOB not in sent, "Ray tells it its id"


def test_another_format_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(log_lines.VARIABLE, "xml")
    with pytest.raises(SystemExit, match="1"), cli_errors():
        pytest.fail("the job began")
    assert capsys.readouterr().err == "\nerror: TONEARM_LOG is 'xml': give text or json\n"
