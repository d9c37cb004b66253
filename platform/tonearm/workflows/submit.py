"""Sending a job to a running Ray cluster and following it to its end, whatever goes away meanwhile."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonearm.core.errors import ConfigError
from tonearm.core.log_lines import VARIABLE as LOG
from tonearm.core.log_lines import wants_json
from tonearm.core.passwords import without_password
from tonearm.core.plugins import ALLOWED_MODULES, allowed_modules, modules_to_send
from tonearm.core.seeding import digest
from tonearm.core.text import command
from tonearm.tracking.environment import STATE, commit, state
from tonearm.workflows.follow_job import exit_code, follow, is_lost, spoken_time
from tonearm.workflows.preflight import submission_problems

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from tonearm.workflows.ray_jobs import RayJobs

PACKAGES = ("tonearm", "jobs", "search_spaces", "serve")


@dataclass(frozen=True)
class Submission:
    """A job that is to run on a cluster.

    Attributes
    ----------
    root
        The folder that holds the package ``jobs``: a checkout, of which the job runs in a copy, or an installation.
    job
        As in ``sweep``, or ``jobs.sweep``.
    arguments
        Of the job. Modules in them, as in ``mine.spaces:rates``, travel with it, and so do those of
        ``TONEARM_ALLOWED_MODULES``: each with the whole package that it is of.
    home, tracking_uri
        ``TONEARM_HOME`` there, a folder or URI that all nodes reach, and ``MLFLOW_TRACKING_URI``.
    variables
        Of its environment, beside these.
    """

    root: Path
    job: str
    arguments: tuple[str, ...]
    home: str
    tracking_uri: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The job's module."""
        return self.job if "." in self.job else f"jobs.{self.job}"

    def check(self) -> None:
        """Check what is known here, before Ray is imported.

        Raises
        ------
        ConfigError
            If the module is no job, or home or tracking server cannot be; all is told at once.
        """
        known = (self.root / (self.module.replace(".", "/") + ".py")).exists()
        names = [file.stem for file in (self.root / "jobs").glob("*.py")]
        close = next(iter(difflib.get_close_matches(self.module.removeprefix("jobs."), names, n=1)), "")
        hint = f"did you mean {close}?" if close else "give one such as sweep"
        problems = [] if known else [f"{self.module!r} is no job: {hint}"]
        problems += submission_problems(self.home, self.tracking_uri)
        words = [*self.arguments, *" ".join(self.variables.values()).split()]
        problems += [f"{without_password(word)}: the job's record would keep its password: set it on the nodes instead"
                     for word in words if without_password(word) != word]  # fmt: skip
        if problems:
            raise ConfigError(problems)

    @property
    def own_sources(self) -> list[Path]:
        """Folders and files of modules that travel with the job, and are not sent anyway."""
        is_checkout = (self.root / "pyproject.toml").exists()
        sent = {self.root} if is_checkout else {self.root / package for package in PACKAGES}
        words = [*self.arguments, *re.split(r"\s+", " ".join(self.variables.values()))]
        return [source for source in map(Path, modules_to_send(words)) if not sent & {source, *source.parents}]

    @property
    def id(self) -> str:
        """What it is called on the cluster: the same of the same job, arguments, code and home."""
        own = [digest(file.read_bytes()) for source in self.own_sources
               for file in ([source] if source.is_file() else sorted(source.rglob("*.py")))]  # fmt: skip
        parts = (self.arguments, self.home, self.tracking_uri, dict(self.variables), allowed_modules(), own, state())
        return f"{self.module.rpartition('.')[2].replace('_', '-')}-{digest(self.module, *parts, size=6)}"


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
    env["env_vars"] |= {"TONEARM_HOME": home, "TONEARM_COMMIT": commit(), STATE: state()}
    if wants_json():  # under an id of its own, which Ray tells it
        env["env_vars"][LOG] = "json"
    if allowed_modules():
        env["env_vars"][ALLOWED_MODULES] = ",".join(allowed_modules())
    if tracking_uri:
        env["env_vars"]["MLFLOW_TRACKING_URI"] = tracking_uri
    return env


