"""Train a system of the literature, as its author described it or as you change it, and say how good it is.

tonearm train --list
tonearm train --recipe time_mel --data ~/fma                                 # as published, on FMA medium
tonearm train --recipe time_mel --dataset folder --data ~/Music --label genre
tonearm train --recipe handcrafted --dataset folder --data ~/Music --label genre --folds 5
tonearm train --recipe time_mel --set optim.epochs=30 --set window.frames=430 --seeds 3
"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.common import DATASETS, DEVICES, cli_errors, require_folder
from jobs.known_names import find_recipe
from jobs.label_options import MergeLabels, Options, Separator, SeveralLabels, dataset_fields
from tonearm.core.errors import ConfigError
from tonearm.core.known_names import require_name
from tonearm.core.text import format_table, parse_fields
from tonearm.core.threads import keep_large_memory, limit_threads
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.preflight import preflight
from tonearm.workflows.prepared_names import require_kind

FILLED_IN = {"dataset", "members", "seed"}
"""Fields of a trial that are no choice of a recipe."""


def main(
    recipe: Annotated[str, typer.Option(help="a recipe; --list shows ours; your own: module:function")] = "",
    list_recipes: Annotated[bool, typer.Option("--list", help="list the recipes")] = False,
    dataset: Annotated[str, typer.Option(help=f"another data set than the source's: {DATASETS}")] = "",
    data: Annotated[str, typer.Option(help="folder of the data set's files")] = "",
    label: Annotated[str, typer.Option(help="folder: what the label is, e.g. genre")] = "",
    option: Options = None,
    merge_labels: MergeLabels = False,
    several_labels: SeveralLabels = "",
    separator: Separator = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="a field, as in optim.lr=1e-4, task.kind=..., STAGE.optim.lr=1e-3")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=0, help="cross-validate; 0: the one split; by default as the source")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="train so many times, with the seeds 0, 1, ...")] = 1,
    split_seed: Annotated[int, typer.Option(help="of splits and folds")] = 0,
    grouped: Annotated[
        bool | None, typer.Option("--grouped/--ungrouped", help="keep an artist on one side; by default as the source")
    ] = None,
    descriptors: Annotated[bool, typer.Option("--descriptors", help="tempo, energy, ... as facts to predict")] = False,
    facts: Annotated[str, typer.Option(help="CSV or Parquet table of further facts, by track_id or artist")] = "",
    name: Annotated[str, typer.Option(help="what to call the data set; by default the source's or the folder's")] = "",
    device: Annotated[str, typer.Option(metavar=DEVICES, help="where it is trained")] = "cpu",
    max_rejected: Annotated[float, typer.Option(min=0, max=1, help="largest share of unusable files")] = MAX_REJECTED,
    threads: Annotated[int, typer.Option(min=0, help="of each operation; 0: all cores")] = 0,
    retrain: Annotated[bool, typer.Option("--retrain", help="train anew what other code has trained")] = False,
) -> None:
    """Train a recipe; a second call goes on where the first stopped, and what is finished is not trained again."""
    with cli_errors():
        if list_recipes:
            list_all()
            return
        if not recipe:
            raise ConfigError("name a recipe with --recipe; --list shows them")
        fields, changes = dataset_fields(option, merge_labels, several_labels, separator), parse_fields(set_ or [])
        fields |= {"label": label} if label else {}
        for path in changes:
            if FILLED_IN & set(path.split(".")):
                raise ConfigError(f"--set {path}: it is filled in when the data is there; --seeds, --dataset choose it")
        if folds == 1:
            raise ConfigError("--folds 1: train with 0 or at least 2 folds")
        require_folder("--data", data)
        require_name("recipe", recipe)
        if dataset and ":" not in recipe:  # a module of one's own may bring a kind of data set
            require_kind(dataset)
            from tonearm.workflows.prepare import choose_dataset

            choose_dataset(dataset, data, fields)  # what is wrong is told before torch is imported
        preflight(uses_ray=True)
        limit_threads(1)
        keep_large_memory()
        chosen = find_recipe(recipe)
        from tonearm.workflows.train import train
        from tonearm.workflows.training_data import adapt_recipe

        chosen = adapt_recipe(chosen, dataset, data, fields, changes)
        result = train(
            chosen, name=recipe.rsplit(":")[-1], seeds=seeds, folds=folds, split_seed=split_seed, grouped=grouped,
            device=device, threads=threads, dataset_name=name, descriptors=descriptors, metadata=facts,
            max_rejected=max_rejected, retrain=retrain,
        )  # fmt: skip
        print(f"\n{result}")


def list_all() -> None:
    """Print every recipe with a sentence and its source's figure."""
    from search_spaces.recipes import RECIPES

    rows = [("recipe", "what it trains", "source's figure")]
    rows += [(key, (RECIPES[key].__doc__ or "").split("\n")[0], RECIPES[key]().published) for key in RECIPES]
    print(format_table(rows, indent=""))


if __name__ == "__main__":
    typer.run(main)
