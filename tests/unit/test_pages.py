"""What the pages say can be typed: commands exist and take these options, Python compiles, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from jobs.cli import COMMANDS, build
from tests.pages import PAGES, ROOT, blocks, commands

LINES = [(page, line) for page in PAGES for line in commands(page)]
SHELL = {"source", "export", "curl", "ray", "kubectl", "docker", "apt-get", "infra/build.sh", "prometheus", "promtool",
         "PYTHONPATH=platform", "RAY_AUTH_MODE=token"}  # fmt: skip


def of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("line", sorted({line for _, line in LINES if line.startswith("tonearm ")}))
def test_commands_take_what_is_typed(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    if name == "--help":
        return
    assert name in COMMANDS, f"{line}: there is no such command"
    group = typer.main.get_command(build([name]))
    command = group.commands[name]  # type: ignore[attr-defined]
    if "--help" in arguments:
        arguments.remove("--help")
        assert not arguments
        return
    command.make_context(name, arguments)  # raises where an option or value is unknown; nothing runs


@pytest.mark.parametrize("line", sorted({line for _, line in LINES if line.startswith("make ")}))
def test_targets_are_in_the_makefile(line: str) -> None:
    targets = [word for word in shlex.split(line)[1:] if "=" not in word]
    known = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(targets) <= set(known)


def test_every_line_is_one_that_is_checked_or_the_shells_own() -> None:
    others = {line.split()[0] for _, line in LINES if not line.startswith(("tonearm ", "make "))}
    assert {word for word in others if "=" not in word or word in SHELL} <= SHELL


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_python_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        if not block.startswith(">>>"):
            compile(block, of(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{of(page)} links {target}"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
