"""Places, and the code, that a trial's worker is told: Tune writes them to files, so that no password is among them."""

from __future__ import annotations

from tonearm.core import home
from tonearm.core.log_lines import log_variables
from tonearm.training.trained_code import CODE, code_digest


def worker_places() -> dict[str, str]:
    """The driver's places for a worker."""
    return {**home.handed_variables(), **log_variables(), CODE: code_digest()}
