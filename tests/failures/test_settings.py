"""Settings of the user's shell that cannot work: told before the first second of work, in one line."""

from __future__ import annotations

import importlib
import inspect
import logging
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, build
from tonearm.core import home, process_environment
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.process_environment import private_token, spare_loopback, writable_caches
from tonearm.workflows import preflight as checks
from tonearm.workflows.preflight import allow_open_files, preflight, tracking_problems
from tonearm.workflows.ray_address import check_ray_address, require_cluster


def test_every_job_calls_the_preflight() -> None:
    without = [
        m for m, _ in COMMANDS.values() if "preflight(" not in inspect.getsource(importlib.import_module(f"jobs.{m}"))
    ]
    assert without == ["submit"], "whose home and tracking server are the cluster's: it checks what is known of them"


# --- MLFLOW_TRACKING_URI


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("./mlruns", "keeps no runs in a folder"),
        ("mlruns", "keeps no runs in a folder"),
        ("/data/mlruns", "sqlite:////data/mlruns/mlflow.db"),
        ("~/mlruns", "keeps no runs in a folder"),
        ("file:///data/mlruns", "sqlite:////data/mlruns/mlflow.db"),
        ("localhost:5000", "as in http://localhost:5000"),
        ("127.0.0.1:5000", "as in http://127.0.0.1:5000"),
        ("http://localhost:99999", "Port out of range"),
        ("http://localhost:port", "Port could not be cast"),
        ("http://", "names no host"),
        ("sqlite://mlflow.db", "follows three slashes"),
        ("sqlite:///", "a database of its own"),
        ("sqlite:///:memory:", "a database of its own"),
        ("sqlite:////tmp", "that is a folder"),
        ("postgresql+nodriver://me@host/db", "nodriver is not installed"),
        ("postgresql+psycopg://me@host:700000/db", "Port out of range"),
        ("ftp://host/runs", "knows nothing of ftp://"),
        ("s3://bucket/mlruns", "knows nothing of s3://"),
    ],
)
def test_tracking_uri_that_cannot_work(uri: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    (said,) = tracking_problems(uri)
    assert said.startswith(f"MLFLOW_TRACKING_URI is {uri}") and told in said and "\n" not in said


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:5000", "https://user:pass@host/path", "sqlite:////tmp/a.db", "sqlite:///a.db", "databricks",
     "databricks://profile", "postgresql://me@host/db", "postgresql+psycopg://me@host:5432/db"],
)  # fmt: skip
def test_tracking_uri_that_may_work(uri: str) -> None:
    assert list(tracking_problems(uri)) == []


def test_file_store_that_the_user_allows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert list(tracking_problems("./mlruns")) == list(tracking_problems("file:///data/mlruns")) == []


