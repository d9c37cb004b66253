"""Submitting against a head that goes away, forgets, refuses: what a person sees, and what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import submit as job
from jobs.cli import build
from tests.job_server import RAY_FAILED, FakeCluster, ended, fake_cluster
from tests.servers import free_port
from tonearm.workflows import ray_jobs, submit

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCluster]:
    import ray

    monkeypatch.setattr(ray_jobs, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("tonearm.workflows.follow_job.SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(submit, "state", lambda: "a commit")
    monkeypatch.setenv("TONEARM_CACHE", str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "TONEARM_ALLOWED_MODULES", *ray_jobs.ADDRESSES):
        monkeypatch.delenv(name, raising=False)
    with fake_cluster() as found:
        found.ray_version = ray.__version__
        yield found


@pytest.fixture
def call(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> Call:
    def called(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            build(["submit"])(["submit", "--address", cluster.url, "--home", "/shared", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(str(end.value.code)), said.out, said.err

    return called


def test_output_comes_once_and_the_exit_code_is_the_jobs(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["one\n", "two\n", "three\n"], ended(7))]
    code, out, err = call("--", "sweep", "demo", "--dataset", "scores")
    assert (code, out) == (7, "one\ntwo\nthree\n")
    (sent,) = cluster.sent
    assert sent["entrypoint"] == "python -m jobs.sweep demo --dataset scores"
    assert sent["runtime_env"]["env_vars"]["TONEARM_HOME"] == "/shared"
    assert f"tonearm submit attach {sent['submission_id']}" in err and "exit code 7" in err


def test_a_connection_that_breaks_in_the_middle_loses_and_doubles_nothing(cluster: FakeCluster, call: Call) -> None:
    class Breaking(list[str]):
        """Output at whose third look the head goes away for some requests."""

        def __getitem__(self, part):
            if part == slice(None, 3):
                cluster.drops = 4
            return super().__getitem__(part)

    cluster.script = [(["a"] * 6, ended(0))]
    submitted = cluster.submit
    cluster.submit = lambda r: (submitted(r), cluster.logs.update({r["submission_id"]: Breaking("abcdef")}))[0]
    code, out, err = call("--patience", "30", "run", "sweep")
    assert (code, out) == (0, "abcdef")
    assert err.count("does not answer") == 1 and err.count("answers again") == 1


def test_a_head_that_stays_away_is_one_sentence(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["x\n"] * 1000, ended(0))]
    cluster.drops = 10**6
    code, _, err = call("--patience", "0.2", "--", "sweep")
    assert code == 1 and re.search(r"error: no Ray cluster answers at \S+ for 0 s: .+\n$", err)
    cluster.drops = 0
    code, _, err = call("--address", f"http://127.0.0.1:{free_port()}", "--", "sweep")
    assert code == 1 and "no Ray cluster answers at" in err and "waiting" not in err
    assert len(err.strip().splitlines()) == 1


def test_an_answer_that_was_lost_is_no_second_job(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["only once\n"], ended(0))]
    cluster.lose_answer = True
    code, out, _ = call("--patience", "30", "--", "sweep")
    assert (code, out, len(cluster.sent)) == (0, "only once\n", 1)


def test_sent_twice_it_is_followed_shown_or_sent_anew(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["it\n", "works\n"], ended(0)), (["again\n"], ended(1)), (["mended\n"], ended(0))]
    assert call("--", "sweep", "demo")[0] == 0
    code, out, err = call("--", "sweep", "demo")
    assert (code, out) == (0, "it\nworks\n") and "ended well" in err and "--again" in err
    assert call("--again", "--", "sweep", "demo")[:2] == (1, "again\n")
    assert call("--", "sweep", "demo")[:2] == (0, "mended\n")
    first, *others = (s["submission_id"] for s in cluster.sent)
    assert others == [f"{first}-2", f"{first}-3"]
    call("--", "sweep", "demo", "--trials", "2")
    assert cluster.sent[-1]["submission_id"] not in (first, *others), "other arguments are another job"


def test_attached_output_goes_on_where_it_broke_off(
    cluster: FakeCluster, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.script = [(["one\n", "two\n", "three\n"], ended(0))]

    def stop_after_two(text: str) -> None:
        print(text, end="")
        if "two" in text:
            raise KeyboardInterrupt

    show = job._show
    monkeypatch.setattr(job, "_show", stop_after_two)
    code, out, err = call("--", "sweep")
    assert (code, out) == (130, "one\ntwo\n") and "the job goes on" in err
    monkeypatch.setattr(job, "_show", show)
    name = cluster.sent[0]["submission_id"]
    assert call("attach", name[:9])[:2] == (0, "two\nthree\n"), "what was cut off is shown again, and no more"
    assert call("logs", name)[1] == "one\ntwo\nthree\n"


def test_a_lost_driver_is_sent_again_as_often_as_was_asked(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["a\n"], RAY_FAILED), (["b\n"], ended(-9)), (["c\n"], ended(0))]
    code, out, err = call("--retries", "2", "--", "sweep")
    assert (code, out) == (0, "a\nb\nc\n") and err.count("lost its driver") == 2
    assert "lost its driver (Job entrypoint command failed): it is sent again" in err
    cluster.script = [(["a\n"], RAY_FAILED), (["never\n"], ended(0))]
    code, out, err = call("--", "sweep", "demo", "--trials", "3")
    assert (code, out) == (1, "a\n") and "failed to get job supervisor" in err and "--retries" in err
    cluster.script = [(["its own fault\n"], ended(1)), (["never\n"], ended(0))]
    assert call("--retries", "2", "--", "sweep", "demo", "--trials", "4")[:2] == (1, "its own fault\n")


def test_a_cluster_that_was_started_anew_has_lost_the_job(cluster: FakeCluster, call: Call) -> None:
    cluster.script = [(["a\n", "b\n"], ended(0)), (["c\n"], ended(0))]
    printed = cluster.printed

    def forget(name: str) -> str:
        text = printed(name)
        if not name.endswith("-2"):
            cluster.jobs.clear()
        return text

    cluster.printed = forget
    code, out, err = call("--retries", "1", "--", "sweep")
    assert (code, out) == (0, "a\nc\n") and "knows it no more" in err


def test_list_and_stop(cluster: FakeCluster, call: Call) -> None:
    assert "no job was submitted" in call("list")[1]
    call("--", "sweep")
    name = cluster.sent[0]["submission_id"]
    assert "had ended already" in call("stop", name)[1]
    cluster.jobs[name]["status"] = "RUNNING"
    assert "is stopped" in call("stop", name)[1]
    assert re.search(rf"{name} +stopped .* jobs\.sweep", call("list")[1])
    code, _, err = call("attach", name)
    assert code == 1 and "was stopped" in err
    code, _, err = call("stop", name.replace("s", "z", 1))
    assert code == 1 and f"Did you mean {name!r}?" in err


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 401}, "wants its token"),
        ({"status": 403}, "refuses this token"),
        ({"status": 404}, "but something else"),
        ({"ray_version": "2.40.0"}, "runs Ray 2.40.0, and jobs are written for Ray"),
        ({"python_version": "3.9.18"}, "runs Python 3.9.18, and Tonearm needs 3.11"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_sentence(
    fault: dict[str, object], told: str, cluster: FakeCluster, call: Call
) -> None:
    for name, value in fault.items():
        setattr(cluster, name, value)
    for words in (("--", "sweep"), ("list",)):
        code, out, err = call(*words)
        assert (code, out) == (1, "") and told in err and len(err.strip().splitlines()) == 1
    assert not cluster.sent


def test_a_driver_is_kept_off_the_head(cluster: FakeCluster, call: Call) -> None:
    call("--off-head", "--", "sweep")
    assert cluster.sent[0]["entrypoint_label_selector"] == {"ray.io/node-id": "!ff00"}


def test_words_that_make_no_sense(call: Call) -> None:
    for words, told in ((("run",), "name a job"), (("list", "x"), "takes no job"), (("attach",), "the id of one job")):
        code, _, err = call(*words)
        assert code == 1 and told in err
    code, _, err = call("--", "sweep", "demo", "--datset", "scores")
    assert code == 1 and "No such option: --datset: did you mean --dataset?" in err, "told here, before it is sent"
    code, _, err = call("--", "swep")
    assert code == 1 and "'jobs.swep' is no job: did you mean sweep?" in err
    code, _, err = call("--address", "127.0.0.1:8265", "list")
    assert code == 1 and "no address of a cluster's dashboard" in err
