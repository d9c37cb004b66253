"""Places, and the code, that a trial's worker is told: Tune writes them to files, so that no password is among them."""

from __future__ import annotations

from ray.tune.execution import class_cache

from tonearm.core import home
from tonearm.core.log_lines import log_variables
from tonearm.training.trained_code import CODE, code_digest

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def worker_places() -> dict[str, str]:
    """The driver's places for a worker."""
    return {**home.handed_variables(), **log_variables(), CODE: code_digest()}


def keep_keys() -> None:
    """Let Tune hand no keys of S3 to its workers: they would stand in these processes' arguments, which everybody on a
    machine may read, and in Ray's logs. Workers inherit those of their machine."""
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(KEYS)
