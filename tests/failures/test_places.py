"""Places that cannot be: each is told in one line that names the variable and the fix, before anything starts."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError, TonearmError
from tonearm.core.process_environment import spare_loopback
from tonearm.workflows.preflight import preflight, submission_problems
from tonearm.workflows.tracking_server import require_tracking_server


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_ADDRESS", home.TRACKING, *(p for n in ("http", "https", "all", "no") for p in (
        f"{n}_proxy", f"{n}_proxy".upper()))):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(home.HOME, str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def refused(**options: bool) -> str:
    with pytest.raises(TonearmError) as told:
        preflight(**options)
    text = str(told.value)
    assert "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(("given", "problem"), [
    ("C:\\Users\\ann", "is a path of Windows"), ("\\\\nas\\music", "is a path of Windows"),
    ('"/tmp/x"', "the quotes are part of it"), ("~nobody-here/x", "no home folder of that name"),
    ("/tmp/" + "a" * 300, "characters are too many"), ("/tmp/" + "a/" * 3000, "characters are too many"),
    ("/tmp/\udcff", "it is not UTF-8"), ("file.txt", "is no folder"), ("file.txt/below", "nothing can be written"),
    ("/proc/x", "nothing can be written"),
])  # fmt: skip
def test_a_home_that_cannot_be(given: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file.txt").touch()
    monkeypatch.setenv(home.HOME, given)
    text = refused()
    assert text.startswith(home.HOME) and problem in text


@pytest.mark.parametrize(("given", "problem"), [
    ("http://host/x", "nothing can be written at a http://"), ("s3://", "it names no bucket"),
    ("S3://b/x", "no storage of the kind"),
])  # fmt: skip
def test_a_home_elsewhere_that_cannot_be(given: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.HOME, given)
    monkeypatch.setenv(home.TRACKING, "sqlite:///runs.db")
    assert refused().startswith(f"{home.HOME} is {given}") and problem in refused()


class Shelf(MemoryFileSystem):
    """A storage elsewhere that refuses as the errors say."""

    protocol, cachable = "shelf", False
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    on_write: Exception | None = None
    on_read: Exception | None = None

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        if self.on_write:
            raise self.on_write
        super().pipe_file(path, value, mode, **options)

    def exists(self, path: str, **options: Any) -> bool:
        if self.on_read:
            raise self.on_read
        return bool(super().exists(path, **options))


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> type[Shelf]:
    fsspec.register_implementation("shelf", Shelf, clobber=True)
    monkeypatch.setitem(known_implementations, "shelf", {"class": f"{Shelf.__module__}.Shelf"})
    monkeypatch.setenv(home.HOME, "shelf://bucket/music")
    monkeypatch.setenv(home.TRACKING, "sqlite:///runs.db")
    return Shelf


@pytest.mark.parametrize("error", [
    RuntimeError("Unable to locate credentials\n" + "x" * 1000), FileNotFoundError("The bucket does not exist"),
    PermissionError("Access Denied"),
])  # fmt: skip
def test_a_home_elsewhere_that_refuses(error: Exception, shelf: type[Shelf], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "on_write", error)
    text, said = refused(), f"({type(error).__name__}: {str(error).splitlines()[0]})"
    assert text.startswith(f"{home.HOME} is shelf://bucket/music, where nothing can be written {said}: ")
    preflight(writes=False)
    monkeypatch.setattr(shelf, "on_read", error)
    if isinstance(error, PermissionError):
        preflight(writes=False)  # who may not list may read what is named
    else:
        text = refused(writes=False)
        assert text.startswith(f"{home.HOME} is shelf://bucket/music, where nothing can be read {said}: ")


def test_nothing_is_left_of_trying_to_write_elsewhere(shelf: type[Shelf]) -> None:
    preflight()
    assert shelf.store == {}


@pytest.mark.parametrize(("given", "problem"), [
    ("http://host/x", "nothing can be written at a http://"), ("memory://x", "nothing can be written at a memory://"),
    ("s3://", "it names no bucket"), ("gs:///", "it names no bucket"), ("S3://b/x", "no storage of the kind"),
])  # fmt: skip
def test_a_home_that_cannot_be_is_none_on_a_cluster_either(given: str, problem: str) -> None:
    (told,) = submission_problems(given, "http://host:5000")
    assert told.startswith(f"the cluster's home is {given}") and problem in told
    assert len(list(submission_problems(given, ""))) == 2, "and MLflow's database"


def test_what_a_home_needs_must_be_installed_on_the_cluster_alone() -> None:
    assert list(submission_problems("hdfs://b/x", "http://host:5000")) == []
    assert list(submission_problems("/shared", "")) == []


@pytest.mark.parametrize("given", ["$HOME/x", "${HOME}/x", "~/x", "~/x\n", " ~/x ", "file:{}/user/x", "user/../user/x"])
def test_a_home_as_files_of_variables_write_it(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv(home.HOME, given.format(tmp_path) if "{}" in given else given)
    assert home.home() == str(tmp_path / "user" / "x")


@pytest.mark.parametrize(("given", "problem"), [
    ("sqlite:/x.db", "follows three slashes"), ("sqlite:////proc/x.db", "cannot be written"),
    ("sqlite:///file.txt/x.db", "cannot be written"), ("sqlite:///file.txt", "is no SQLite database"),
    ("file:/tmp/x", "here sqlite:////tmp/x/mlflow.db"), ('"http://127.0.0.1:1"', "give one such as"),
    ("http//127.0.0.1:5000", "give one such as"), ("postgres://ann:secret@h/d", "postgres://ann:***@h/d"),
    ("http://ann:secret@127.0.0.1:1", "http://ann:***@127.0.0.1:1, but no server answers there (Connection refused)"),
])  # fmt: skip
def test_a_tracking_uri_that_cannot_be(given: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file.txt").write_text("no database")
    monkeypatch.setenv(home.TRACKING, given)
    text = refused()
    assert text.startswith(home.TRACKING) and problem in text and "secret" not in text


def test_a_tracking_server_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        require_tracking_server(uri)
    monkeypatch.setenv(home.TRACKING, uri)
    with pytest.raises(JobError, match="no server answers there"):
        require_tracking_server(uri)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    require_tracking_server("http://tracking.example:5000")  # only the proxy knows that host
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(JobError, match="no server answers there"):
        require_tracking_server(uri)


def test_exempted_hosts_may_be_separated_by_blanks() -> None:
    found = spare_loopback({"HTTP_PROXY": "http://p:1", "no_proxy": "a b, c"})
    assert found["no_proxy"] == found["NO_PROXY"] == "a,b,c,127.0.0.1,localhost,::1"
    assert spare_loopback({"all_proxy": "socks5h://p:1", "NO_PROXY": "*"}) == {}


def test_nothing_is_left_of_trying_to_write(own_home: Path) -> None:
    own_home.mkdir()
    preflight()
    assert os.listdir(own_home) == []  # noqa: PTH208


def test_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.CACHE, '"/tmp/x"')
    with pytest.raises(ConfigError, match=f"{home.CACHE} is .*quotes"):
        home.node_cache()
    monkeypatch.setenv(home.TRACKING, "sqlite:///~nobody-here/x.db")
    with pytest.raises(ConfigError, match=f"{home.TRACKING} is ~nobody-here"):
        home.tracking_uri()
