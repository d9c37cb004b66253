"""Train a system of the literature, as its author described it or as you change it, and say how good it is.

python -m jobs.train --list
python -m jobs.train --recipe time_mel --data ~/fma                                 # as published, on FMA medium
python -m jobs.train --recipe time_mel --dataset folder --data ~/Music --label genre
python -m jobs.train --recipe handcrafted --dataset folder --data ~/Music --label genre --folds 5
python -m jobs.train --recipe time_mel --set optim.epochs=30 --set window.frames=430 --seeds 3
"""

from __future__ import annotations

import os
from typing import Annotated

import torch
import typer

from jobs.common import cli_errors
from search_spaces.recipes import RECIPES
from tonearm.core.errors import ConfigError
from tonearm.core.text import format_table, parse_fields
from tonearm.core.threads import keep_large_memory, limit_threads
from tonearm.datasets import DatasetConfig
from tonearm.training.recipe import Recipe
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.prepare import choose_dataset
from tonearm.workflows.train import TrainingRequest, run_request
from tonearm.workflows.training_report import report_runs

FILLED_IN = {"dataset", "members", "seed"}
"""Fields of a trial that are no choice of a recipe."""


def choose_recipe(name: str, dataset: str, data: str, label: str, options: list[str], settings: list[str]) -> Recipe:
    """A recipe on a data set, with fields changed, from what was typed."""
    recipe = RECIPES[name]()
    fields = {**({"label": label} if label else {}), **parse_fields(options)}
    data = os.path.expanduser(data)  # noqa: PTH111  a URI must stay as it is
    if dataset:
        if data:  # also where a stage has a data set of its own
            recipe = recipe.replace({"data.root": data})
        recipe = recipe.on(choose_dataset(dataset, data, fields))
    else:
        given = {**({"root": data} if data else {}), **fields}
        recipe = recipe.replace({f"data.{k}": v for k, v in given.items()})
        recipe = recipe.on(choose_dataset(recipe.data.kind, recipe.data.root, recipe.data.to_dict()))
    changes = parse_fields(settings)
    for path in changes:
        if FILLED_IN & set(path.split(".")):
            raise ConfigError(f"--set {path}: it is filled in when the data is there; --seeds and --dataset choose it")
    return recipe.replace(changes)


def main(
    recipe: Annotated[str, typer.Option(help="name of the recipe; --list shows them")] = "",
    list_recipes: Annotated[bool, typer.Option("--list", help="list the recipes")] = False,
    dataset: Annotated[
        str, typer.Option(help=f"another data set than the source's: {', '.join(DatasetConfig.registry)}")
    ] = "",
    data: Annotated[str, typer.Option(help="folder of the data set's files")] = "",
    label: Annotated[str, typer.Option(help="folder: what the label is, e.g. genre")] = "",
    option: Annotated[list[str] | None, typer.Option(help="a field of the data set, as in subset=small")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="a field of the trial, as in optim.lr=1e-4, STAGE.optim.lr=..., or another task.kind"
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="cross-validate with so many folds; 0: the one split; by default as the source")
    ] = None,
    seeds: Annotated[int, typer.Option(help="train so many times, with the seeds 0, 1, ...")] = 1,
    split_seed: Annotated[int, typer.Option(help="of splits and folds")] = 0,
    grouped: Annotated[
        bool | None,
        typer.Option(
            "--grouped/--ungrouped",
            help="keep an artist on one side, or let artists cross, which flatters scores; by default as the source",
        ),
    ] = None,
    descriptors: Annotated[bool, typer.Option(help="measure tempo, energy, ... as facts to be predicted")] = False,
    facts: Annotated[str, typer.Option(help="CSV or Parquet table of further facts, by track_id or artist")] = "",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the source's or the folder's")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share of the files is unusable")] = MAX_REJECTED,
    threads: Annotated[int, typer.Option(help="of each operation; 0: all cores")] = 0,
) -> None:
    """Train a recipe; a second call goes on where the first stopped, and what is finished is not trained again."""
    with cli_errors():
        if list_recipes:
            rows = [("recipe", "what it trains", "source's figure")]
            for key in RECIPES:
                made = RECIPES[key]()
                rows.append((key, (RECIPES[key].__doc__ or "").split("\n")[0], made.published))
            print(format_table(rows, indent=""))
            return
        if not recipe:
            raise ConfigError(f"name a recipe with --recipe: {', '.join(RECIPES)}")
        limit_threads(1)
        keep_large_memory()
        torch.set_num_threads(threads or os.cpu_count() or 1)
        chosen = choose_recipe(recipe, dataset, data, label, option or [], set_ or [])
        in_folds = chosen.folds if folds is None else folds
        apart = chosen.grouped if grouped is None else grouped
        if not 0 <= max_rejected <= 1:
            raise ConfigError(f"--max-rejected is {max_rejected}: a share is within 0 and 1")
        if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
            raise ConfigError(
                f"--device {device}: there is no such device here; use cpu, or cuda on a machine with a GPU"
            )
        if seeds < 1 or in_folds < 0 or in_folds == 1:
            raise ConfigError(f"--seeds {seeds}, --folds {folds}: train at least once, and with 0 or at least 2 folds")
        request = TrainingRequest(recipe, chosen, name, in_folds, seeds, split_seed, apart, device, max_rejected,
                          descriptors, facts)  # fmt: skip
        report_runs(request, run_request(request))


if __name__ == "__main__":
    typer.run(main)
