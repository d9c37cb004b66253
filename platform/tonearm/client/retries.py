"""Asking again: what may succeed in a moment is sent once more, until a deadline."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import httpx

from tonearm.core.errors import ClientError

FIRST_SECONDS, MOST_SECONDS = 0.1, 5.0  # of the wait before the first and the last retries
BUSY = (429, 502, 503, 504)
PROBLEM = "application/problem+json"


class Retries:
    """Sends requests until one is answered, within a time; all that the server has may be asked twice without harm.

    Asked again is what was not answered (no connection, a broken one), what is refused for now (429, 502, 503, 504;
    ``Retry-After`` is kept to), and a 500 that is no problem document: of a proxy whose process of ours has died.
    Waits double from 0.1 s to 5 s, each by chance between half of it and all.

    Parameters
    ----------
    seconds
        That a request may take in all; above 0.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew: something has come."""
        self._deadline, self._tries = time.monotonic() + self.seconds, 0

    def timeout(self) -> httpx.Timeout:
        """What is left, as httpx has it."""
        return httpx.Timeout(max(0.001, self._deadline - time.monotonic()))

    def send(self, ask: Callable[[httpx.Timeout], httpx.Response]) -> httpx.Response:
        """The answer of the server.

        Raises
        ------
        ClientError
            If it refuses, or does not answer in time.
        """
        while True:
            try:
                answer = ask(self.timeout())
                if answer.is_success:
                    return answer
                answer.read()
            except httpx.TransportError as error:
                self.wait(ClientError("no_answer", f"{type(error).__name__}: {error}", 0))
                continue
            problem = problem_of(answer)
            if not may_succeed(answer):
                raise problem
            self.wait(problem, answer.headers.get("retry-after", ""))

    def wait(self, problem: ClientError, retry_after: str = "") -> None:
        """Wait for the next try.

        Raises
        ------
        ClientError
            The problem, if there is no time for another try.
        """
        wait = min(MOST_SECONDS, FIRST_SECONDS * 2**self._tries) * random.uniform(0.5, 1)
        if retry_after.isdecimal():
            wait += int(retry_after)
        if time.monotonic() + wait >= self._deadline:
            raise problem
        self._tries += 1
        time.sleep(wait)


def may_succeed(answer: httpx.Response) -> bool:
    """Whether the same request may be answered in a moment."""
    return answer.status_code in BUSY or (answer.status_code == 500 and not _is_problem(answer))


def problem_of(answer: httpx.Response) -> ClientError:
    """What is wrong with a request, as the server says."""
    if _is_problem(answer):
        return as_error(answer.json())
    return ClientError("no_problem", answer.text[:200].strip() or answer.reason_phrase, answer.status_code)


def as_error(problem: dict[str, Any]) -> ClientError:
    """The error of a problem document."""
    return ClientError(str(problem["error"]), str(problem["detail"]), int(problem["status"]))


def _is_problem(answer: httpx.Response) -> bool:
    if not answer.headers.get("content-type", "").startswith(PROBLEM):
        return False
    try:
        return {"error", "detail", "status"} <= set(answer.json())
    except json.JSONDecodeError:
        return False
