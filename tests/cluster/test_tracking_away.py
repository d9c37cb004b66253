"""MLflow's server, its database or its artifacts' store away for a minute while a cluster sweeps: nothing is lost."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.conftest import say_if_not_isolated
from tests.cluster.nodes import QUICK, Cluster, cluster
from tests.cluster.sweeps import EPOCHS, enter, long_sweep, prepared, undisturbed_sweep
from tests.integration.conftest import Workplace
from tests.integration.quick_sweep import Figures, midway, output_of, require_complete, wait
from tests.object_store import BUCKET, ObjectStore, running_object_store
from tests.servers import Postgres, TrackingServer, running_postgres
from tonearm.tracking.overview import overview

pytestmark = [pytest.mark.integration, pytest.mark.long]

SECONDS_AWAY = 60.0


@dataclass
class Servers:
    """MLflow as infra/compose.yaml has it: runs in PostgreSQL, artifacts in S3 through the server."""

    postgres: Postgres
    store: ObjectStore
    mlflow: TrackingServer

    def stop(self, which: str) -> None:
        {"mlflow": self.mlflow.kill, "postgresql": self.postgres.stop, "s3": self.store.kill}[which]()

    def start(self, which: str) -> None:
        {"mlflow": self.mlflow.start, "postgresql": self.postgres.start, "s3": self.store.start}[which]()


@pytest.fixture(scope="module")
def made(short_folder: Path) -> Iterator[tuple[Cluster, Servers]]:
    with cluster(short_folder / "away", **QUICK) as found, running_object_store(short_folder / "kept") as store:
        say_if_not_isolated(found.network)
        for postgres in running_postgres():
            mlflow = TrackingServer(short_folder, host=found.network.here, database=postgres.uri,
                                    artifacts=f"s3://{BUCKET}/mlflow", environment=store.variables)  # fmt: skip
            try:
                mlflow.start()
                found.environment["MLFLOW_TRACKING_URI"] = mlflow.uri
                found.wait_for(found.add("head"))
                found.wait_for(found.head, found.add("node"))
                yield found, Servers(postgres, store, mlflow)
            finally:
                mlflow.kill()


@pytest.fixture(scope="module")
def place(made: tuple[Cluster, Servers], recordings: Path) -> Workplace:
    return prepared(made[0], recordings)


@pytest.fixture(autouse=True)
def tracking(made: tuple[Cluster, Servers], place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(place.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made[1].mlflow.uri)


@pytest.fixture(scope="module")
def undisturbed(made: tuple[Cluster, Servers], place: Workplace) -> Figures:
    return undisturbed_sweep(made[0], place)


@pytest.mark.parametrize(("seed", "which"), [(1, "mlflow"), (2, "postgresql"), (3, "s3")])
def test_a_server_is_away_for_a_minute(
    seed: int, which: str, made: tuple[Cluster, Servers], place: Workplace, undisturbed: Figures
) -> None:
    network, servers = made
    enter(network, place)
    driver = network.begin(*long_sweep(seed))
    wait(driver, lambda: midway(place, seed, EPOCHS), "a trial is midway")
    servers.stop(which)
    try:
        stay(driver)
    finally:
        servers.start(which)
    output = output_of(driver)
    assert "Traceback" not in output, output
    require_complete(place, seed, undisturbed, EPOCHS)
    assert {run.status for run in overview().runs} == {"FINISHED"}


def stay(driver: subprocess.Popen[str]) -> None:
    """A minute, whether or not the sweep ends in it; it may not, since what it came to cannot be kept."""
    began = time.monotonic()
    while time.monotonic() < began + SECONDS_AWAY:
        assert driver.poll() is None, f"it ended while a server was away:\n{driver.stdout and driver.stdout.read()}"
        time.sleep(0.5)
