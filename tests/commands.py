"""A job's command, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.testing import CliRunner


def run_job(main: Callable[..., Any], *arguments: str) -> tuple[int, str]:
    """The exit code of a job and what it prints; an error that it does not tell is raised by the test."""
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output
