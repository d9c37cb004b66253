"""Run a search space on Ray Tune, tracked in MLflow.

python -m jobs.sweep --list
python -m jobs.sweep demo --dry-run
python -m jobs.sweep demo --dataset scores
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from jobs.common import cli_errors, save_figure, start_ray, table
from jobs.datasets import manifest_uri
from search_spaces import SPACES
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.report import sweep_plot
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.run import SweepPlan, run_sweep
from tonearm.sweeps.space import settings
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.training.config import DatasetRef, TrialConfig


@dataclass(frozen=True)
class Sweep:
    """A sweep on a data set: its identity, its folder, its trials."""

    space: str
    signature: str
    folder: str
    manifest_uri: str
    manifest: Manifest
    configs: list[TrialConfig]

    @property
    def run_name(self) -> str:
        return f"{self.space}-{self.signature}"


def plan_sweep(space_name: str, space: SearchSpace, dataset: str) -> Sweep:
    """Resolve a search space against a data set as it is there."""
    manifest = load_manifest(manifest_uri(dataset))
    reference = DatasetRef(name=manifest.name, label=manifest.label, data_signature=manifest.signature())
    configs = space.sample(reference)
    signature = space.signature(configs)
    folder = storage.join(home.trials_home(), signature)
    return Sweep(space_name, signature, folder, manifest_uri(dataset), manifest, configs)


def open_parent(sweep: Sweep) -> RunWriter:
    """The sweep's run in MLflow."""
    params = {"space": sweep.space, "trials": len(sweep.configs), "tracks": len(sweep.manifest.tracks)}
    tags = {names.SWEEP: sweep.signature, names.DATA: sweep.manifest.signature()}
    return RunWriter.open(sweep.manifest.name, sweep.run_name, params=params, tags=tags)


def run(sweep: Sweep, space: SearchSpace, cpus: float = 1.0, gpus: float = 0.0) -> list[TrialResult]:
    """Run what is missing of a sweep; results by trial."""
    parent = open_parent(sweep)
    plan = SweepPlan(
        sweep.configs, space.scheduler, sweep.folder, sweep.manifest_uri, home.features_home(), home.node_cache(),
        sweep.manifest.name, parent.run_id, tuple(space.over), cpus, gpus,
    )  # fmt: skip
    try:
        results = run_sweep(plan)
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        parent.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    figure = sweep_plot(results, f"{sweep.manifest.name}: {sweep.run_name}")
    parent.figure("sweep.png", figure)
    save_figure(storage.join(home.reports_home(sweep.manifest.name), "sweep.png"), figure)
    best = best_trial(results)
    parent.metrics({f"best_{best.config.task.primary}": best.best or 0.0, "trials": float(len(results))})
    parent.end()
    failed = [r for r in results if r.ending == "failed"]
    print(f"  best on validation: trial {best.index:02d}, {best.config.task.primary} {best.best:.3f}")
    if failed:
        print(f"  {len(failed)} of {len(results)} trials failed: {', '.join(r.name for r in failed)}")
    return results


def best_trial(results: list[TrialResult]) -> TrialResult:
    """The trial with the best validation score; the first of equals."""
    done = [r for r in results if r.best is not None]
    sign = 1.0 if done[0].config.task.maximise else -1.0
    return max(done, key=lambda r: (sign * (r.best or 0.0), -r.index))


def _dry_run(name: str, space: SearchSpace) -> None:
    configs = space.sample()
    rows = [("trial", *space.over, "stored as")]
    rows += [(f"{i:02d}", *settings(c, space.over), c.representation.store_name()) for i, c in enumerate(configs)]
    distinct = {c.representation.store_name(): c for c in configs}
    shapes = [c.representation.input_spec(c.clip.seconds) for c in distinct.values()]
    size = sum(s.freq_bins * s.frames * 2 for s in shapes)
    print(f"{name}: {len(configs)} trials of at most {space.base.optim.epochs} epochs")
    print(table(rows))
    print(f"{len(distinct)} distinct representations, {size / 1e6:.2f} MB a track")


def main(
    name: Annotated[str, typer.Argument(help="of the search space")] = "",
    dataset: Annotated[str, typer.Option(help="data set, as jobs.extract named it")] = "scores",
    list_spaces: Annotated[bool, typer.Option("--list", help="list the search spaces")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check the space and show its trials")] = False,
    trials: Annotated[int, typer.Option(help="draw so many trials; 0: as the space says")] = 0,
    epochs: Annotated[int, typer.Option(help="at most so many epochs a trial; 0: as the space says")] = 0,
    cpus: Annotated[float, typer.Option(help="of each trial")] = 1.0,
    gpus: Annotated[float, typer.Option(help="of each trial; a fraction shares one")] = 0.0,
) -> None:
    """Run a search space; a second call goes on where the first stopped, and finished trials are not run again."""
    with cli_errors():
        if list_spaces:
            rows = [(key, (SPACES[key].__doc__ or "").split("\n")[0]) for key in SPACES]
            print(table(rows, indent=""))
            return
        if not name:
            raise ConfigError(f"name a search space: {', '.join(SPACES)}")
        space = resize(SPACES[name](), trials, epochs)
        space.check()
        if dry_run:
            _dry_run(name, space)
            return
        sweep = plan_sweep(name, space, dataset)
        start_ray()
        run(sweep, space, cpus, gpus)
        print(f"trials and their models: {sweep.folder}\nnext: python -m jobs.select {name} --dataset {dataset}")


def resize(space: SearchSpace, trials: int = 0, epochs: int = 0) -> SearchSpace:
    """A space with fewer trials or epochs."""
    if trials:
        space = dataclasses.replace(space, trials=trials)
    if epochs:
        space = dataclasses.replace(space, base=space.base.replace({"optim.epochs": epochs}))
    return space


if __name__ == "__main__":
    typer.run(main)
