"""Files that a command names: they lie on the machine where it is typed, and travel with a job that is submitted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest


def variables(files: Iterable[str]) -> dict[str, str]:
    """What a job needs in its environment to find the texts of files on another machine.

    Raises
    ------
    ConfigError
        If one cannot be read.
    """
    return {variable(file): read_file(file) for file in files}


def variable(file: str) -> str:
    """The environment variable that holds a file's text where it was sent; the file as it was typed."""
    return f"TONEARM_FILE_{digest(file, size=6).upper()}"


def read_file(file: str) -> str:
    """The text of a file, which was sent or lies here.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    if variable(file) in os.environ:
        return os.environ[variable(file)]
    try:
        return Path(file).expanduser().read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
