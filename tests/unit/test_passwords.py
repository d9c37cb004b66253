"""Passwords in URIs: hidden in what is told and sent, and never handed to Ray, which writes them to its logs."""

from __future__ import annotations

import pytest
from ray.tune.execution import class_cache

from serve.holding import replica_options
from tonearm.core import home
from tonearm.core.passwords import without_password
from tonearm.sweeps.worker_places import KEYS, keep_keys, worker_places
from tonearm.workflows.home_catalogues import own_tracking
from tonearm.workflows.preflight import submission_problems, tracking_problems


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:hush@host:5432/runs", "postgresql://me:***@host:5432/runs"),
        ("postgresql://me:hu@sh@host/runs", "postgresql://me:***@host/runs"),
        ("postgresql://me:hu/sh@host/runs", "postgresql://me:***@host/runs"),
        ("postgresql://host/runs?user=me&password=hush", "postgresql://host/runs?user=me&password=***"),
        ("postgresql://host/runs?password=hush&sslmode=require", "postgresql://host/runs?password=***&sslmode=require"),
        ("postgresql://host/runs?sslpassword=hush#a", "postgresql://host/runs?sslpassword=***#a"),
        ("https://hush@host/path", "https://***@host/path"),
        ("https://hush:@host/path", "https://***@host/path"),
        ("https://hush:x-oauth-basic@host", "https://***@host"),
        ("git+https://hush@host/repository", "git+https://***@host/repository"),
        ("http://me:hush@host:5000", "http://me:***@host:5000"),
        ("https://host/song?X-Amz-Expires=9&X-Amz-Signature=hush", "https://host/song?X-Amz-Expires=9&X-Amz-Signature=***"),
        ("https://host/song?Access_Token=hush", "https://host/song?Access_Token=***"),
        ("https://host/song?sv=1&sig=hush", "https://host/song?sv=1&sig=***"),
        ("s3://key:hush@bucket/home", "s3://key:***@bucket/home"),
    ],
)  # fmt: skip
def test_a_password_is_hidden(uri: str, shown: str) -> None:
    assert without_password(uri) == shown
    assert without_password(f"--server={uri}") == f"--server={shown}"


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me@host:5432/runs", "http://host:8000/music/a@b.mp3", "https://host:8000/?k=5&tokens=9",
        "sqlite:////home/me:you@work/runs.db", "s3://bucket/my music/a:b@c", "models:/tonearm-a@champion",
        "/home/a:b@c", "window.frames=107", "https://host/song?design=1",
    ],
)  # fmt: skip
def test_what_is_none_stays(uri: str) -> None:
    assert without_password(uri) == uri


def test_a_half_of_a_password_is_not_told() -> None:
    (told,) = tracking_problems("http://me:half/other@host:5000")
    assert "half" not in told and "other" not in told and "%2F" in told


@pytest.mark.parametrize("uri", ["postgresql://host/runs?user=me&password=hush", "https://hush@host/mlflow"])
def test_a_job_is_not_sent_with_one(uri: str) -> None:
    (told, *_) = submission_problems("/shared", uri)
    assert "the job's record would keep its password" in told and "hush" not in told


@pytest.mark.parametrize("uri", ["postgresql://me:hush@host/runs", "postgresql://host/runs?user=me&password=hush"])
def test_ray_and_the_homes_files_are_not_told_one(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of a private Ray inherit it; nodes of a cluster must have it, which is checked."""
    monkeypatch.setenv(home.TRACKING, uri)
    monkeypatch.setenv(home.FEEDBACK, uri)
    handed = [home.handed_variables(), worker_places(), replica_options(1.0)["runtime_env"]["env_vars"]]
    assert "hush" not in str([*handed, own_tracking()])
    assert all(home.HOME in variables for variables in handed)
    assert home.place_variables()[home.TRACKING] == home.place_variables()[home.FEEDBACK] == uri
    monkeypatch.setenv(home.TRACKING, "postgresql://me@host/runs")
    assert worker_places()[home.TRACKING] == "postgresql://me@host/runs"


def test_tune_hands_no_key_of_s3_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", {"RAY_CHDIR_TO_TRIAL_DIR", *KEYS})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    keep_keys()
    assert {"RAY_CHDIR_TO_TRIAL_DIR"} == class_cache.ENV_VARS_TO_PROPAGATE
