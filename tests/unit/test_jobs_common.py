"""What jobs share: where the library's messages go."""

from __future__ import annotations

import logging

import pytest

from jobs.common import configure_output


def test_messages_of_the_library_are_printed_once_and_bare(capsys: pytest.CaptureFixture[str]) -> None:
    configure_output()
    configure_output()
    logging.getLogger("tonearm.workflows.prepare").info("  %d tracks", 3)
    logging.getLogger("tonearm").debug("not shown")
    out, err = capsys.readouterr()
    assert (out, err) == ("  3 tracks\n", "")
