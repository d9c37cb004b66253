"""Send any job to a running Ray cluster.

    python -m jobs.submit --address http://127.0.0.1:8265 --home /shared/tonearm -- jobs.sweep demo --dataset scores

is ``ray job submit`` with :file:`infra/runtime_env.yaml`, ``TONEARM_HOME``, ``MLFLOW_TRACKING_URI`` and the commit.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.common import cli_errors
from tonearm.core.errors import ConfigError, JobError
from tonearm.tracking.environment import commit

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ROOT = Path(__file__).parent.parent
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_START = 90.0
NO_AGENT = (
    ": does another Ray of that machine hold the port of the agent that starts jobs? Give ray start a "
    "--dashboard-agent-listen-port of its own (52365 by default)"
)


def runtime_env(home: str, tracking_uri: str = "") -> dict[str, Any]:
    """The runtime environment of a job, from :file:`infra/runtime_env.yaml`, its paths made absolute.

    Raises
    ------
    ConfigError
        If the home is relative: on the cluster it would lie in Ray's temporary folder and be lost.
    """
    import yaml

    if not (home.startswith("/") or "://" in home):
        raise ConfigError(
            f"--home is {home or 'not set'!r}: give a folder or URI that all nodes of the cluster reach, such as "
            "/shared/tonearm or s3://bucket/tonearm"
        )
    env: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "runtime_env.yaml").read_text())
    env["working_dir"] = str(ROOT)
    env["py_modules"] = [str(ROOT / module) for module in env["py_modules"]]
    env["env_vars"] |= {"TONEARM_HOME": home, "TONEARM_COMMIT": commit()}
    if tracking_uri:
        env["env_vars"]["MLFLOW_TRACKING_URI"] = tracking_uri
    return env


def submit(address: str, module: str, arguments: list[str], home: str, tracking_uri: str = "") -> None:
    """Run ``python -m module arguments`` on a cluster and follow its output to the end.

    Raises
    ------
    JobError
        If the cluster cannot be reached, or the job does not succeed.
    """
    _use_token()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobStatus, JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.WARNING)  # it lists every file that it does not upload
    if not (ROOT / (module.replace(".", "/") + ".py")).exists():
        raise ConfigError(f"{module!r} is no job: give a module such as jobs.sweep")
    try:
        client = JobSubmissionClient(address)
    except AuthenticationError as error:
        raise JobError(
            f"the cluster at {address} wants its token: put it in ~/.ray/auth_token or RAY_AUTH_TOKEN "
            f"({str(error).splitlines()[0]})"
        ) from None
    except (ConnectionError, RuntimeError) as error:
        raise JobError(f"no Ray cluster answers at {address}: {error}") from None
    entrypoint = shlex.join(["python", "-m", module, *arguments])
    job = _hand_over(client, address, entrypoint, runtime_env(home, tracking_uri))
    print(f"submitted {job}; stop it with: ray job stop --address {address} {job}", flush=True)
    shown = 0
    while True:
        status = client.get_job_status(job)
        logs = client.get_job_logs(job)
        print(logs[shown:], end="", flush=True)
        shown = len(logs)
        if status.is_terminal():
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if status != JobStatus.SUCCEEDED:
        raise JobError(f"{job} ended as {status}: {client.get_job_info(job).message or 'see its output above'}")


def _hand_over(client: JobSubmissionClient, address: str, entrypoint: str, environment: dict[str, Any]) -> str:
    """Submit a job; a cluster that has just been started takes some seconds until it takes jobs."""
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            return str(client.submit_job(entrypoint=entrypoint, runtime_env=environment))
        except RuntimeError as error:
            starting = "No available agent" in str(error)
            if not starting or time.monotonic() > deadline:
                raise JobError(f"the cluster at {address} did not take the job: {error}{NO_AGENT * starting}") from None
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _use_token() -> None:
    """Let Ray's client send the token that ``ray start`` made on this machine; Ray reads the mode when imported."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if "RAY_AUTH_TOKEN" in os.environ or token.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def main(
    module: Annotated[str, typer.Argument(help="job, e.g. jobs.sweep")],
    arguments: Annotated[list[str] | None, typer.Argument(help="of the job")] = None,
    address: Annotated[str, typer.Option(help="of the cluster's dashboard")] = "",
    home: Annotated[str, typer.Option(help="TONEARM_HOME there; by default as it is here")] = "",
) -> None:
    """Send a job to a running cluster and follow it: python -m jobs.submit -- jobs.sweep demo."""
    with cli_errors():
        submit(
            address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265",
            module,
            arguments or [],
            home or os.environ.get("TONEARM_HOME", ""),
            os.environ.get("MLFLOW_TRACKING_URI", ""),
        )


if __name__ == "__main__":
    typer.run(main)
