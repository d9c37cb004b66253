"""What arguments of a job mean, found out without running it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer

from jobs.cli import COMMANDS, build
from tonearm.core.errors import ConfigError
from tonearm.core.registry import unknown_name
from tonearm.core.text import command


def read_arguments(job: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The values of a job's parameters, by name, as its ``main`` takes them.

    Raises
    ------
    ConfigError
        If there is no such job, or it does not take such arguments.
    """
    if job not in COMMANDS:
        raise unknown_name("job", job, COMMANDS)
    commands: Any = typer.main.get_command(build([job]))
    try:
        found: dict[str, Any] = commands.commands[job].make_context(job, list(arguments)).params
    except Exception as error:
        if not hasattr(error, "format_message"):  # which all of typer's errors of usage have
            raise
        said = error.format_message()
        close = get_close_matches(getattr(error, "option_name", ""), getattr(error, "possibilities", None) or (), n=1)
        hint = f"{said.partition(' (')[0]}: did you mean {close[0]}?" if close else said
        raise ConfigError(f"{command(job, *arguments)}: {hint}") from None
    return found
