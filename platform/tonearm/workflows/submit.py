"""Sending a job to a running Ray cluster and following it."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonearm.core.errors import ConfigError, JobError
from tonearm.core.plugins import ALLOWED_MODULES, allowed_modules, modules_to_send
from tonearm.core.process_environment import spare_loopback
from tonearm.tracking.environment import commit
from tonearm.workflows.preflight import submission_problems

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PACKAGES = ("tonearm", "jobs", "search_spaces", "serve")
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_START = 90.0
NO_AGENT = (
    ": does another Ray of that machine hold the port of the agent that starts jobs? Give ray start a "
    "--dashboard-agent-listen-port of its own (52365 by default)"
)


def runtime_env(root: Path, home: str, tracking_uri: str = "", packages: Sequence[str] = ()) -> dict[str, Any]:
    """The runtime environment of a job, from :file:`infra/runtime_env.yaml`, its paths made absolute.

    Parameters
    ----------
    root
        The checkout that the job runs in a copy of, or where the packages are installed: then they alone are sent.
    packages
        Folders of Python packages that travel with it.

    Raises
    ------
    ConfigError
        If home or tracking server cannot work there; a relative home, say, would lie in Ray's temporary folder.
    """
    import yaml

    problems = list(submission_problems(home, tracking_uri))
    if problems:
        raise ConfigError(problems)
    env: dict[str, Any] = yaml.safe_load((root / "infra" / "runtime_env.yaml").read_text())
    if (root / "pyproject.toml").exists():
        env["working_dir"] = str(root)
        env["py_modules"] = [str(root / module) for module in env["py_modules"]]
    else:  # beside installed packages lie all others
        del env["working_dir"], env["excludes"]
        env["py_modules"] = [str(root / package) for package in PACKAGES]
    env["py_modules"] += packages
    env["env_vars"] |= {"TONEARM_HOME": home, "TONEARM_COMMIT": commit()}
    if allowed_modules():
        env["env_vars"][ALLOWED_MODULES] = ",".join(allowed_modules())
    if tracking_uri:
        env["env_vars"]["MLFLOW_TRACKING_URI"] = tracking_uri
    return env


def submit(
    root: Path, address: str, module: str, arguments: Sequence[str], home: str, tracking_uri: str = ""
) -> Iterator[str]:
    """Run ``python -m module arguments`` on a cluster and follow it to the end; yields its output as it comes.

    Parameters
    ----------
    root
        The folder that holds the package ``jobs``: a checkout, of which the job runs in a copy, or an installation.
    module
        As in ``sweep``, or ``jobs.sweep``.
    address
        Of the cluster's dashboard.
    arguments
        Of the job. Modules in them, as in ``mine.spaces:rates``, travel with it, and so do those of
        ``TONEARM_ALLOWED_MODULES``: each with the whole package that it is of.
    home
        ``TONEARM_HOME`` there: a folder or URI that all nodes reach.

    Raises
    ------
    ConfigError
        If the module is no job, or home, tracking server or an allowed module cannot be; all is told at once.
    JobError
        If the cluster cannot be reached, or the job does not succeed.
    """
    module = module if "." in module else f"jobs.{module}"
    known = (root / (module.replace(".", "/") + ".py")).exists()
    problems = [] if known else [f"{module!r} is no job: give one such as sweep"]
    problems += submission_problems(home, tracking_uri)
    if problems:  # told before Ray is imported
        raise ConfigError(problems)
    os.environ.update(spare_loopback())
    _use_token()
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobStatus, JobSubmissionClient

    logging.getLogger("ray").setLevel(logging.WARNING)  # it lists every file that it does not upload
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
    with tempfile.TemporaryDirectory() as folder:
        sent = {root} if (root / "pyproject.toml").exists() else {root / package for package in PACKAGES}
        own = [source for source in map(Path, modules_to_send(arguments)) if not sent & {source, *source.parents}]
        environment = runtime_env(root, home, tracking_uri, [_as_package(source, Path(folder)) for source in own])
        job = _hand_over(client, address, entrypoint, environment)
    yield f"submitted {job}; stop it with: ray job stop --address {address} {job}\n"
    shown = 0
    while True:
        status = client.get_job_status(job)
        logs = client.get_job_logs(job)
        yield logs[shown:]
        shown = len(logs)
        if status.is_terminal():
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if status != JobStatus.SUCCEEDED:
        raise JobError(f"{job} ended as {status}: {client.get_job_info(job).message or 'see its output above'}")


def _as_package(source: Path, folder: Path) -> str:
    """The folder of a package; of a module that is one file a package of that name, since Ray sends folders only."""
    if source.is_dir():
        return str(source)
    package = folder / source.stem
    package.mkdir()
    shutil.copyfile(source, package / "__init__.py")
    return str(package)


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
