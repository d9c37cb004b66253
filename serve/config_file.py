"""A configuration file as ``serve deploy`` takes it, such as serve/config/cluster.yaml: read, and sent to a cluster."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from serve.access import require_tokens, tokens_uri
from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.registry import unknown_name
from tonearm.core.text import read_yaml
from tonearm.tracking import names
from tonearm.workflows.ray_jobs import RayJobs
from tonearm.workflows.sent_files import read_file

OURS = "serve.app:build"
APPLICATIONS = "/api/serve/applications/"  # of Ray's dashboard
SECONDS_BETWEEN_LOOKS = 1.0


def read_config(file: str, dataset: str) -> dict[str, Any]:
    """What a configuration file says; it serves the champion of a data set.

    Raises
    ------
    ConfigError
        With all that is wrong.
    """
    document = read_yaml(read_file(file), "a configuration")
    if not isinstance(document, dict):
        raise ConfigError("a configuration has keys: applications, http_options, ...; see serve/config/cluster.yaml")
    problems = list(_problems(document))
    wanted = f"models:/{names.model_name(dataset)}@{names.CHAMPION}"
    if not problems:
        models = [str(args["model"]) for args in _our_arguments(document)]
        if wanted not in models:
            problems.append(f"no application of {OURS} has {wanted} as its model, but {', '.join(models) or 'none'}")
    if problems:
        raise ConfigError(problems)
    return document


def deploy_config(document: Mapping[str, Any], address: str, seconds: float) -> None:
    """Have a cluster's Ray Serve run what a configuration says, and wait until it does.

    What is not said of the home and the tracking server in an application's environment is this process's.

    Parameters
    ----------
    document
        As :func:`read_config` has it.
    address
        Of the cluster's dashboard, as :class:`RayJobs` takes it.
    seconds
        That it may take.

    Raises
    ------
    ConfigError
        If who asks would need a token, and nobody has one.
    JobError
        If the cluster does not take it, or an application of it does not run in time.
    """
    if any(args.get("tokens") is not False for args in _our_arguments(document)):
        require_tokens("the host of a deployment", tokens_uri())
    jobs = RayJobs(address)
    applications = [_at_home(application) for application in document["applications"]]
    jobs.put(APPLICATIONS, {**document, "applications": applications})
    waited = [str(application.get("name", "default")) for application in applications]
    deadline = time.monotonic() + seconds
    while waited:
        known = jobs.get(APPLICATIONS)["applications"]
        for name in list(waited):
            found = known.get(name) or {"status": "NOT_STARTED", "message": ""}
            if found["status"] == "RUNNING":
                waited.remove(name)
            elif found["status"] == "DEPLOY_FAILED":
                raise JobError(f"{name} could not be deployed: {_reason(found['message'])}")
            elif time.monotonic() > deadline:
                said = f"it is {found['status']}: {_reason(found['message'])}".rstrip(": ")
                raise JobError(f"{name} does not run {seconds:.0f} s after it was deployed: {said}")
        time.sleep(SECONDS_BETWEEN_LOOKS if waited else 0)


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    from pydantic import ValidationError
    from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

    from serve.launch import check_settings

    yield from _unknown_keys(document, ServeDeploySchema.model_fields)
    try:
        ServeDeploySchema.model_validate(document)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors())
        return
    for application in document["applications"]:
        yield from _unknown_keys(application, ServeApplicationSchema.model_fields)
    for args in _our_arguments(document):
        try:
            check_settings(**args)
        except ConfigError as error:
            yield from error.problems


def _unknown_keys(given: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    """Which keys Serve would pass over."""
    yield from (str(unknown_name("key", str(key), known)) for key in given if key not in known)


def _our_arguments(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of our applications."""
    return [found.get("args") or {} for found in document["applications"] if found["import_path"] == OURS]


def _at_home(application: Mapping[str, Any]) -> dict[str, Any]:
    """An application whose processes know the home and tracking server that this one has."""
    environment = application.get("runtime_env") or {}
    variables = {**home.handed_variables(), **(environment.get("env_vars") or {})}
    return {**application, "runtime_env": {**environment, "env_vars": variables}}


def _reason(message: str) -> str:
    """Of what Serve says, a traceback at most, the line that tells."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line), " ".join(lines))[:500]
