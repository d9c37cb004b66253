"""Real servers that tests start, stop and kill: PostgreSQL and MLflow's own, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from tests.tracking_database import put_database

PATIENCE = 300.0  # seconds, on a slow machine with other work


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.1)


def installed(program: str) -> Path | None:
    """The path of a program, also where Debian puts those of PostgreSQL."""
    places = [str(p) for p in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(program) or shutil.which(program, path=os.pathsep.join(places))
    return Path(found).resolve() if found else None


def needs(program: str) -> Path:
    """The path of an installed program; where it is missing the test is skipped, but fails in CI."""
    found = installed(program)
    if found is None:
        package = "prometheus" if program.startswith("prom") else "postgresql"
        missing(f"{program}: apt-get install {package}")
    return found


def missing(what: str) -> NoReturn:
    """Skip the test, which needs something that is not here; in CI fail it."""
    if os.environ.get("TONEARM_CI"):
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@dataclass
class Postgres:
    """A PostgreSQL server in a folder of its own, which can be stopped and started again.

    Attributes
    ----------
    host
        The address that it listens on.
    password
        Of its user; "": it asks for none.
    """

    programs: Path
    folder: Path
    user: str | None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    host: str = "127.0.0.1"
    password: str = ""

    @property
    def uri(self) -> str:
        """With its password."""
        return f"postgresql://tonearm{f':{self.password}' * bool(self.password)}@{self.host}:{self.port}/postgres"

    def create(self) -> None:
        kept = self.folder / "password"
        kept.write_text(self.password)
        asked = ["-A", "scram-sha-256", "--pwfile", kept] if self.password else ["-A", "trust"]
        initdb = [self.programs / "initdb", "-D", self.folder / "data", *asked, "-U", "tonearm", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, user=self.user, cwd=self.folder)
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n" * bool(self.password))

    def start(self) -> None:
        command = [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder,
                   "-c", f"listen_addresses={self.host}", "-c", "fsync=off"]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        wait_until(self._answers, f"PostgreSQL started, see {self.folder / 'log'}")

    def stop(self) -> None:
        """A fast shutdown: connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)
            self.process = None

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.uri).close()
        except psycopg.OperationalError:
            return False
        return True


@dataclass
class TrackingServer:
    """A real ``mlflow server``, which can be killed and started again.

    Attributes
    ----------
    host
        The address that it listens on.
    database, artifacts
        URIs; by default SQLite and a folder.
    environment
        More variables of the server's.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    host: str = "127.0.0.1"
    database: str = ""
    artifacts: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        database = self.database or f"sqlite:///{self.folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database,
                   "--artifacts-destination", self.artifacts or str(self.folder / "artifacts"),
                   "--host", self.host, "--allowed-hosts", f"{self.host}:{self.port}",
                   "--port", str(self.port), "--workers", "1"]  # fmt: skip
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **self.environment}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        wait_until(self._answers, f"the MLflow server started, see {self.folder / 'log'}")

    def kill(self) -> None:
        """End it as a power cut would, with its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def running_postgres(host: str = "127.0.0.1", password: str = "") -> Iterator[Postgres]:
    """A fresh server, for as long as a fixture lasts."""
    initdb = needs("initdb")
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="tonearm-postgres-"))
    server = Postgres(initdb.parent, folder, "nobody" if root else None, host=host, password=password)
    if root:
        shutil.chown(folder, "nobody")
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
    shutil.rmtree(folder)


def running_server(folder: Path) -> Iterator[TrackingServer]:
    """MLflow's server, for as long as a fixture lasts."""
    put_database(folder)
    server = TrackingServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
