"""The trials that a selection chooses from: of a sweep, of a training, a single one, or of several of these."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tonearm.core import home, storage
from tonearm.core.errors import JobError
from tonearm.core.text import command
from tonearm.datasets.manifest import Manifest, load_manifest, manifest_leftovers, save_manifest, shared_leftovers
from tonearm.sweeps.results import TrialResult, read_result
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.query import RunSummary, find_runs, get_run, leaf_runs
from tonearm.tracking.retry import retry
from tonearm.training.bundle import DESCRIPTION
from tonearm.training.trial import TrialFolder
from tonearm.workflows.sweep_result import Sweep, find_sweep, takes_only_audio

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

NOT_IN_FOLDERS = r"[^\w.-]+"
KEPT, KEPT_NAME = "splits", re.compile(r"[0-9a-f]+\.parquet")  # the folder of kept manifests, beside their metadata


@dataclass(frozen=True)
class TrialLibrary:
    """Trials of one data set and split.

    Attributes
    ----------
    name
        What commands know them by.
    folder
        URI where a selection from them is kept.
    manifest
        What they were trained on, with the splits.
    results
        By index.
    open
        Opens the run in MLflow that holds them.
    tags
        By which a registered version is known to be of them.
    notes
        What a person must know.
    plot
        Draws them, those of some indices marked; None where there is no such plot.
    others
        Of trials that came from another sweep or training: its name, by index.
    """

    name: str
    folder: str
    manifest: Manifest
    results: tuple[TrialResult, ...]
    open: Callable[[], RunWriter]
    tags: dict[str, str]
    notes: tuple[str, ...] = ()
    plot: Callable[[Collection[int]], Figure] | None = None
    others: Mapping[int, str] = field(default_factory=dict)


def find_library(text: str) -> TrialLibrary:
    """The trials of a sweep or a training, or a single one, by the run's name or id in MLflow or a beginning of it.

    Raises
    ------
    TrackingError
        If MLflow has no such run, or several.
    JobError
        If its trials are not in this home, no model of them could be served, or several trainings have such a run.
    """
    (run, *others) = retry(find_runs, text, seconds=60.0)
    if others and not names.lasting_name(run.tags):  # as folds of several trainings are called alike
        of = {whole.run_id: names.lasting_name(whole.tags) or whole.name for whole in map(_whole, (run, *others))}
        if len(of) > 1:
            raise JobError(
                f"{text!r} is the name of {1 + len(others)} runs, of {', '.join(sorted(of.values()))}: name one by its "
                f"id in MLflow, e.g. {run.run_id}, or name its training"
            )
    return library_of_sweep(find_sweep(text)) if names.SWEEP in run.tags else _of_training(run)


def library_of_sweep(sweep: Sweep) -> TrialLibrary:
    """The trials of a sweep."""
    return TrialLibrary(sweep.name, storage.join(sweep.folder, "champion"), sweep.manifest, tuple(sweep.results),
                        sweep.open, {names.SWEEP: sweep.signature}, plot=sweep.plot)  # fmt: skip


def join_libraries(first: TrialLibrary, *others: TrialLibrary) -> TrialLibrary:
    """Trials of several sweeps and trainings as one library, which has the run and the folder of the first.

    Raises
    ------
    JobError
        If they are of other data or splits.
    """
    results, origin = list(first.results), dict(first.others)
    for other in others:
        if other.manifest.signature() != first.manifest.signature():
            raise JobError(
                f"{first.name} and {other.name} are of other data sets or splits ({first.manifest.name}, "
                f"{other.manifest.name}), so that nothing can be chosen of both: name those of one"
            )
        ours, theirs = (r.results[0].config.task if r.results else None for r in (first, other))
        if ours and theirs and (ours.kind, ours.primary) != (theirs.kind, theirs.primary):
            raise JobError(
                f"{first.name} learned {ours.kind}, by {ours.primary}, and {other.name} {theirs.kind}, by "
                f"{theirs.primary}, so that nothing can be chosen of both: name those that learned the same"
            )
        known = {r.folder.uri for r in results}
        for r in other.results:
            if r.folder.uri not in known:
                index = 1 + max((r.index for r in results), default=-1)
                results.append(dataclasses.replace(r, index=index, name=f"{index:02d} {r.config.model.brief()}"))
                origin[index] = other.name
    names_of = dict.fromkeys([*(first.tags.get(names.TRAINING, "").split()), *origin.values()])
    tags = {**first.tags, names.TRAINING: " ".join(names_of)} if names_of else first.tags
    notes = tuple(note for library in (first, *others) for note in library.notes)
    return dataclasses.replace(first, results=tuple(results), tags=tags, notes=notes, others=origin)


def _of_training(run: RunSummary) -> TrialLibrary:
    """The networks of a training's last stage's task, of all seeds; of a cross-validation those of its first fold.

    Where the last stage is composed of the others, it alone is the result: their embeddings are of other spaces than
    that which it places recordings in.
    """
    stages = sorted(retry(leaf_runs, run.run_id), key=lambda leaf: leaf.started)
    folders = [TrialFolder(leaf.tags[names.FOLDER]) for leaf in stages if names.FOLDER in leaf.tags]
    folders = list({f.uri: f for f in folders if storage.exists(storage.join(f.bundle_uri, DESCRIPTION))}.values())
    configs = [folder.config() for folder in folders]
    if not any(takes_only_audio(c) for c in configs):
        raise JobError(
            f"run {run.name} holds no network that takes audio alone and lies in {home.trials_home()}: estimators and "
            f"what takes more than audio are not registered, what {command('train', '--recipe', 'blocks')} solves of "
            f"such features is; {command('ls')} lists sweeps and trainings"
        )
    last = next(c for c in reversed(configs) if takes_only_audio(c))
    alike = [(c, f) for c, f in zip(configs, folders, strict=True)
             if takes_only_audio(c) and c.task == last.task and c.dataset.label == last.dataset.label
             and c.model.composed == last.model.composed]  # fmt: skip
    fold = min(c.dataset.fold for c, _ in alike)
    data = next(c.dataset for c, _ in alike if c.dataset.fold == fold)
    kept = [(c, f) for c, f in alike if c.dataset == data]
    others = sum(c.dataset.fold == fold for c, _ in alike) - len(kept)
    results = tuple(read_result(i, f"{i:02d} {c.model.brief()}", c, f) for i, (c, f) in enumerate(kept))
    notes = [f"cross-validated: the networks of fold {fold} are registered, the report has the scores of all"] * bool(
        fold
    )
    if others:
        notes.append(f"{others} of {len(kept) + others} were trained on other data, as another seed's vectors, and "
                     "are not compared: the first seed's are chosen from")  # fmt: skip
    if last.model.composed:
        notes.append(f"chosen from its last stage, {last.model.kind}, alone: the others are members of it")
    whole = _whole(run)
    own = names.lasting_name(run.tags)
    name = own or names.lasting_name(whole.tags) or run.name
    place = own or f"{name}-{re.sub(NOT_IN_FOLDERS, '-', run.name)}"  # a fold's run: it has no name of its own
    of_sweep = names.SWEEP in whole.tags
    manifest = find_sweep(whole.run_id).manifest if of_sweep else kept_manifest(data.name, data.data_signature)
    folder = storage.join(home.trials_home(), "selections", place)
    return TrialLibrary(
        name, folder, manifest, results, partial(RunWriter, whole.run_id),
        {names.SWEEP: whole.tags[names.SWEEP]} if of_sweep else {names.TRAINING: name}, tuple(notes),
    )  # fmt: skip


def _whole(run: RunSummary) -> RunSummary:
    """The training that holds a run, or the run itself."""
    while run.parent and names.TRAINING not in run.tags:
        run = retry(get_run, run.parent)
    return run


def keep_manifest(manifest: Manifest) -> None:
    """Keep what networks are trained on, so that they can be scored on it when the data set has been prepared anew."""
    uri = _manifest_uri(manifest.name, manifest.signature())
    if not storage.exists(uri):
        save_manifest(uri, manifest, shared=True)  # folds differ in their splits alone


def kept_manifest(dataset: str, signature: str) -> Manifest:
    """What was kept so.

    Raises
    ------
    JobError
        If it was not.
    """
    uri = _manifest_uri(dataset, signature)
    if not storage.exists(uri):
        raise JobError(
            f"what the training of {dataset} learned from was not kept in {uri}, as by earlier versions: give its "
            f"command ({command('train')}) once more, which trains nothing that is finished; of a "
            "cross-validation the folds are taken over from its trials, or it is said why they cannot be"
        )
    return load_manifest(uri)


def kept_manifests(dataset: str) -> list[str]:
    """The URIs of all that were kept so of a data set."""
    folder = storage.join(home.data_home(dataset), KEPT)
    return [storage.join(folder, file) for file in storage.list_files(folder) if KEPT_NAME.fullmatch(file)]


def kept_leftovers(dataset: str) -> list[str]:
    """Metadata beside them that none of them names.

    Raises
    ------
    DatasetError
        If one of them is damaged.
    """
    uris = kept_manifests(dataset)
    shared = shared_leftovers(storage.join(home.data_home(dataset), KEPT), uris)
    return shared + [place for uri in uris for place in manifest_leftovers(uri)]


def _manifest_uri(dataset: str, signature: str) -> str:
    return storage.join(home.data_home(dataset), KEPT, f"{signature}.parquet")
