"""A network of this machine's own: a bridge, and namespaces that are machines to what runs in them, each with an
address, a host name, processes and a private folder."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "mount", "hostname")
ENOUGH = 60.0  # seconds to start a process


def run(*command: str, check: bool = True) -> bool:
    """Run a short command; whether it succeeded."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.returncode == 0


@functools.cache
def can_isolate() -> bool:
    """Whether namespaces can be made here: as root, with iproute2 and util-linux."""
    if os.geteuid() or not all(map(shutil.which, PROGRAMS)):
        return False
    name = f"tnt{os.getpid()}"
    tries = [
        ("ip", "netns", "add", name),
        ("ip", "-n", name, "link", "add", "bridge", "type", "bridge"),  # some kernels and containers have none
        ("ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "other"),
        ("ip", "netns", "exec", name, "unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "true"),
    ]
    try:
        return all(run(*command, check=False) for command in tries)
    finally:
        run("ip", "netns", "del", name, check=False)


@dataclass
class Network:
    """A bridge; this process is at ``.1`` of its addresses. Without namespaces all machines are this one.

    Attributes
    ----------
    isolated
        Whether the machines are namespaces.
    prefix
        Of the addresses, such as ``198.18.7``: of the range that is set aside for trials.
    """

    folder: Path
    isolated: bool = field(default_factory=can_isolate)
    prefix: str = "127.0.0"
    bridge: str = ""
    machines: list[Machine] = field(default_factory=list)

    def __enter__(self) -> Network:
        if self.isolated:
            self.bridge = f"tn{secrets.token_hex(3)}"
            run("ip", "link", "add", self.bridge, "type", "bridge")
            run("ip", "link", "set", self.bridge, "up")
            taken = subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True, check=True).stdout
            free = [n for n in range(1, 255) if f"198.18.{n}." not in taken]
            self.prefix = f"198.18.{secrets.choice(free)}"
            run("ip", "addr", "add", f"{self.prefix}.1/24", "dev", self.bridge)
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.kill()
            if self.isolated:
                run("ip", "netns", "del", machine.namespace, check=False)
        if self.isolated:
            run("ip", "link", "del", self.bridge, check=False)

    @property
    def here(self) -> str:
        """The address of this process's side, where servers for all machines are."""
        return f"{self.prefix}.1"

    def machine(self, name: str) -> Machine:
        """One more machine; nothing runs on it yet."""
        made = Machine(self, name, f"{self.prefix}.{len(self.machines) + 2}" if self.isolated else "127.0.0.1")
        self.machines.append(made)
        made.folder.mkdir(parents=True)
        made.private.mkdir(exist_ok=True)
        if self.isolated:
            run("ip", "netns", "add", made.namespace)
            run("ip", "link", "add", made.link, "type", "veth", "peer", "name", "eth0", "netns", made.namespace)
            run("ip", "link", "set", made.link, "master", self.bridge, "up")
            inside = ("ip", "-n", made.namespace)
            run(*inside, "addr", "add", f"{made.address}/24", "dev", "eth0")
            run(*inside, "link", "set", "eth0", "up")
            run(*inside, "link", "set", "lo", "up")
            run(*inside, "route", "add", "default", "via", self.here)  # leads nowhere; Ray looks for one
        return made


@dataclass
class Machine:
    """A machine of a network: what is started on it sees its address, its host name, its processes.

    Attributes
    ----------
    environment
        Of all that is started on it.
    process
        The one that all others of the machine are below; None while it is off.
    """

    network: Network
    name: str
    address: str
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    wrapper: Sequence[str] = ()  # of all commands, such as faketime
    groups: Sequence[str] = ()  # folders of control groups, for all that is started on it
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"{self.network.bridge}-{self.name}"

    @property
    def link(self) -> str:
        """This machine's cable."""
        return f"{self.network.bridge}v{self.address.rpartition('.')[2]}"

    @property
    def folder(self) -> Path:
        return self.network.folder / "m" / self.name  # short: sockets lie in it, whose paths have at most 107 bytes

    @property
    def private(self) -> Path:
        """A path that is a folder of its own on each machine: what one writes there no other sees."""
        return self.network.folder / "private" if self.network.isolated else self.folder

    @property
    def log(self) -> Path:
        return self.network.folder / f"{self.name}.log"

    def boot(self, *command: str) -> None:
        """Start the machine with the process that all others are below; when it ends, the machine is off."""
        assert self.process is None or self.process.poll() is not None, "it is on"
        full = [*self.wrapper, *command]
        if self.network.isolated:
            script = 'hostname "$1"; mount --bind "$2" "$3"; shift 3; "$@" & wait'  # a shell: it ends orphans, too
            full = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace,
                    "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                    "sh", "-c", script, "sh", self.name, str(self.folder), str(self.private), *full]  # fmt: skip
        full = self._in_groups(full)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(full, cwd=ROOT, env=self.environment, text=True, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)  # fmt: skip

    def command(self, *command: str) -> list[str]:
        """A command as it is started on this machine, from any other."""
        full = [*self.wrapper, *command]
        if self.network.isolated:
            full = ["nsenter", "--target", str(self._first().pid), "--net", "--mount", "--uts", "--pid",
                    f"--wd={ROOT}", "--", *full]  # fmt: skip
        return self._in_groups(full)

    def _in_groups(self, command: list[str]) -> list[str]:
        for folder in self.groups:
            command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', f"{folder}/cgroup.procs", *command]
        return command

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a process on this machine, in a group of its own."""
        process = subprocess.Popen(self.command(*command), cwd=ROOT, env={**self.environment, **environment}, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)  # fmt: skip
        self.started.append(process)
        return process

    def do(self, *command: str, check: bool = True, **environment: str) -> str:
        """Run a command on this machine to its end; its output."""
        process = self.start(*command, **environment)
        try:
            output, _ = process.communicate(timeout=540)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert not check or process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}:\n{output}"
        return output

    def _first(self) -> psutil.Process:
        """The process that is the first one in the machine's own eyes."""
        assert self.process is not None
        began = time.monotonic()
        while time.monotonic() < began + ENOUGH:
            below = psutil.Process(self.process.pid).children()
            if below and below[0].name() == "sh" and (self.folder != self.private):
                return below[0]
            time.sleep(0.02)
        raise AssertionError(f"{self.name} did not start: {self.log.read_text()}")

    def processes(self, word: str = "") -> list[psutil.Process]:
        """All that run on the machine, and have a word in their command line."""
        found: list[psutil.Process] = []
        if self.process is None or self.process.poll() is not None:
            return found
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """Pull the plug: all its processes end at once."""
        while self.started:  # a job of a test that has failed, say
            process = self.started.pop()
            if process.poll() is None:
                with _gone():
                    os.killpg(process.pid, signal.SIGKILL)
        if self.process is None:
            return
        below = self.processes()
        with _gone():
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in below:  # with namespaces they have gone with the first one
            with _gone():
                process.kill()
        self.process.wait(ENOUGH)
        psutil.wait_procs(below, ENOUGH)
        self.process = None

    def cut(self) -> None:
        """Pull the cable: nothing reaches it, and it reaches nothing, while all of it runs."""
        assert self.network.isolated, "machines without a cable"
        run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        """Put the cable in again."""
        run("ip", "link", "set", self.link, "up")


class _gone:  # noqa: N801  a block that a process's end does not break
    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> bool:
        return kind is not None and issubclass(kind, (psutil.Error, ProcessLookupError))
