"""Run a search space on Ray Tune, tracked in MLflow.

python -m jobs.sweep --list
python -m jobs.sweep demo --dry-run                                             # trials, features, time; nothing starts
python -m jobs.sweep demo --dataset scores                                      # a data set that jobs.extract prepared
python -m jobs.sweep time_mel --dataset folder --data ~/Music --label genre     # prepared now, with what is missing
python -m jobs.sweep time_mel --dataset music --seeds 3 --gpus 0.25             # four trials share a GPU
python -m jobs.sweep time_mel --dataset music --warm-start demo-3f2a            # begins with the best of another sweep
python -m jobs.sweep mine.spaces:rates --dataset music                          # a space of your own
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated

import torch
import typer

from jobs.common import cli_errors
from search_spaces import SPACES, find_space
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError, JobError
from tonearm.core.lock import DriverLock
from tonearm.core.text import format_table, parse_fields
from tonearm.datasets import DatasetConfig
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.estimate import (
    DatasetCounts,
    StoreEstimate,
    dataset_counts,
    expected_epoch_fraction,
    training_seconds,
)
from tonearm.sweeps.plots import sweep_plot
from tonearm.sweeps.propose import FIRST_FROM_EARLIER, Proposer
from tonearm.sweeps.results import TrialResult, best_result
from tonearm.sweeps.run import SweepContext, run_sweep
from tonearm.sweeps.space import settings
from tonearm.sweeps.strategies import Grid, Random
from tonearm.sweeps.warm_start import load_warm_start
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.training.config import TrialConfig
from tonearm.workflows.defaults import MAX_REJECTED
from tonearm.workflows.ray_session import start_ray
from tonearm.workflows.sweep_data import (
    GIGABYTE,
    check_extraction_size,
    listed_tracks,
    needs_of,
    prepared,
    sweep_data,
)
from tonearm.workflows.sweep_setup import Sweep, prepare_sweep

SHOWN, MOST_COLUMNS = 40, 6  # trials and columns of a dry run's table


def run(sweep: Sweep, cpus: float = 1.0, gpus: float = 0.0) -> list[TrialResult]:
    """Run what is missing of a sweep; results by trial."""
    if sweep.proposer is None:
        raise JobError(f"sweep {sweep.run_name} was only read: plan it from its space to run it")
    with DriverLock(sweep.folder):
        return _run(sweep, sweep.proposer, cpus, gpus)


def _run(sweep: Sweep, proposer: Proposer, cpus: float, gpus: float) -> list[TrialResult]:
    start_ray()
    parent = sweep.open()
    context = SweepContext(
        proposer, sweep.folder, sweep.manifest_uri, home.features_home(), home.node_cache(), sweep.manifest.name,
        parent.run_id, cpus, gpus,
    )  # fmt: skip
    try:
        results = run_sweep(context)
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        retry_best_effort(parent.end, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    figure = sweep_plot(results, f"{sweep.manifest.name}: {sweep.run_name}")
    storage.write_figure(storage.join(home.reports_home(sweep.manifest.name), "sweep.png"), figure)
    best = best_result(results)

    def complete() -> None:
        parent.figure("sweep.png", figure)
        parent.metrics({f"best_{best.config.task.primary}": best.best or 0.0, "trials": float(len(results))})
        parent.end()

    retry(complete)
    print(f"  best on validation: trial {best.index:02d}, {best.config.task.primary} {best.best:.3f}")
    failed = [r for r in results if r.ending == "failed"]
    if failed:
        print(f"  {len(failed)} of {len(results)} trials failed; the same command tries them again:")
        for result in failed:
            print(
                f"    {result.name}: {result.error.strip().splitlines()[-1] if result.error else 'no epoch finished'}"
            )
    return results


def dry_run(
    name: str,
    space: SearchSpace,
    needs: Sequence[StoreEstimate],
    counts: DatasetCounts | None,
    workers: int,
    gpus: float,
) -> None:
    """Print what a sweep would be: its trials, its features and about how long it takes.

    Parameters
    ----------
    counts
        Of the data set's tracks, if it is there.
    """
    points = space.points()
    configs = space.configs(points)
    count = space.trials if not isinstance(space.search, Grid | Random) else len(configs)
    adaptive = "" if count == len(configs) else f", of which the first {len(configs)} are known beforehand"
    epochs = space.trial.optim.max_epochs
    print(f"{name}: {count} configurations x {space.seeds} seed(s){adaptive}; at most {epochs} epochs a trial")
    print(f"  search {space.search}, scheduler {space.scheduler}")
    once = space.data_stages()
    for stage in space.upstream_stages:
        often = "" if space.seeds == 1 else ", once" if stage.name in once else f", with {space.seeds} seeds"
        print(f"  trained before: {stage.name}{often}")
    print(trials_table(space, configs))
    print(f"{len(needs)} distinct representation(s), {sum(n.bytes_per_track for n in needs) / 1e6:.2f} MB a track")
    rows: list[tuple[str, ...]] = [("representation", "clip, s", "MB a track", "tracks to extract", "GB")]
    rows += [(n.representation.brief(), f"{n.seconds:g}", f"{n.bytes_per_track / 1e6:.2f}",
              "" if n.missing is None else str(n.missing), f"{n.bytes / GIGABYTE:.2f}") for n in needs]  # fmt: skip
    if needs:
        print(format_table(rows))
    if counts is None:
        print("time: not known without the data set: name a prepared one with --dataset, or its files with --data")
        return
    if gpus:
        print("time: not known for a GPU: only this machine's cores are timed")
        return
    seconds = training_seconds(configs, counts) / len(configs) * count * space.seeds
    share = expected_epoch_fraction(space.scheduler, count * space.seeds, epochs)
    before = " and the stages before" if space.upstream_stages else ""
    print(
        f"time: about {duration(seconds * share / workers)} with {workers} trial(s) at once "
        f"({duration(seconds * share)} of one core; to the end of every trial {duration(seconds)}), beside "
        f"extraction{before}; a few steps of these networks were timed here"
    )


def trials_table(space: SearchSpace, configs: Sequence[TrialConfig]) -> str:
    """The trials, a row each; of many fields a row each, with the first few trials."""
    if len(space.over) <= MOST_COLUMNS:
        rows: list[tuple[str, ...]] = [("trial", *space.over)]
        rows += [(f"{i:02d}", *settings(c, space.over)) for i, c in enumerate(configs[:SHOWN])]
        more = len(configs) - SHOWN
    else:
        values = [settings(c, space.over) for c in configs[:MOST_COLUMNS]]
        rows = [("field", *(f"trial {i:02d}" for i in range(len(values))))]
        rows += [(path, *(v[i] for v in values)) for i, path in enumerate(space.over)]
        more = len(configs) - MOST_COLUMNS
    return format_table(rows) + (f"\n  and {more} more" if more > 0 else "")


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def main(
    name: Annotated[str, typer.Argument(help="of the search space; one of your own as package.module:function")] = "",
    dataset: Annotated[
        str,
        typer.Option(help=f"name of a prepared data set; with --data its kind: {', '.join(DatasetConfig.registry)}"),
    ] = "",
    data: Annotated[str, typer.Option(help="folder of the data set's files; prepared first, as jobs.train does")] = "",
    label: Annotated[str, typer.Option(help="folder: what the label is, e.g. genre")] = "",
    option: Annotated[list[str] | None, typer.Option(help="a field of the data set, as in subset=small")] = None,
    list_spaces: Annotated[bool, typer.Option("--list", help="list the search spaces")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="check the space, show trials, bytes of features and time")
    ] = False,
    trials: Annotated[int, typer.Option(help="try so many configurations; 0: as the space says")] = 0,
    epochs: Annotated[int, typer.Option(help="at most so many epochs a trial; 0: as the space says")] = 0,
    seeds: Annotated[int, typer.Option(help="train each configuration so often; 0: as the space says")] = 0,
    seed: Annotated[int, typer.Option(help="of the search; another one is another sweep; -1: the space's")] = -1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="a field that the space does not vary, as in window.frames=107")
    ] = None,
    warm_start: Annotated[
        list[str] | None, typer.Option(help="run or sweep in MLflow whose best settings are tried first")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with a sweep that was begun; an error where there is none")
    ] = False,
    cpus: Annotated[float, typer.Option(help="cores of each trial")] = 1.0,
    gpus: Annotated[float, typer.Option(help="GPUs of each trial; with 0.25 four trials share one")] = 0.0,
    max_gigabytes: Annotated[float, typer.Option(help="refuse to extract more features than this")] = 20.0,
    max_rejected: Annotated[float, typer.Option(help="fail if a larger share of files is unusable")] = MAX_REJECTED,
) -> None:
    """Run a search space; the same command goes on where it was stopped, and finished trials are not run again."""
    with cli_errors():
        if list_spaces:
            rows = [(key, (SPACES[key].__doc__ or "").split("\n")[0]) for key in SPACES]
            print(format_table(rows, indent=""))
            return
        if not name:
            raise ConfigError(f"name a search space: {', '.join(SPACES)}")
        if cpus <= 0 or not 0 <= gpus <= 1:
            raise ConfigError(f"--cpus {cpus:g}, --gpus {gpus:g}: a trial needs a part of a core, and at most one GPU")
        space = resize(find_space(name), trials, epochs, seeds, seed, parse_fields(set_ or []))
        space.check()
        chosen, options = dataset or ("" if data else space.trial.dataset.name), parse_fields(option or [])
        root = os.path.expanduser(data)  # noqa: PTH111  a URI must stay as it is
        earlier = retry(load_warm_start, space, warm_start or [], seconds=60.0)
        also = [e.values for e in earlier.found[:FIRST_FROM_EARLIER]]
        if dry:
            manifest, extractions = prepared(chosen, root), space.extractions(also)
            tracks = (
                manifest.tracks if manifest else listed_tracks(space, chosen, root, label, options) if root else None
            )
            needs = needs_of(extractions, tracks)
            counts = dataset_counts(space.trial, manifest, tracks)
            dry_run(name, space, needs, counts, max(1, int((os.cpu_count() or 1) / cpus)), gpus)
            check_extraction_size(needs, max_gigabytes)
            return
        manifests = sweep_data(space, chosen, root, label, options, max_rejected, max_gigabytes, also)
        device = "cuda" if gpus and torch.cuda.is_available() else "cpu"  # the driver's node may have none
        sweep = prepare_sweep(name.rsplit(":")[-1], space, manifests, earlier, resume, device)
        run(sweep, cpus, gpus)
        print(f"trials and their models: {sweep.folder}")
        print(f"next: python -m jobs.compare {sweep.run_name}")
        if takes_only_audio(space.trial):
            print(f"      python -m jobs.select {sweep.run_name}")


def takes_only_audio(config: TrialConfig) -> bool:
    """Whether the trial's model can answer for audio alone, as a served one must."""
    return len(config.representations) == len(config.feature.named_inputs())


def resize(
    space: SearchSpace, trials: int = 0, epochs: int = 0, seeds: int = 0, seed: int = -1,
    changes: dict[str, object] | None = None,
) -> SearchSpace:  # fmt: skip
    """A space with other numbers of trials, epochs and seeds, or other fields that it does not vary."""
    for path in changes or {}:
        if path in space.over:
            raise ConfigError(f"--set {path}: the space varies it")
    base = {**(changes or {}), **({"optim.epochs": epochs} if epochs else {})}
    if base:
        space = space.replace_base(base)
    return dataclasses.replace(
        space, trials=trials or space.trials, seeds=seeds or space.seeds, seed=space.seed if seed < 0 else seed
    )


if __name__ == "__main__":
    typer.run(main)
