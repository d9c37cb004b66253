"""Ray's job API, asked with patience: a head that is away for a moment ends nothing."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tonearm.core.errors import ConfigError, JobError
from tonearm.core.process_environment import spare_loopback
from tonearm.core.registry import unknown_name

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

T = TypeVar("T")

DASHBOARD = "http://127.0.0.1:8265"  # where Ray has it
PATIENCE = 120.0  # seconds that a head which has answered before may be away
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_CONNECT, SECONDS_TO_ANSWER = 10.0, 60.0  # Ray's client by itself would wait for ever
SECONDS_TO_START = 90.0
LEAST_PYTHON = (3, 11)
ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # which Ray's client prefers to the address that it is given
NO_AGENT = (
    ": does another Ray of that machine hold the port of the agent that starts jobs? Give ray start a "
    "--dashboard-agent-listen-port of its own (52365 by default)"
)


class LostJobError(JobError):
    """A job that the cluster does not know, or knows no more."""


class RayJobs:
    """The jobs of a running cluster.

    Parameters
    ----------
    address
        Of the cluster's dashboard, ``http://HOST:8265``; "": what ``RAY_API_SERVER_ADDRESS`` says, else this machine.
    patience
        Seconds to wait for a head that does not answer; None: for one that has answered before
        :data:`PATIENCE`, else none.
    note
        Is told once when the head is away, and once when it is back.

    Raises
    ------
    ConfigError
        If the address is none.
    JobError
        If no cluster answers there, it refuses the token, or its Ray or Python is another than jobs need.
    """

    def __init__(self, address: str, patience: float | None = None, note: Callable[[str], None] = print) -> None:
        address = address or os.environ.get(ADDRESSES[0], "").strip() or DASHBOARD
        if not re.match(r"https?://[^/]", address):
            raise ConfigError(f"{address!r} is no address of a cluster's dashboard: give http://HOST:8265")
        self.address = address.rstrip("/")
        self._patience, self._note = patience or 0.0, note
        os.environ.update(spare_loopback())
        _use_token()
        try:
            self._client: JobSubmissionClient = self._ask(lambda: _connect(self.address))
        except (KeyError, TypeError, RuntimeError):  # it answers, but not with Ray's version
            raise JobError(f"no Ray cluster answers at {self.address}, but something else") from None
        self._patience = PATIENCE if patience is None else patience
        self._require_versions()

    def list(self) -> list[JobDetails]:
        """What was submitted, the first first."""
        found = [job for job in self._ask(self._client.list_jobs) if job.submission_id]
        return sorted(found, key=lambda job: job.start_time or 0)

    def find(self, text: str) -> JobDetails:
        """A job by its submission id, or a beginning of that one alone.

        Raises
        ------
        ConfigError
            If there is none, or several begin so.
        """
        known = {str(job.submission_id): job for job in self.list()}
        if text in known:
            return known[text]
        fitting = [name for name in known if text and name.startswith(text)]
        if len(fitting) > 1:
            raise ConfigError(f"{text!r} fits {len(fitting)} jobs: give one of {', '.join(fitting)}")
        if not fitting:
            raise unknown_name("job", text, known)
        return known[fitting[0]]

    def info(self, job: str) -> JobDetails:
        """How a job is.

        Raises
        ------
        LostJobError
            If the cluster does not know it: a head that keeps nothing was started anew.
        """
        return self._ask(lambda: self._client.get_job_info(job))

    def output(self, job: str) -> str | None:
        """All that a job has printed so far; None if the node that it lies on does not say."""
        return self._ask(lambda: self._client.get_job_logs(job), otherwise=None)

    def stop(self, job: str) -> bool:
        """Ask a job to end; whether it ran."""
        return bool(self._ask(lambda: self._client.stop_job(job)))

    def send(self, job: str, entrypoint: str, environment: dict[str, Any], off_head: bool = False) -> None:
        """Submit a job under an id of ours; one that is there is not sent twice.

        Raises
        ------
        JobError
            If the cluster does not take it.
        """
        selector = {"ray.io/node-id": f"!{self._head_node()}"} if off_head else None
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self._ask(lambda: self._client.submit_job(
                    entrypoint=entrypoint, runtime_env=environment, submission_id=job,
                    entrypoint_label_selector=selector,
                ), starting=True)  # fmt: skip
                return
            except RuntimeError as error:
                if "already exists" in str(error):  # sent by another one, or the answer to us was lost
                    return
                starting = "No available agent" in str(error)  # a cluster that has just been started
                if not starting or time.monotonic() > deadline:
                    raise JobError(
                        f"the cluster at {self.address} did not take the job: {_line(error)}{NO_AGENT * starting}"
                    ) from None
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def get(self, path: str) -> Any:
        """What the dashboard has at a path."""

        def got() -> Any:
            answer = self._client._do_request("GET", path)
            answer.raise_for_status()
            return answer.json()

        return self._ask(got)

    def put(self, path: str, content: Mapping[str, Any]) -> None:
        """Have the dashboard take something at a path.

        Raises
        ------
        JobError
            If it does not take it.
        """

        def sent() -> None:
            answer = self._client._do_request("PUT", path, json_data=dict(content))
            if answer.status_code in (400, 500):
                raise JobError(f"the cluster at {self.address} does not take it: {_line(RuntimeError(answer.text))}")
            answer.raise_for_status()

        self._ask(sent)

    def _head_node(self) -> str:
        nodes = self.get("/nodes?view=summary")["data"]["summary"]
        return next(str(n["raylet"]["nodeId"]) for n in nodes if n["raylet"].get("isHeadNode"))

    def _require_versions(self) -> None:
        """Check Ray's version there against ours, and that Python is one that Tonearm runs on.

        Raises
        ------
        JobError
            If a job could not work.
        """
        import ray

        there = str(self.get("/api/version")["ray_version"])
        if there.split(".")[:2] != ray.__version__.split(".")[:2]:
            raise JobError(
                f"the cluster at {self.address} runs Ray {there}, and jobs are written for Ray {ray.__version__}: "
                f"install ray=={ray.__version__} on its nodes"
            )
        found: Mapping[str, Any] = self.get("/api/v0/cluster_metadata").get("data") or {}
        python = str(found.get("pythonVersion", ""))
        number = tuple(int(part) for part in re.findall(r"\d+", python)[:2])
        if number and number < LEAST_PYTHON:
            raise JobError(
                f"the cluster at {self.address} runs Python {python}, and Tonearm needs "
                f"{'.'.join(map(str, LEAST_PYTHON))} or newer on its nodes"
            )

    def _ask(self, what: Callable[[], T], otherwise: Any = Ellipsis, starting: bool = False) -> T:
        """The answer to a question, with patience while the head is away.

        Parameters
        ----------
        otherwise
            The answer where the head is there, but fails to find one; without it that counts as being away.
        starting
            Whether the caller treats a failure of the head itself.
        """
        since, pause = 0.0, SECONDS_BETWEEN_LOOKS
        while True:
            try:
                answer = what()
            except Exception as error:
                code, reason = _why(error)
                if code is None:
                    raise
                if code in (401, 403):
                    raise JobError(self._wrong_token(code)) from None
                if code == 404 and "does not exist" in str(error):
                    raise LostJobError(_line(error)) from None
                if code >= 500 and otherwise is not Ellipsis:
                    return otherwise  # type: ignore[no-any-return]
                if 0 < code < 500 or (starting and code == 500):
                    raise
                now = time.monotonic()
                if now - (since or now) >= self._patience:
                    for_long = f" for {self._patience:.0f} s" if self._patience else ""
                    raise JobError(f"no Ray cluster answers at {self.address}{for_long}: {reason}") from None
                if not since:
                    self._note(f"the head at {self.address} does not answer ({reason}); waiting {self._patience:.0f} s")
                    since = now
                time.sleep(pause)
            else:
                if since:
                    self._note(f"the head at {self.address} answers again")
                return answer

    def _wrong_token(self, code: int) -> str:
        said = "wants its token" if code == 401 else "refuses this token"
        return f"the cluster at {self.address} {said}: put the one of its head in ~/.ray/auth_token or RAY_AUTH_TOKEN"


def _connect(address: str) -> JobSubmissionClient:
    from ray.job_submission import JobSubmissionClient

    for handler in logging.getLogger("ray").handlers:  # its modules list every file that they do not upload
        if type(handler).__module__.startswith("ray."):  # one's own handlers may be others', too
            handler.setLevel(logging.ERROR)

    class Client(JobSubmissionClient):
        """Ray's own, that does not wait for ever."""

        def _do_request(self, *args: Any, **more: Any) -> Any:
            return super()._do_request(*args, **{"timeout": (SECONDS_TO_CONNECT, SECONDS_TO_ANSWER), **more})

    with _without(*ADDRESSES):
        return Client(address)


