"""Equal questions are answered once; what failed, and what nobody waits for any more, is not remembered."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from serve.answers_cache import AnswersCache, answer_key

context = contextvars.ContextVar("context", default="none")


class Maker:
    """Makes answers when it is let, and counts them."""

    def __init__(self, answer: Any = None) -> None:
        self.calls, self.cancelled, self.let = 0, 0, asyncio.Event()
        self.answer = {"label": "folk"} if answer is None else answer

    async def __call__(self) -> dict[str, Any]:
        self.calls += 1
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict(self.answer, context=context.get())


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


async def ask(cache: AnswersCache, make: Maker, times: int, key: bytes = b"k") -> list[asyncio.Task[dict[str, Any]]]:
    asking = [asyncio.create_task(cache.answer(key, make)) for _ in range(times)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return asking


def test_who_asks_the_same_at_once_gets_one_answer_and_later_it_is_remembered() -> None:
    async def test() -> None:
        cache, make = AnswersCache(), Maker()
        context.set("of the first")
        asking = await ask(cache, make, 5)
        make.let.set()
        answers = await asyncio.gather(*asking)
        answers[0]["label"] = "changed"
        assert [a["label"] for a in answers[1:]] == ["folk"] * 4 and answers[1]["context"] == "none"
        assert (await cache.answer(b"k", make))["label"] == "folk"
        assert (make.calls, cache.misses, cache.hits) == (1, 1, 5)

    run(test)


def test_who_asked_first_may_leave() -> None:
    async def test() -> None:
        cache, make = AnswersCache(), Maker()
        first, second = await ask(cache, make, 2)
        first.cancel()
        await asyncio.sleep(0)
        make.let.set()
        assert (await second)["label"] == "folk"
        assert first.cancelled() and (make.calls, make.cancelled) == (1, 0)

    run(test)


def test_what_nobody_waits_for_is_stopped_and_made_anew_for_the_next() -> None:
    async def test() -> None:
        cache, make = AnswersCache(), Maker()
        leaving = await ask(cache, make, 2)
        for task in leaving:
            task.cancel()
        await asyncio.sleep(0)
        (later,) = await ask(cache, make, 1)
        assert (make.calls, make.cancelled) == (2, 1)
        make.let.set()
        assert (await later)["label"] == "folk"
        assert cache.bytes_held > 0

    run(test)


@pytest.mark.parametrize("bad", [ValueError("broken"), {"problem": "silent", "detail": "all zero"}])
def test_failures_are_not_remembered(bad: Any) -> None:
    async def test() -> None:
        cache, make = AnswersCache(), Maker(bad)
        make.let.set()
        for task in await ask(cache, make, 3):
            if isinstance(bad, Exception):
                with pytest.raises(ValueError, match="broken"):
                    await task
            else:
                assert (await task)["problem"] == "silent"
        assert (make.calls, cache.bytes_held) == (1, 0)
        make.answer = {"label": "folk"}
        assert (await cache.answer(b"k", make))["label"] == "folk"

    run(test)


def test_the_oldest_answers_make_room() -> None:
    async def test() -> None:
        cache, make = AnswersCache(most_bytes=120), Maker()
        make.let.set()
        for key in (b"a", b"b", b"a", b"c", b"d"):  # 36 bytes each: three fit; a was asked for again
            await cache.answer(key, make)
        assert make.calls == 4 and cache.bytes_held == 3 * 36
        await cache.answer(b"a", make)
        assert make.calls == 4
        await cache.answer(b"b", make)
        assert make.calls == 5
        large, none = Maker({"label": "x" * 200}), AnswersCache(most_bytes=0)
        large.let.set()
        await cache.answer(b"e", large)
        await none.answer(b"a", make)
        assert (cache.bytes_held, none.bytes_held) == (3 * 36, 0)

    run(test)


def test_a_key_is_of_everything_that_an_answer_depends_on() -> None:
    keys = [
        answer_key(*asked)
        for asked in [
            (b"audio", {"k": 5}, "m@1"), (b"audi", {"k": 5}, "m@1"), (b"audio", {"k": 6}, "m@1"),
            (b"audio", {"k": 5}, "m@2"), (b"", {"k": 5}, "m@1"),
        ]
    ]  # fmt: skip
    assert len(set(keys)) == 5
    assert answer_key(b"a", {"x": 1, "y": [2]}, "m") == answer_key(b"a", {"y": [2], "x": 1}, "m")