def test_all_problems_are_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(home.TRACKING, "./mlruns")
    monkeypatch.setenv(home.HOME, str(tmp_path / "file"))
    for arguments in (["demo"], ["extract", "--dataset", "scores"], ["sweep", "demo", "--dataset", "scores"],
                      ["train", "--recipe", "time_mel"], ["ls"], ["serve", "--port", "0"], ["mlflow"]):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            build(arguments)(arguments)
        said = capsys.readouterr().err
        assert end.value.code == 1 and "MLFLOW_TRACKING_URI is ./mlruns" in said and "which is no folder" in said
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_cluster_that_is_gone_is_told_with_what_else_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(home.HOME, str(tmp_path / "file"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv(home.TRACKING, "localhost:5000")
        with pytest.raises(ConfigError) as told:
            preflight(uses_ray=True)
    assert [words for words in ("RAY_ADDRESS is", "MLFLOW_TRACKING_URI is", "TONEARM_HOME is", "TONEARM_CACHE is")
            for problem in told.value.problems if problem.startswith(words)] == [
        "RAY_ADDRESS is", "MLFLOW_TRACKING_URI is", "TONEARM_HOME is"]  # fmt: skip


# --- TONEARM_HOME


def test_uri_home_is_refused_without_a_tracking_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("file:///tmp/tonearm", "s3://bucket/tonearm"):
        monkeypatch.setenv(home.HOME, value)
        for arguments in (["ls"], ["demo"], ["extract", "--dataset", "scores"]):
            with pytest.raises(SystemExit) as end:
                build(arguments)(arguments)
            assert end.value.code == 1 and "set MLFLOW_TRACKING_URI to" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_storage_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.TRACKING, "http://127.0.0.1:5000")
    monkeypatch.setattr(checks, "find_spec", lambda module: None)
    for value, told in (
        ("s3://bucket/x", r"needs s3fs and boto3: pip install 'tonearm\[s3\]'"),
        ("gs://bucket/x", "needs gcsfs: "),
        ("nothing://bucket/x", "no storage of the kind nothing://"),
    ):
        monkeypatch.setenv(home.HOME, value)
        with pytest.raises(ConfigError, match=told):
            preflight()


# --- RAY_ADDRESS


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:8265", "https://cluster", "somewhere", "host:port", "host:0", ":6379", "host:99999"]
)
def test_ray_address_of_another_kind(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", value)
    with pytest.raises(ConfigError, match=rf"RAY_ADDRESS is '?{value}.*unset RAY_ADDRESS"):
        check_ray_address()


def test_cluster_and_a_relative_home_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    for value in (".tonearm", ""):
        monkeypatch.setenv(home.HOME, value)
        with pytest.raises(ConfigError, match=r"RAY_ADDRESS is 127.*6379, and TONEARM_HOME is .*in a job on a cl"):
            preflight(uses_ray=True)
    for value in ("local", ""):  # Ray's word for one of its own
        monkeypatch.setenv("RAY_ADDRESS", value)
        check_ray_address()
        require_cluster()


def test_cluster_that_is_gone_or_is_none_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tonearm.workflows.ray_address.SECONDS_TO_ANSWER", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        gone = silent.getsockname()[1]
        for listens, told in ((False, "Connection refused"), (True, "no answer")):
            if listens:
                silent.listen()
            for prefix in ("", "ray://"):
                monkeypatch.setenv("RAY_ADDRESS", f"{prefix}127.0.0.1:{gone}")
                with pytest.raises(JobError, match=rf"RAY_ADDRESS is .*{gone}, but no Ray cluster .*\({told}\): unset"):
                    require_cluster()
    with web_server() as port:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")  # the dashboard's, say
        with pytest.raises(JobError, match="something else answers and no Ray"):
            require_cluster()


@pytest.mark.integration
def test_cluster_that_is_there_is_accepted(shared_ray: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", shared_ray)
    check_ray_address()
    require_cluster()


@contextmanager
def web_server() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


# --- proxies


def test_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intranet.example")
    monkeypatch.setenv("NO_PROXY", "x")
    changed = spare_loopback()
    assert changed["no_proxy"] == changed["NO_PROXY"] == "intranet.example,127.0.0.1,localhost,::1"
    with web_server() as port:
        with pytest.raises(requests.exceptions.ProxyError):
            requests.get(f"http://127.0.0.1:{port}", timeout=5)
        for name, value in changed.items():
            monkeypatch.setenv(name, value)
        for host in ("127.0.0.1", "localhost"):
            assert requests.get(f"http://{host}:{port}", timeout=5).status_code == 200
    assert spare_loopback({}) == {} and spare_loopback({"ALL_PROXY": "socks5h://h:1", "no_proxy": "*"}) == {}


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5h://127.0.0.1:9"])
def test_health_of_our_own_server_is_asked_directly(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from serve import launch
    from serve.versions import resolve

    for name in ("http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setattr(launch, "SECONDS_TO_ANSWER", 0.5)
    with web_server() as port, pytest.raises(ValueError, match="Expecting value"):  # the answer came: it is no JSON
        launch._wait_until_ready(f"http://127.0.0.1:{port}", resolve("model"), "tonearm")


# --- what the machine allows


def test_open_files_are_raised_and_a_low_limit_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(before[1], checks.MANY_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caplog.records == []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    with caplog.at_level(logging.WARNING, "tonearm"):
        allow_open_files()
    assert "256 files open here, 1024 are needed" in caplog.text


def test_caches_go_where_we_may_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert writable_caches() == {}
    monkeypatch.setattr(process_environment, "_may_write", lambda path: False)
    assert set(writable_caches()) == {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"}
    assert all(Path(p).is_dir() and p.startswith(home.node_cache()) for p in writable_caches().values())
    monkeypatch.setenv("NUMBA_CACHE_DIR", "mine")
    assert "NUMBA_CACHE_DIR" not in writable_caches()
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # no HOME, and no such user
    assert writable_caches()["HOME"].startswith(home.node_cache())


def test_ray_without_a_place_for_its_token_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    assert private_token() == {}, "Ray makes one"
    monkeypatch.setattr(process_environment, "_may_write", lambda path: False)
    (token,) = private_token().values()
    assert len(token) == 64 and private_token() != {"RAY_AUTH_TOKEN": token}
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("ab")
    assert private_token() == {}
