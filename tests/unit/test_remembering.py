"""When failures are written down, and what becomes of an error while they are."""

from __future__ import annotations

import logging

import pytest

from tonearm.core.errors import JobError
from tonearm.pipelines import remembering as module
from tonearm.pipelines.remembering import REMEMBERED_EVERY, remembering


class Clock:
    """Stands still between the seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_the_first_is_written_at_once_later_ones_every_few_seconds(clock: Clock) -> None:
    failed, written = ["known before"], list[int]()
    with remembering(failed, lambda: written.append(len(failed))) as batch_ended:
        batch_ended()
        assert written == []
        failed.append("first")
        batch_ended()
        batch_ended()
        assert written == [2]
        failed.append("second")
        batch_ended()
        clock.now += REMEMBERED_EVERY - 0.01
        batch_ended()
        assert written == [2]
        clock.now += 0.02
        failed.append("third")
        batch_ended()
        assert written == [2, 4]
        clock.now += 10 * REMEMBERED_EVERY
        batch_ended()  # nothing new
    assert written == [2, 4]  # a job that ends well writes its tables itself


def test_slow_writes_are_rarer(clock: Clock) -> None:
    failed, written = list[str](), list[int]()

    def write() -> None:
        clock.now += 1.0
        written.append(len(failed))

    with remembering(failed, write) as batch_ended:
        for _ in range(400):  # 0.1 s each
            failed.append("one more")
            clock.now += 0.1
            batch_ended()
    assert len(written) == 2  # a tenth of the time is the most, and half of that what two seconds times ten are


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no Ray"), JobError("too many")])
def test_work_that_is_broken_off_is_written_and_its_error_goes_on(error: BaseException) -> None:
    written = []
    with pytest.raises(type(error)) as caught, remembering([], lambda: written.append(1)):
        raise error
    assert caught.value is error and written == [1]


def test_a_write_that_fails_hides_no_error(caplog: pytest.LogCaptureFixture) -> None:
    def write() -> None:
        raise OSError("disk full")

    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(RuntimeError, match="no Ray") as caught,
        remembering([], write),
    ):
        raise RuntimeError("no Ray")
    assert "what failed could not be written down, it will be tried again: disk full" in caplog.text
    assert any("disk full" in note for note in caught.value.__notes__)


def test_a_write_may_end_the_work() -> None:
    failed, calls = list[str](), list[int]()

    def write() -> None:
        calls.append(len(failed))
        raise JobError("too many")

    with pytest.raises(JobError, match="too many"), remembering(failed, write) as batch_ended:
        failed.append("one")
        batch_ended()
    assert calls == [1, 1]