@contextmanager
def _without(*names: str) -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _why(error: Exception) -> tuple[int | None, str]:
    """The status of HTTP that an error of Ray's client stands for, 0 if there was no answer, None if it stands for
    none; and a line on it."""
    import requests
    from ray.exceptions import AuthenticationError

    if isinstance(error, AuthenticationError):
        return (403 if "failed" in str(error).partition(":")[0] else 401), _line(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code, _line(error)
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return 0, "something else answers there"
    if isinstance(error, ConnectionError | requests.RequestException):
        return 0, _line(error)
    status = re.search(r"status code (\d{3})", str(error)) if isinstance(error, RuntimeError) else None
    return (int(status[1]), _line(error)) if status else (None, "")


def _line(error: Exception) -> str:
    """What an error says, in one line: of a traceback that the head sent the last one, of a connection the cause."""
    cause = getattr(error.args[0], "reason", None) if error.args else None  # urllib3's, within requests' own
    text = str(cause).rpartition(": ")[2] if cause else str(error).strip()
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return (lines[-1] if "Traceback (" in text else lines[0])[:300].strip(" .")


def _use_token() -> None:
    """Let Ray's client send the token that ``ray start`` made on this machine; Ray reads the mode when imported."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if "RAY_AUTH_TOKEN" in os.environ or token.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
