"""A configuration file of Serve's: what is wrong with it is told before anything runs, and a cluster is sent it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import pipeline
from jobs.cli import build
from serve import config_file
from serve.config_file import deploy_config, read_config
from tests.job_server import FakeCluster, fake_cluster
from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.workflows.sent_files import variable

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "serve" / "config" / "cluster.yaml").read_text()
OPEN = TEXT.replace("tokens: true ", "tokens: false ")


def written(folder: Path, text: str) -> str:
    """A file that has this text."""
    file = folder / "serve.yaml"
    file.write_text(text)
    return str(file)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    import ray

    monkeypatch.setattr(config_file, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("tonearm.workflows.follow_job.SECONDS_BETWEEN_LOOKS", 0.01)
    with fake_cluster() as found:
        found.ray_version = ray.__version__
        yield found


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("tokens:", "tokns:", "tokns: Extra inputs are not permitted"),
        ("replicas: 2 ", "replicas: 0 ", "replicas: Input should be greater than or equal to 1, got 0"),
        ("http_options", "http_option", "unknown key 'http_option'. Did you mean 'http_options'?"),
        ("route_prefix", "rout_prefix", "unknown key 'rout_prefix'. Did you mean 'route_prefix'?"),
        ("import_path", "imprt_path", "applications.0.import_path: Field required"),
        (
            "tonearm-scores@",
            "tonearm-other@",
            "has models:/tonearm-scores@champion as its model, but models:/tonearm-o",
        ),
        ("serve.app:build", "mine.app:build", "has models:/tonearm-scores@champion as its model, but none"),
        (TEXT, "- 1", "a configuration has keys: applications"),
        (TEXT, "x: [\n", "a configuration is YAML: line 2"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as error:
        read_config(written(tmp_path, TEXT.replace(old, new)), "scores")
    assert told in str(error.value)


def test_a_pipeline_tells_it_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(TEXT.replace("tokens:", "tokns:"))
    with pytest.raises(ConfigError) as error:
        pipeline.read("p.yaml", f"steps:\n  - deploy scores --config {tmp_path}/no.yaml\n"
                                f"  - deploy scores --config {tmp_path}/serve.yaml")  # fmt: skip
    first, second = error.value.problems
    assert first == f"step 1: {tmp_path}/no.yaml cannot be read: No such file or directory"
    assert second.startswith("step 2: tokns: ")


def test_a_step_whose_configuration_has_changed_is_another_one(tmp_path: Path) -> None:
    keys = []
    for text in (TEXT, TEXT, TEXT.replace("rate: 600", "rate: 60")):
        (tmp_path / "serve.yaml").write_text(text)
        keys.append(pipeline.read("p.yaml", f"steps: [deploy scores --config {tmp_path}/serve.yaml]").keys())
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("name", ["deploy", "pipeline"])
def test_the_file_travels_with_what_is_submitted(name: str, tmp_path: Path, cluster: FakeCluster) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(TEXT)
    (tmp_path / "p.yaml").write_text(f"steps: [deploy scores --config {file}]")
    words = ["deploy", "scores", "--config", str(file)] if name == "deploy" else ["pipeline", str(tmp_path / "p.yaml")]
    with pytest.raises(SystemExit) as end:
        build(["submit"])(["submit", "--address", cluster.url, "--home", "/shared", "--", *words])
    assert end.value.code == 0
    variables = cluster.sent[0]["runtime_env"]["env_vars"]
    assert variables[variable(str(file))] == TEXT
    file.unlink()
    with pytest.MonkeyPatch.context() as there:
        for key, value in variables.items():
            there.setenv(key, value)
        (step,) = pipeline.read("p.yaml", f"steps: [deploy scores --config {file}]").steps
    assert step.values["configuration"]["applications"][0]["name"] == "tonearm"


def test_a_cluster_serves_with_this_home(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.serving = [{}, {"status": "DEPLOYING", "message": ""}, {"status": "RUNNING", "message": ""}]
    own = OPEN + "    runtime_env: {env_vars: {TONEARM_CACHE: /fast}}\n"
    deploy_config(read_config(written(tmp_path, own), "scores"), cluster.url, 60)
    (application,) = cluster.serves[0]["applications"]
    variables = application["runtime_env"]["env_vars"]
    assert (variables["TONEARM_HOME"], variables["TONEARM_CACHE"]) == (home.home(), "/fast")
    assert cluster.serves[0]["http_options"]["port"] == 8000


def test_what_does_not_run_is_told(cluster: FakeCluster, tmp_path: Path) -> None:
    document = read_config(written(tmp_path, OPEN), "scores")
    with pytest.raises(JobError, match="does not take it: ValidationError: no"):
        deploy_config(document, cluster.url, 60)
    failed = "Traceback (most recent call last):\n  File x\nConfigError: no such model\n"
    cluster.serving = [{"status": "DEPLOY_FAILED", "message": failed}]
    with pytest.raises(JobError, match=r"^tonearm could not be deployed: ConfigError: no such model$"):
        deploy_config(document, cluster.url, 60)
    cluster.serving = [{"status": "DEPLOYING", "message": ""}]
    with pytest.raises(JobError, match=r"^tonearm does not run 0 s after it was deployed: it is DEPLOYING$"):
        deploy_config(document, cluster.url, 0)
    with pytest.raises(ConfigError, match="nobody has a token"):
        deploy_config(read_config(written(tmp_path, TEXT), "scores"), cluster.url, 60)
