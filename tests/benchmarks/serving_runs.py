"""A server that a benchmark starts, what it takes, and requests over connections that stay open."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0  # seconds
BROKEN = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Running:
    """A server; ``ready`` is the seconds from the command to its first answer."""

    port: int
    process: psutil.Process
    ready: float

    def processes(self, title: str) -> list[psutil.Process]:
        """Those below it whose command lines begin so."""
        found = []
        for process in self.process.children(recursive=True):
            try:
                if " ".join(process.cmdline()).startswith(title):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def memory(self) -> float:
        """MiB of all its processes; what several share is counted once."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024


@contextmanager
def running(model: str, fast: bool, home: str, *options: str) -> Iterator[Running]:
    """``tonearm serve`` meanwhile, with more options if wanted."""
    command = [
        sys.executable,
        "-m",
        "jobs.serve",
        "--model",
        model,
        "--port",
        "0",
        *(["--fast"] if fast else []),
        *options,
    ]
    env = {**os.environ, "TONEARM_HOME": home, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("r+", suffix=".log") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            while not (found := re.search(r" at http://127.0.0.1:(\d+) ", Path(log.name).read_text())):
                if process.poll() is not None or time.monotonic() - began > PATIENCE:
                    sys.exit(f"the server did not start:\n{Path(log.name).read_text()}")
                time.sleep(0.05)
            yield Running(int(found[1]), psutil.Process(process.pid), time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


class Asker:
    """Requests, one after the other, over one connection, which is made again where it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "audio/mpeg") -> tuple[int, bytes, float]:
        """Status, body and seconds; 0 where the connection broke."""
        began = time.perf_counter()
        try:
            self._open.request(method, path, body or None, {"Content-Type": kind} if body else {})
            answer = self._open.getresponse()
            return answer.status, answer.read(), time.perf_counter() - began
        except BROKEN:
            self._open.close()
            self._open = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            return 0, b"", time.perf_counter() - began


def as_new(mp3: bytes) -> bytes:
    """The same recording with a tag that none had before, so that no answer to it is remembered."""
    frame = b"TXXX" + bytes([0, 0, 0, 34, 0, 0]) + b"\x03\x00" + secrets.token_hex(16).encode()
    return b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(frame)]) + frame + mp3
