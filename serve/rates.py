"""How often somebody may ask."""

from __future__ import annotations

import math
import time

from serve.problems import RefusedError
from tonearm.core.errors import ConfigError


class Rates:
    """Counts requests by caller. Each ingress counts its own.

    Parameters
    ----------
    text
        As the library ``limits`` reads it: ``"60/minute"``, ``"5/second; 1000/hour"``.

    Raises
    ------
    ConfigError
        If it is none.
    """

    def __init__(self, text: str) -> None:
        from limits import parse_many
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        try:
            self._rates = parse_many(text)
        except ValueError:
            raise ConfigError(f"{text!r} is no rate: write 60/minute, or 5/second; 1000/hour") from None
        self._counts = MovingWindowRateLimiter(MemoryStorage())

    def count(self, caller: str) -> None:
        """Count a request.

        Raises
        ------
        RefusedError
            429 if it is one too many, with the seconds after which to come again.
        """
        full = next((rate for rate in self._rates if not self._counts.test(rate, caller)), None)
        if full is not None:
            seconds = self._counts.get_window_stats(full, caller).reset_time - time.time()
            headers = {"Retry-After": str(max(1, math.ceil(seconds)))}
            raise RefusedError(429, "too_many", f"at most {full} are answered: come again later", headers)
        for rate in self._rates:
            self._counts.hit(rate, caller)
