"""Whether a home elsewhere can be written or read is found out by trying; what a person may do there is enough."""

from __future__ import annotations

import logging
import re

import pytest

from tonearm.core import storage
from tonearm.workflows.preflight import _tried

HOME = "s3://bucket/home"


def test_who_may_write_but_not_delete_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def refuse(uri: str) -> None:
        raise PermissionError(uri)

    monkeypatch.setattr(storage, "write_bytes", lambda uri, data: written.append(uri))
    monkeypatch.setattr(storage, "remove", refuse)
    assert list(_tried(HOME, "the home", writes=True)) == []
    (uri,) = written
    assert storage.UNFINISHED.search(uri) and re.fullmatch(rf"{HOME}/\.\w+\.tmp", uri), "tonearm clean finds it"
    monkeypatch.setattr(storage, "write_bytes", lambda uri, data: refuse(uri))
    (problem,) = _tried(HOME, "the home", writes=True)
    assert "nothing can be written (PermissionError" in problem and "give a bucket" in problem


def test_a_clock_that_is_off_is_named_and_not_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of S3, which refuses requests of a time that is 15 minutes off."""

    def refuse(uri: str, data: bytes) -> None:
        raise PermissionError("The difference between the request time and the server's time is too large.")

    monkeypatch.setattr(storage, "write_bytes", refuse)
    monkeypatch.setattr(storage, "exists", lambda uri: refuse(uri, b""))
    for writes in (True, False):
        (problem,) = _tried(HOME, "the home", writes=writes)
        assert problem.endswith("is too large.): set this machine's clock")


def test_who_may_not_list_is_let_in_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str) -> bool:
        raise PermissionError("Access Denied.")

    monkeypatch.setattr(storage, "exists", refuse)
    assert list(_tried(HOME, "the home", writes=False)) == []


@pytest.mark.parametrize(("there", "told"), [((HOME, "s3://bucket"), False), (("s3://bucket",), False), ((), True)])
def test_a_bucket_that_is_not_there_is_told_to_who_only_reads(
    there: tuple[str, ...], told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "exists", lambda uri: uri in there)
    with caplog.at_level(logging.WARNING):
        assert list(_tried(HOME, "the home", writes=False)) == []
    assert [r.getMessage() for r in caplog.records] == (
        ["  note: the home, and no bucket s3://bucket is seen: is its name right?"] if told else []
    )