def run_submission(
    jobs: RayJobs, submission: Submission, show: Callable[[str], None], note: Callable[[str], None], *,
    again: bool = False, retries: int = 0, off_head: bool = False,
) -> int:  # fmt: skip
    """Run a job on a cluster and follow it to the end.

    One that runs is followed, one that ended well is shown, one that failed is sent anew under a counted id.

    Parameters
    ----------
    show, note
        Take the job's output as it comes, and what is said of it.
    again
        Whether to send one anew that ended well.
    retries
        How often to send one anew whose driver was lost, with the head, say. What it finished is kept.
    off_head
        Whether its driver runs on another node than the head.

    Returns
    -------
    The job's exit code.

    Raises
    ------
    ConfigError
        If the submission cannot be.
    JobError
        If the cluster cannot be reached or does not take the job, or the job was lost or stopped.
    """
    submission.check()
    base = submission.id
    earlier = [job for job in jobs.list() if re.fullmatch(rf"{base}(-\d+)?", str(job.submission_id))]
    before = max(earlier, key=lambda job: _attempt(job.submission_id), default=None)
    job = str(before.submission_id) if before else base
    if before is not None and not before.status.is_terminal():
        note(
            f"{job} runs already, since {spoken_time(before.start_time)}: followed from where its output was last seen"
        )
    elif before is not None and before.status == "SUCCEEDED" and not again:
        note(f"{job} ended well {spoken_time(before.end_time)}, and is not sent again (--again does); it printed:")
        show(jobs.output(job) or "")
        return 0
    else:
        if before is not None:
            note(f"{job} ended as {before.status} {spoken_time(before.end_time)}: it is sent again")
            job = _next(job)
        _send(jobs, submission, job, off_head, note)
    while True:
        end = follow(jobs, job, show)
        if not is_lost(end) or retries <= 0:
            code = exit_code(job, end)
            if code:
                note(f"{job} ended with exit code {code}: its output says why")
            return code
        retries -= 1
        note(f"{job} lost its driver ({_why_lost(end)}): it is sent again and goes on with what is finished; "
             f"retries left: {retries}")  # fmt: skip
        job = _next(job)
        _send(jobs, submission, job, off_head, note)


def _send(jobs: RayJobs, submission: Submission, job: str, off_head: bool, note: Callable[[str], None]) -> None:
    entrypoint = shlex.join(["python", "-m", submission.module, *submission.arguments])
    with tempfile.TemporaryDirectory() as folder:
        own = [_as_package(source, Path(folder)) for source in submission.own_sources]
        environment = runtime_env(submission.root, submission.home, submission.tracking_uri, own)
        environment["env_vars"] |= submission.variables
        jobs.send(job, entrypoint, environment, off_head)
    note(f"submitted {job}; Ctrl-C leaves it running. Follow it again: {attach_command(jobs.address, job)}\n"
         f"stop it: {stop_command(jobs.address, job)}")  # fmt: skip


def attach_command(address: str, job: str) -> str:
    """How a person follows a job again."""
    return command("submit", "attach", job, "--address", address)


def stop_command(address: str, job: str) -> str:
    """How a person stops a job."""
    return command("submit", "stop", job, "--address", address)


def _attempt(job: str | None) -> int:
    suffix = re.fullmatch(r".*-[0-9a-f]{12}-(\d+)", str(job))
    return int(suffix[1]) if suffix else 1


def _next(job: str) -> str:
    number = _attempt(job)
    return f"{job.removesuffix(f'-{number}') if number > 1 else job}-{number + 1}"


def _why_lost(end: JobDetails | None) -> str:
    if end is None:
        return "the cluster knows it no more"
    return str(end.message or end.status).splitlines()[0].partition(", last available logs")[0][:200]


def _as_package(source: Path, folder: Path) -> str:
    """The folder of a package; of a module that is one file a package of that name, since Ray sends folders only."""
    if source.is_dir():
        return str(source)
    package = folder / source.stem
    package.mkdir()
    shutil.copyfile(source, package / "__init__.py")
    return str(package)
