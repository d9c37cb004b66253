"""A sweep in its folder: what it is, its trials, its plot; found again by its name in MLflow."""

from __future__ import annotations

import html
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tonearm.core import home, storage
from tonearm.core.config import Config
from tonearm.core.errors import JobError
from tonearm.core.text import command, format_table
from tonearm.datasets.manifest import Manifest, load_manifest, save_manifest
from tonearm.sweeps import SearchSpace
from tonearm.sweeps.ledger import Ledger
from tonearm.sweeps.plots import sweep_plot
from tonearm.sweeps.results import TrialResult, best_result, reason, result_in_sweep
from tonearm.tracking import names
from tonearm.tracking.dataset_input import split_sizes
from tonearm.tracking.log import LogEntry, RunWriter
from tonearm.tracking.query import RunSummary, child_runs, find_runs
from tonearm.tracking.retry import retry
from tonearm.training.config import TrialConfig
from tonearm.workflows.mlflow_pages import describe_sweep, page_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MANIFEST, DESCRIPTION = "manifest.parquet", "sweep.json"
OVER = "over."  # before a varied field's path, in the parameters
GROWING = ("trials", "seeds")  # what a sweep may have more of later: MLflow's parameters never change, its tags do


@dataclass(frozen=True)
class Sweep:
    """A sweep in its folder, which says what it is.

    Attributes
    ----------
    space
        Name of the search space.
    signature
        Identity of the space, of the data and of the earlier runs that it starts from.
    manifest
        What its trials are trained on: a copy, since the data set may be prepared anew while the sweep runs.
    params
        What a person wants to know of it.
    finished
        What came of its trials, with the errors of those that failed; None: they are read from the folder.
    """

    space: str
    signature: str
    manifest: Manifest
    params: dict[str, Any]
    finished: tuple[TrialResult, ...] | None = None

    @property
    def name(self) -> str:
        """Of its run in MLflow."""
        return f"{self.space}-{self.signature}"

    @property
    def folder(self) -> str:
        """Where it lies; its trials lie beside it, where other sweeps find them, too."""
        return sweep_folder(self.signature)

    @property
    def manifest_uri(self) -> str:
        """Where its copy of the manifest lies."""
        return storage.join(self.folder, MANIFEST)

    @cached_property
    def results(self) -> list[TrialResult]:
        """Of the trials that were proposed so far, by index; read once."""
        if self.finished is not None:
            return list(self.finished)
        ledger = Ledger(self.folder)
        return [result_in_sweep(ledger, p) for p in ledger.proposals]

    @property
    def best(self) -> TrialResult:
        """The trial with the best validation score.

        Raises
        ------
        JobError
            If no trial has finished an epoch.
        """
        self._require_history()
        return best_result(self.results)

    @property
    def trials(self) -> pd.DataFrame:
        """A row a trial, by its index: the varied fields, the seed, the best validation score, how it ended."""
        import pandas as pd

        rows = []
        for r in self.results:
            varied = {path: _cell(r.config.at(path)) for path in self._varied}
            rows.append({
                "name": r.name, **varied, "seed": r.config.seed, f"validation_{r.config.task.primary}": r.best,
                "epochs": len(r.history), "seconds": sum(h["epoch_seconds"] for h in r.history), "ending": r.ending,
            })  # fmt: skip
        return pd.DataFrame(rows, index=pd.Index([r.index for r in self.results], name="trial"))

    @property
    def figure(self) -> Figure:
        """All trials: their learning curves, and their best scores by model and learning rate."""
        return self.plot()

    def plot(self, members: Collection[int] = ()) -> Figure:
        """The same, with the trials of an ensemble marked, by their indices."""
        self._require_history()
        return sweep_plot(self.results, f"{self.manifest.name}: {self.name}", members)

    def __str__(self) -> str:
        """The best trial, and those that failed, as the job prints them."""
        lines = []
        if any(r.history for r in self.results):
            best = self.best
            lines.append(f"  best on validation: trial {best.name}: {best.config.task.primary} {best.best or 0.0:.3f}")
            tried, tracks = sum(bool(r.history) for r in self.results), split_sizes(self.manifest.tracks)["validation"]
            if tried > 1:  # what is the highest of many is higher than what it measures
                lines.append(
                    f"    the highest of {tried} on the same {tracks} tracks, partly by luck; {command('select')} says "
                    "what is left on tracks that did not choose"
                )
        failed = [r for r in self.results if r.ending == "failed"]
        if failed:
            lines.append(f"  {len(failed)} of {len(self.results)} trials failed; the same command tries them again:")
            lines += [f"    {r.name}: {reason(r)}" for r in failed]
        return "\n".join(lines)

    @property
    def description(self) -> str:
        """What it is, what came of it and how to go on, in Markdown."""
        return describe_sweep(self.space, self.name, self.manifest.name, self.results, self.takes_only_audio)

    @property
    def data(self) -> tuple[str, str, str, dict[str, int]]:
        """Its data set for MLflow: name, signature, folder, and the tracks of each split."""
        name = self.manifest.name
        return name, self.manifest.signature(), home.data_home(name), split_sizes(self.manifest.tracks)

    @property
    def places(self) -> str:
        """Where its best model and all its trials lie, and where they are looked at, for people."""
        folders = dict.fromkeys(r.folder.uri.rstrip("/").rpartition("/")[0] for r in self.results)
        lines = [f"trials and their models: {', '.join(folders)}", page_line(self.manifest.name)]
        if any(r.history for r in self.results):
            lines.insert(0, f"its model: {self.best.folder.bundle_uri}")
        return "\n".join(line for line in lines if line)

    def __repr__(self) -> str:
        """The table of trials and the best one."""
        head = f"sweep {self.name} on {self.manifest.name}: {len(self.results)} trials"
        table = self.trials.drop(columns="name").reset_index()
        rows: list[tuple[str, ...]] = [tuple(map(str, table.columns))]
        rows += [tuple(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row) for row in table.to_numpy(object)]
        return "\n".join(part for part in (head, format_table(rows) if len(rows) > 1 else "", str(self)) if part)

    def _repr_html_(self) -> str:
        head = f"sweep <b>{html.escape(self.name)}</b> on {html.escape(self.manifest.name)}: {len(self.results)} trials"
        return f"<p>{head}</p>{self.trials.to_html()}"

    @property
    def _varied(self) -> list[str]:
        return sorted(key.removeprefix(OVER) for key in self.params if key.startswith(OVER))  # as JSON keeps them

    def _require_history(self) -> None:
        if not any(r.history for r in self.results):
            raise JobError(f"no trial of sweep {self.name} has finished an epoch in {self.folder}: run the sweep first")

    def save(self) -> None:
        """Write down what it is, unless that was done; the description comes last."""
        if storage.exists(self.manifest_uri) and load_manifest(self.manifest_uri).signature() != (
            self.manifest.signature()
        ):
            save_manifest(self.manifest_uri, self.manifest)  # a stage before it was trained anew and gives others
        description, own = storage.join(self.folder, DESCRIPTION), {"name": self.space, "params": self.params}
        if not storage.exists(description) or storage.read_json(description) != own:
            save_manifest(self.manifest_uri, self.manifest)
            storage.write_json(description, own)

    def open(self) -> RunWriter:
        """The sweep's run in MLflow; waits for a server that is away."""
        size = {key: str(self.params[key]) for key in GROWING if key in self.params}
        text = f", {size['trials']} configuration(s) x {size['seeds']} seed(s)" if len(size) == len(GROWING) else ""
        note = f"Sweep of the search space {self.space} on {self.manifest.name}{text}; its trials are below."
        growing = {f"tonearm.{key}": value for key, value in size.items()}
        tags = {names.SWEEP: self.signature, names.SPACE: self.space, names.DATA: self.manifest.signature(),
                names.SOURCE: "tonearm sweep", names.NOTE: note, **growing}  # fmt: skip
        params = {key: value for key, value in self.params.items() if key not in GROWING}
        run = retry(RunWriter.open, self.manifest.name, self.name, None, params, tags)
        if not run.is_new:
            retry(run.log, [LogEntry(tags=growing)])
        return run

    @property
    def takes_only_audio(self) -> bool:
        """Whether its models can answer for audio alone, as a served one must."""
        return all(takes_only_audio(r.config) for r in self.results)


