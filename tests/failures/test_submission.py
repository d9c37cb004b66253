"""What cannot work on a cluster is told on the submitting machine, all of it, before anything is sent."""

from __future__ import annotations

import pytest

from jobs.cli import build
from tonearm.core import home


@pytest.mark.parametrize(
    ("place", "uri", "told"),
    [
        ("relative", "./mlruns", ["'jobs.swep' is no job", "home is 'relative'", "keeps no runs in a folder"]),
        ("", "localhost:5000", ["is no job", "home is 'not set'", "as in http://localhost:5000"]),
        ("s3://bucket/x", "", ["is no job", "set MLFLOW_TRACKING_URI to a tracking server"]),
        ("nothing://bucket/x", "http://host:5000", ["is no job", "no storage of the kind nothing://"]),
        ("/shared", "sqlite:///mlflow.db", ["is no job", "a relative path: on the cluster"]),
        ("/shared", "postgresql+nodriver://me@host/db", ["is no job"]),  # what is installed there is not known here
        ("s3://key:secret@bucket/x", "http://host:5000", ["is no job", "s3://key:***@bucket/x: the job's record"]),
        ("/shared", "postgresql://me:secret@host/db", ["is no job", "me:***@host/db: the job's record would keep"]),
    ],
)
def test_what_cannot_be_on_a_cluster_is_told_before_anything_is_sent(
    place: str, uri: str, told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(home.TRACKING, uri)
    monkeypatch.delenv(home.HOME, raising=False)
    with pytest.raises(SystemExit):
        build(["submit"])(["submit", "--home", place, "--", "swep"])
    said = capsys.readouterr().err.strip().removeprefix("error: ").splitlines()
    assert "secret" not in "".join(said)
    assert len(said) == len(told) and all(words in line for words, line in zip(told, said, strict=True))


def test_a_password_among_the_arguments_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(home.TRACKING, raising=False)
    with pytest.raises(SystemExit):
        build(["submit"])(["submit", "--home", "/shared", "--", "deploy", "x", "--server", "http://me:secret@host"])
    said = capsys.readouterr().err
    assert "http://me:***@host: the job's record would keep its password" in said and "secret" not in said
