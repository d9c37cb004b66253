"""Run a search space on Ray Tune, tracked in MLflow.

tonearm sweep --list
tonearm sweep demo --dry-run                                             # trials, features, time; nothing starts
tonearm sweep demo --dataset scores                                      # a data set that tonearm extract prepared
tonearm sweep time_mel --dataset folder --data ~/Music --label genre     # prepared now, with what is missing
tonearm sweep time_mel --dataset music --seeds 3 --gpus 0.25             # four trials share a GPU
tonearm sweep time_mel --dataset music --warm-start demo-3f2a            # begins with the best of another sweep
tonearm sweep mine.spaces:rates --dataset music                          # a space of your own
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from jobs.common import DATASETS, cli_errors, require_folder
from jobs.known_names import find_space
from jobs.label_options import MergeLabels, Options, Separator, SeveralLabels, dataset_fields
from tonearm.core.errors import ConfigError
from tonearm.core.text import command, format_table, parse_fields
from tonearm.tracking.known_runs import require_run
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.preflight import preflight
from tonearm.workflows.prepared_names import require_dataset


def main(
    name: Annotated[str, typer.Argument(help="of the search space; one of your own as package.module:function")] = "",
    dataset: Annotated[str, typer.Option(help=f"name of a prepared data set; with --data its kind: {DATASETS}")] = "",
    data: Annotated[str, typer.Option(help="folder of the data set's files; prepared first, as by tonearm train")] = "",
    label: Annotated[str, typer.Option(help="folder: what the label is, e.g. genre")] = "",
    option: Options = None,
    merge_labels: MergeLabels = False,
    several_labels: SeveralLabels = "",
    separator: Separator = "",
    dataset_name: Annotated[
        str, typer.Option("--name", help="with --data: what to call the data set; by default the folder's name")
    ] = "",
    list_spaces: Annotated[bool, typer.Option("--list", help="list the search spaces")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="check the space, show trials, bytes of features and time")
    ] = False,
    trials: Annotated[int, typer.Option(help="try so many configurations; 0: as the space says")] = 0,
    epochs: Annotated[int, typer.Option(help="at most so many epochs a trial; 0: as the space says")] = 0,
    seeds: Annotated[int, typer.Option(help="train each configuration so often; 0: as the space says")] = 0,
    seed: Annotated[
        int,
        typer.Option(help="number that the search follows from; another is another sweep; -1: the space's"),
    ] = -1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="a field that the space does not vary, as in window.frames=107")
    ] = None,
    warm_start: Annotated[
        list[str] | None, typer.Option(help="run or sweep in MLflow whose best settings are tried first")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a begun sweep; an error without one")] = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="train trials anew that other code has trained")] = False,
    cpus: Annotated[float, typer.Option(help="cores of each trial")] = 1.0,
    gpus: Annotated[float, typer.Option(help="GPUs of each trial; with 0.25 four trials share one")] = 0.0,
    max_gigabytes: Annotated[float, typer.Option(help="refuse to extract more features than this")] = 20.0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share of files is unusable")] = MAX_REJECTED,
) -> None:
    """Run a search space; the same command goes on where it was stopped, and finished trials are not run again."""
    with cli_errors():
        if cpus <= 0 or not 0 <= gpus <= 1:
            raise ConfigError(f"--cpus {cpus:g}, --gpus {gpus:g}: a trial needs a part of a core, and at most one GPU")
        if list_spaces:
            from search_spaces import SPACES

            print(format_table([(key, (SPACES[key].__doc__ or "").split("\n")[0]) for key in SPACES], indent=""))
            return
        if not name:
            raise ConfigError("name a search space; --list shows them")
        require_folder("--data", data)
        if ":" not in name:  # a module of one's own may bring a kind of data set
            require_dataset(dataset, data)
        preflight(uses_ray=not dry)
        for run in warm_start or []:
            require_run(run)
        found = find_space(name)
        from tonearm.workflows.set_aside import set_aside_lines
        from tonearm.workflows.sweep import resize, run_request
        from tonearm.workflows.sweep_data import SweepRequest

        space = resize(found, trials=trials, epochs=epochs, seeds=seeds, seed=seed, changes=parse_fields(set_ or []))
        fields = dataset_fields(option, merge_labels, several_labels, separator)
        request = SweepRequest(
            name.rsplit(":")[-1], space, dataset or ("" if data else space.trial.dataset.name),
            os.path.expanduser(data), label, fields, tuple(warm_start or ()), resume, cpus,  # noqa: PTH111  a URI must stay as it is
            gpus, max_rejected, max_gigabytes, dataset_name, retrain,
        )  # fmt: skip
        if dry:
            from tonearm.workflows.sweep_data import check_extraction_size
            from tonearm.workflows.sweep_dry_run import dry_run

            shown = dry_run(request)
            print(shown)
            check_extraction_size(shown.needs, max_gigabytes)
            return
        sweep = run_request(request)
        aside = "".join(f"{line}\n" for line in set_aside_lines(sweep.manifest.name))
        print(f"{sweep}\n{aside}{sweep.places}\nnext: {command('compare', sweep.name)}")
        if sweep.takes_only_audio:
            print(f"      {command('select', sweep.name)}")


if __name__ == "__main__":
    typer.run(main)
