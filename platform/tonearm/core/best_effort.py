"""What a run can do without: a picture, a report. Its failure is told in one line, and it is left out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def best_effort(
    what: str, function: Callable[..., Result], *args: Any, unless: Callable[[Exception], bool] | None = None
) -> Result | None:
    """Call a function whose result a run can do without; None if it fails, which is told in one line.

    Ctrl-C and the like still end the run. Models, predictions and scores are never made by way of this.

    Parameters
    ----------
    what
        What is left out then, for the message: ``"sweep.png"``.
    unless
        Whether an error is one that is raised all the same: a tracking server that is away is waited for elsewhere.
    """
    try:
        return function(*args)
    except Exception as error:
        if unless is not None and unless(error):
            raise
        reason = " ".join(str(error).split())[:200]
        logger.warning(f"  {what} could not be made and is left out: {type(error).__name__}: {reason}")
        logger.debug("the error in full", exc_info=True)
        return None
