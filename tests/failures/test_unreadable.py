"""Files that may not be read, seen by a user who is not root (CI is)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import encode, music
from tonearm.audio import ClipConfig, load_clip
from tonearm.core.errors import AudioError
from tonearm.datasets.folder import scan_folder

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside pytest's own folders, which nobody else may enter."""
    with tempfile.TemporaryDirectory(prefix="tonearm-unreadable") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for i in range(2):
            (folder / f"{i}.wav").write_bytes(encode(music(2.0, seed=i)))
        (folder / "0.wav").chmod(0)
        yield folder


def as_nobody(call: object) -> str:
    """What a call answers in a process without rights."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = str(call())  # type: ignore[operator]
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def test_file_without_permission_is_missing_and_says_why(folder: Path) -> None:
    def call() -> str:
        try:
            load_clip(folder / "0.wav", ClipConfig(seconds=1.0))
        except AudioError as error:
            return f"{error.reason}|{error.detail}"
        return "decoded"

    reason, detail = as_nobody(call).split("|")
    assert reason == "missing" and "Permission denied" in detail and "0.wav" in detail


def test_scan_sets_it_aside_and_goes_on(folder: Path) -> None:
    def call() -> str:
        tracks, rejects, *_ = scan_folder(str(folder))
        return f"{[t.track_id for t in tracks]} {[(r.track_id, r.reason, r.detail) for r in rejects]}"

    answer = as_nobody(call)
    assert answer.startswith("['1.wav'] [('0.wav', 'missing', ") and "Permission denied" in answer
