"""What jobs share: where the library's messages go, and the choices that their help texts show."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import tonearm.examples  # noqa: F401  registers a data set
from jobs.cli import COMMANDS
from jobs.common import DATASETS, FEATURES
from tonearm.datasets import DatasetConfig
from tonearm.features.presets import BLOCKS, PRESETS
from tonearm.workflows.job_output import configure_output


def test_messages_of_the_library_are_printed_once_and_bare(capsys: pytest.CaptureFixture[str]) -> None:
    configure_output()
    configure_output()
    logging.getLogger("tonearm.workflows.prepare").info("  %d tracks", 3)
    logging.getLogger("tonearm").debug("not shown")
    out, err = capsys.readouterr()
    assert (out, err) == ("  3 tracks\n", "")


def test_choices_in_help_texts_are_those_that_there_are() -> None:
    shipped = [
        kind for kind in DatasetConfig.registry if DatasetConfig.registry[kind].__module__.startswith("tonearm.")
    ]
    assert ", ".join(shipped) == DATASETS
    assert ", ".join(name for name in PRESETS if name not in BLOCKS) == FEATURES


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_read_whole_on_a_narrow_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer(add_completion=False)
    app.command()(importlib.import_module(f"jobs.{COMMANDS[command][0]}").main)
    printed = CliRunner().invoke(app, ["--help"]).output
    assert [line for line in printed.splitlines() if "…" in line] == [], "cut: shorten the option's metavar or words"
    words = set(printed.replace("│", " ").split())
    for param in typer.main.get_command(app).params:
        lost = [word for word in (getattr(param, "help", None) or "").split() if word not in words]
        assert lost == [], f"{param.name}: brackets in a help text are markup"


LIGHT = """
import sys
from jobs import compare, demo, extract, factors, recommend, select, serve, submit, sweep, train
import tonearm.workflows.defaults
heavy = ("torch", "ray", "mlflow", "numpy", "scipy", "pandas", "sklearn", "fastapi")
print([m for m in heavy if m in sys.modules])
import tonearm.workflows.prepare, tonearm.features.presets
print([m for m in ("torch", "ray", "mlflow", "scipy.signal", "scipy.stats", "pandas") if m in sys.modules])
"""


@pytest.mark.integration
def test_help_and_a_wrong_argument_wait_for_no_library() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    jobs, data_sets_and_features = done.stdout.splitlines()
    assert jobs == "[]", "a module of jobs imports more than it needs to read its arguments"
    assert data_sets_and_features == "[]", "a wrong data set or feature could be told earlier"
