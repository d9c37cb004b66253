"""A home in S3, with a database elsewhere: features, trials and MLflow's artifacts, in a server that speaks S3."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Workplace, workplace
from tests.integration.quick_sweep import extract
from tonearm.core import home, storage
from tonearm.sweeps.results import ENDING
from tonearm.tracking import query
from tonearm.tracking.overview import overview

pytestmark = pytest.mark.integration

BUCKET = "tonearm-test"
HOME = f"s3://{BUCKET}/my home"


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """The variables by which clients find a server with an empty bucket; its requests are answered by this process."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    found = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
             "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=found["AWS_ENDPOINT_URL"], **keys).create_bucket(Bucket=BUCKET)
    try:
        yield found
    finally:
        server.stop()


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, shared_ray: str, bucket: dict[str, str]) -> Iterator[Workplace]:
    """A workplace whose home is in the bucket."""
    root = tmp_path_factory.mktemp("far")
    for place in workplace(root, shared_ray):
        workers = {
            **bucket,
            home.HOME: HOME,
            home.CACHE: str(root / "cache"),
            home.TRACKING: f"sqlite:///{root}/runs.db",
        }
        drivers = {"RAY_ADDRESS": shared_ray,
                   "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"env_vars": workers}})}  # fmt: skip
        shutil.rmtree(place.home)  # its database; this home is none of this machine
        yield dataclasses.replace(place, home=root / "home", shared={**workers, **drivers})


@pytest.fixture(autouse=True)
def settings(far: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in far.shared.items():
        monkeypatch.setenv(name, value)


def test_extraction_and_sweep_with_a_home_in_s3(far: Workplace) -> None:
    extract(far)
    assert storage.list_folders(f"{HOME}/data") == ["music"]
    (store,) = [name for name in storage.list_folders(f"{HOME}/features") if name.startswith("mel-")]
    assert storage.list_files(f"{HOME}/features/{store}/parts", ".npy")
    extract(far)  # all is there

    output = far.call("jobs.sweep", "tests.integration.spaces:learning", "--dataset", "music", "--trials", "1",
                      "--epochs", "1")  # fmt: skip
    assert "not in MLflow" not in output
    (parent,) = [r for r in overview().runs if r.parent is None]
    (run,) = query.child_runs(parent.run_id)
    assert run.tags[ENDING] == "completed" and "system/process_peak_memory_megabytes" in run.metrics
    assert query.artifact_bytes(run.run_id, "bundle/bundle.json")
    assert storage.list_folders(f"{HOME}/artifacts") == ["music"]
    assert not far.home.exists() and not list(Path.cwd().glob("s3:*"))
