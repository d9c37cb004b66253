"""Answers that were given lately, by what was asked; who asks the same at once waits for the same answer."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Answer = dict[str, Any]


def answer_key(content: bytes, question: Mapping[str, Any], model: str) -> bytes:
    """What an answer depends on, as a digest: the recording, what was asked, and the model's version.

    Parameters
    ----------
    content
        Digest of the recording's bytes; empty without one.
    """
    digest = hashlib.blake2b(content)
    digest.update(json.dumps([dict(question), model], sort_keys=True).encode())
    return digest.digest()


class AnswersCache:
    """Remembers answers, those that were asked for last, and makes each once though many ask at once.

    Errors, and answers with a key ``problem``, are given to who waits for them, and not remembered.

    Parameters
    ----------
    most_bytes
        Of all answers as JSON; 0 remembers none.
    """

    def __init__(self, most_bytes: int = 64 * 2**20) -> None:
        self._most_bytes, self.bytes_held = most_bytes, 0
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self._running: dict[bytes, _Running] = {}
        self.hits = self.misses = 0

    async def answer(self, key: bytes, make: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a key, made by ``make`` if it is not there; a copy, which may be changed.

        ``make`` runs in a task and a context of its own: who asked first may leave without harm to the others. When all
        have left, it is cancelled.
        """
        if key in self._answers:
            self._answers.move_to_end(key)
            self.hits += 1
            return _read(self._answers[key])
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(asyncio.get_running_loop().create_task(
                self._make(key, make), context=contextvars.Context()
            ))  # fmt: skip
            self.misses += 1
        else:
            self.hits += 1
        running.waiting += 1
        try:
            return _read(await asyncio.shield(running.task))
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done():
                self._forget(key, running.task)
                running.task.cancel()

    async def _make(self, key: bytes, make: Callable[[], Awaitable[Answer]]) -> bytes:
        try:
            answer = await make()
            text = json.dumps(answer).encode()
            if "problem" not in answer:
                self._remember(key, text)
            return text
        finally:
            self._forget(key, asyncio.current_task())

    def _forget(self, key: bytes, task: asyncio.Task[Any] | None) -> None:
        if key in self._running and self._running[key].task is task:
            del self._running[key]

    def _remember(self, key: bytes, text: bytes) -> None:
        if len(text) > self._most_bytes:
            return
        self.bytes_held += len(text) - len(self._answers.pop(key, b""))
        self._answers[key] = text
        while self.bytes_held > self._most_bytes:
            self.bytes_held -= len(self._answers.popitem(last=False)[1])


class _Running:
    """An answer that is being made, and how many wait for it."""

    def __init__(self, task: asyncio.Task[bytes]) -> None:
        self.task, self.waiting = task, 0


def _read(text: bytes) -> Answer:
    answer: Answer = json.loads(text)
    return answer
