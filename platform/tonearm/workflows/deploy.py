"""Making what was selected answer: a version is promoted, and a running server that follows the registry takes it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tonearm.client import Client
from tonearm.core.errors import ClientError, JobError, TrackingError
from tonearm.core.text import command
from tonearm.tracking import names
from tonearm.tracking.query import registered
from tonearm.tracking.register import promote
from tonearm.tracking.retry import retry

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_ANSWER = 10.0


def deploy(
    dataset: str,
    server: str = "",
    promote_anyway: bool = False,
    seconds: float = 600.0,
    start: Callable[[], None] | None = None,
) -> str:
    """Deploy a data set's champion: a server that follows the registry takes it by itself, which is waited for.

    Parameters
    ----------
    dataset
        Of the registered model.
    server
        URL of a server, ``http://HOST:8000``; "": nobody is waited for.
    promote_anyway
        Whether what was selected last becomes the champion, although it was not shown to be better.
    seconds
        How long the server may take.
    start
        Called once there is a champion: it starts servers, say.

    Returns
    -------
    What answers now, for people.

    Raises
    ------
    ConfigError
        If the server's URL is none.
    TrackingError
        If nothing is registered.
    JobError
        If there is no champion, or the server does not take it in time, or serves another model.
    """
    name = names.model_name(dataset)
    champion, candidate = (retry(registered, dataset, alias) for alias in (names.CHAMPION, names.CANDIDATE))
    if champion is None and candidate is None:
        raise TrackingError(f"there is no registered model {name}: {command('select', 'SWEEP')} makes one")
    if promote_anyway and candidate is not None and (champion is None or champion.version != candidate.version):
        retry(promote, dataset, candidate.version, "as was asked for when it was deployed")
        champion = candidate
    if champion is None:
        raise JobError(
            f"no version of {name} is its champion: {command('deploy', dataset, '--promote')} makes the one that was "
            "selected last it"
        )
    said = f"{name} version {champion.version} is the champion"
    if candidate is not None and candidate.version != champion.version:
        said += f" (version {candidate.version}, selected last, is not: --promote makes it)"
    if start is not None:
        start()
    if not server:
        return f"{said}; servers that follow it take it by themselves"
    _wait_until_served(server, name, champion.version, seconds)
    return f"{said}, and answers at {server}"


def check_server(server: str) -> None:
    """Check a server's URL, where one is given.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if server:
        Client(server).close()


def _wait_until_served(server: str, name: str, version: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    seen = "it did not answer"
    with Client(server, seconds=min(SECONDS_TO_ANSWER, max(1.0, seconds))) as client:  # it is asked once at least
        while True:
            try:
                health = client.health()
            except ClientError as error:
                if 400 <= error.status < 500:
                    raise JobError(f"the server at {server} cannot be asked: {error}") from None
                seen = str(error)
            else:
                if (health["model"], health["version"]) == (name, version):
                    return
                if health["status"] == "ok" and (health["model"] != name or not health["version"]):
                    raise JobError(
                        f"the server at {server} serves {health['model']}, and not the champion of {name}: start one "
                        f"with {command('serve', '--model', f'models:/{name}@{names.CHAMPION}')}"
                    )
                seen = health["problem"] or f"it is {health['status']}, with version {health['version'] or 'none'}"
            if time.monotonic() > deadline:
                raise JobError(f"the server at {server} did not take version {version} in {seconds:.0f} s: {seen}")
            time.sleep(SECONDS_BETWEEN_LOOKS)
