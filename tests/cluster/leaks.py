"""Where planted secrets are seen: in the arguments of processes while they run, and in what is left of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.05  # Ray starts a worker by a command that lasts a tenth of a second


class Watch:
    """Looks at the arguments of all processes of this machine, as anybody on it may, while its block runs.

    Attributes
    ----------
    seen
        Of each secret that was seen, by its name, the arguments.
    looks
        How often it looked.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = {name: value.encode() for name, value in secrets.items()}
        self.seen: dict[str, str] = {}
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self.looks += 1
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):  # it has ended
                    self._note(place.read_bytes())

    def _note(self, arguments: bytes) -> None:
        for name, value in self.secrets.items():
            if value in arguments:
                self.seen.setdefault(name, arguments.replace(b"\0", b" ").decode(errors="replace")[:2000])


def found(secrets: Mapping[str, str], where: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which secret is in which content, and what stands before it there."""
    lines = []
    for place, content in where:
        for name, value in secrets.items():
            at = content.find(value.encode())
            if at >= 0:
                lines.append(f"{name} in {place}: ...{content[max(0, at - 120) : at].decode(errors='replace')}")
    return lines


def files_below(folder: Path) -> Iterable[tuple[str, bytes]]:
    """All files below a folder."""
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()
