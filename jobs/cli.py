"""The command ``tonearm``: every job under one name. A job's module is imported only when its command is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

COMMANDS = {
    "demo": ("demo", "from recordings to a served answer, in one go"),
    "extract": ("extract", "a data set: catalogue, features, rejects, splits"),
    "train": ("train", "train a recipe, with seeds and folds"),
    "sweep": ("sweep", "run a search space on Ray Tune"),
    "select": ("select", "the best ensemble of a sweep, tested and promoted"),
    "compare": ("compare", "which run is better, by how much, how surely"),
    "predict": ("predict", "classify files with a model"),
    "recommend": ("recommend", "how good a model's neighbours are"),
    "index": ("index", "place a library in a model's space, to recommend from"),
    "map": ("map", "a catalogue in two dimensions, as a page"),
    "weights": ("weights", "frozen encoders: fetch musicnn, add your own, list them"),
    "factors": ("factors", "collaborative factors of artists from play counts"),
    "serve": ("serve", "serve a model over HTTP"),
    "deploy": ("deploy", "make what was selected answer: promote it, wait for a server"),
    "pipeline": ("pipeline", "steps from recordings to a served model, from a file"),
    "mlflow": ("mlflow_ui", "MLflow's pages in a browser"),
    "feedback": ("feedback", "what listeners did: as training data, and counted"),
    "abtest": ("abtest", "champion and challenger compared by who listens"),
    "submit": ("submit", "send a job to a Ray cluster"),
    "ls": ("ls", "data sets, sweeps, trainings and models of the home"),
    "status": ("status", "what runs now on the home"),
    "top": ("top", "the same with figures, drawn anew until Ctrl-C"),
    "clean": ("clean", "what the home no longer needs: list it, delete it"),
}
"""Module in ``jobs`` and one line of help, by command."""


def main() -> None:
    """Entry point of the console script."""
    sys.path.append(os.getcwd())  # noqa: PTH109  spaces of one's own, module:function, are found from here
    build(sys.argv[1:] or _words_to_complete())(prog_name="tonearm")


def build(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with the one command that the arguments name ready to run; of the others it knows the help."""
    app = typer.Typer(no_args_is_help=True, help="Learn from recordings: classify them, compare models, recommend.")
    app.callback()(_options)
    called = next((a for a in arguments if not a.startswith("-")), "")
    for name, (module, line) in COMMANDS.items():
        function = importlib.import_module(f"jobs.{module}").main if name == called else _not_called
        app.command(name, short_help=line)(function)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        from tonearm import __version__

        print(f"tonearm {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="print the version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Takes what stands before a command."""


def _not_called() -> None:
    """Stands for a command whose module is not needed."""


def _words_to_complete() -> list[str]:
    """What a shell that asks for completions has typed so far, behind the command's name."""
    typed = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return typed.split()[1:]


if __name__ == "__main__":
    main()
