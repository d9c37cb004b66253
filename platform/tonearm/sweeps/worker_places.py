"""Places, and the code, that a trial's worker is told, without a password that Tune would write to its files."""

from __future__ import annotations

from urllib.parse import urlsplit

import ray

from tonearm.core import home
from tonearm.core.log_lines import log_variables
from tonearm.training.trained_code import CODE, code_digest


def worker_places() -> dict[str, str]:
    """The driver's places for a worker. Tune writes them to files: a tracking URI with a password is left out where
    Ray hands it to every worker's environment."""
    places = home.place_variables()
    handed = ray.get_runtime_context().runtime_env.get("env_vars") or {}
    uri = places.get(home.TRACKING, "")
    if urlsplit(uri).password and handed.get(home.TRACKING) == uri:
        del places[home.TRACKING]
    return {**places, **log_variables(), CODE: code_digest()}