def takes_only_audio(config: TrialConfig) -> bool:
    """Whether a trial's model can answer for audio alone, as a served one must."""
    return len(config.representations) == len(config.feature.named_inputs())


def why_not_selected(space: SearchSpace) -> str:
    """Why no model of a space can be selected and served, or not every one, told before it is trained; "" if all can.

    Clips and representations may differ.
    """
    configs = space.configs(space.points())
    others = sorted({f.kind for c in configs for name, f in c.feature.named_inputs().items()
                     if name not in c.representations})  # fmt: skip
    if not others:
        return ""
    which = "its networks take" if not any(takes_only_audio(c) for c in configs) else "some of its networks take"
    return f"{which} {', '.join(others)}, and no audio alone: {command('compare')} ranks them, they cannot be selected"


def _cell(value: object) -> object:
    return value.brief() if isinstance(value, Config) else value


def sweep_folder(signature: str) -> str:
    """Where a sweep lies."""
    return storage.join(home.trials_home(), signature)


def find_sweep(text: str) -> Sweep:
    """A sweep that was begun, by its run's name or id in MLflow, or a unique beginning of it.

    Raises
    ------
    TrackingError
        If MLflow has no such run, or several.
    JobError
        If the run is no sweep, or its folder is not in this home.
    """
    (run, *_) = retry(find_runs, text, seconds=60.0)
    signature = run.tags.get(names.SWEEP)
    if signature is None:
        raise JobError(f"run {run.name} is no sweep: {_what_to_do_with(run)}")
    description = storage.join(sweep_folder(signature), DESCRIPTION)
    if not storage.exists(description):
        raise JobError(f"the trials of sweep {run.name} are not in {home.trials_home()}: set TONEARM_HOME as it was")
    kept = storage.read_json(description)
    manifest = load_manifest(storage.join(sweep_folder(signature), MANIFEST))
    return Sweep(kept["name"], signature, manifest, kept["params"])


def _what_to_do_with(run: RunSummary) -> str:
    """What a person can do with a run that is no sweep: what training left is served as it is."""
    folders = [r.tags[names.FOLDER] for r in (run, *retry(child_runs, run.run_id)) if names.FOLDER in r.tags]
    bundles = [storage.join(folder, "bundle") for folder in folders if storage.exists(storage.join(folder, "bundle"))]
    if not bundles:
        return f"name one, e.g. demo-3f2a; {command('ls')} lists them"
    return f"it was trained alone, and is served as it is: {command('serve', '--model', bundles[0])}"
