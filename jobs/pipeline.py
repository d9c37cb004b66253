"""Run steps from recordings to a served model, as a file has them; search_spaces/pipeline.yaml is an example.

tonearm pipeline FILE --dry-run        # checks all arguments, prints the commands
tonearm pipeline FILE                  # one that broke off goes on; one that ended begins anew, with what is new
tonearm pipeline FILE --from select
tonearm submit -- pipeline FILE        # on a cluster
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.common import cli_errors, require_folder
from tonearm.core.text import command, parse_fields
from tonearm.workflows.preflight import preflight
from tonearm.workflows.sent_files import read_file

if TYPE_CHECKING:
    from tonearm.workflows.pipeline import Pipeline, Step


def main(
    file: Annotated[str, typer.Argument(help="YAML: name, and steps as they are typed")],
    start: Annotated[str, typer.Option("--from", help="job or number of the step to begin with")] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="check all arguments, print the commands")] = False,
) -> None:
    """Run a pipeline's steps; the first that fails ends it, and the same command goes on there."""
    with cli_errors():
        pipeline = read(file, check=True)
        preflight(uses_ray=not dry, writes=not dry)
        from tonearm.workflows.run_pipeline import plan_lines, run_pipeline

        print(plan_lines(pipeline, start) if dry else run_pipeline(pipeline, _run, start, command("pipeline", file)))


def read(file: str, text: str = "", check: bool = False) -> Pipeline:
    """The pipeline of a file, or of a text in its place; ``check``: whether its steps must be able to run here.

    Raises
    ------
    ConfigError
        With all that is wrong.
    """
    from tonearm.workflows.pipeline import read_pipeline

    return read_pipeline(text or read_file(file), Path(file).stem, _values, _check if check else lambda _: None)


def _values(job: str, arguments: Sequence[str]) -> dict[str, Any]:
    from jobs.arguments import read_arguments

    given = read_arguments(job, arguments)
    if not given.get("config"):
        return given
    from serve.config_file import read_config

    return {**given, "configuration": read_config(given["config"], given["dataset"])}


def _check(step: Step) -> None:
    """Check what a step names: kinds of data, folders, spaces, recipes, servers. Runs may be made by steps before."""
    from jobs.known_names import find_recipe, find_space
    from tonearm.workflows.deploy import check_server
    from tonearm.workflows.prepared_names import require_kind

    given = step.values
    for option in ("audio", "data"):
        folders = given.get(option) or ()
        for folder in [folders] if isinstance(folders, str) else folders:
            require_folder(f"--{option}", folder)
    if step.job == "extract" or given.get("data"):
        require_kind(given["dataset"])
    if given.get("features"):
        from tonearm.features.presets import parse_features

        parse_features(given["features"])
    if step.job == "sweep":
        from tonearm.workflows.sweep import resize

        numbers = {name: given[name] for name in ("trials", "epochs", "seeds", "seed")}
        resize(find_space(given["name"]), changes=parse_fields(given["set_"] or []), **numbers).check()
    elif given.get("space"):
        find_space(given["space"])
    if given.get("recipe"):
        find_recipe(given["recipe"])
    check_server(given.get("server") or "")


def _run(words: Sequence[str], variables: Mapping[str, str]) -> int:
    from jobs.cli import COMMANDS
    from tonearm.core.processes import run_along

    module, *arguments = (f"jobs.{COMMANDS[words[0]][0]}", *words[1:])
    return run_along([sys.executable, "-m", module, *arguments], {**os.environ, **variables})


if __name__ == "__main__":
    typer.run(main)
