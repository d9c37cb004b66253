"""Choosing what is registered of trials: on validation, scored once on test, promoted if it is shown to be better."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import JobError
from tonearm.core.home_use import using_home
from tonearm.core.plugins import modules_of
from tonearm.core.precision import require_device
from tonearm.core.seeding import digest
from tonearm.core.text import command
from tonearm.core.types import FloatArray, Prediction
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble, load_ensemble, save_ensemble
from tonearm.ensembles.provenance import save_provenance
from tonearm.inference import PYFUNC_CODE
from tonearm.inference.catalogues import save_to_register
from tonearm.inference.member import MemberPrediction, combine_members
from tonearm.sweeps.results import TrialResult
from tonearm.tasks.temperature import apply_temperature
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, status_of
from tonearm.tracking.query import champion_uri, registered
from tonearm.tracking.register import register_candidate
from tonearm.tracking.retry import retry, retry_best_effort
from tonearm.workflows.choose import MOST_MEMBERS, Chosen, choose
from tonearm.workflows.figures import publish_figure
from tonearm.workflows.heard_tracks import keep_heard_tracks
from tonearm.workflows.held_out import HeldOutTracks, held_out_tracks
from tonearm.workflows.home_catalogues import catalogues_left_behind, commands_for
from tonearm.workflows.mlflow_pages import run_line
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.promotion import Candidate, decide_promotion
from tonearm.workflows.publish_choice import (
    keep_predictions,
    publish_choice,
    publish_costs,
    read_predictions,
    score_choice,
    version_tags,
)
from tonearm.workflows.recommend import refresh_champion
from tonearm.workflows.registered_catalogue import registered_catalogue
from tonearm.workflows.selection import Selection
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.training_report import TrainingResult
from tonearm.workflows.trial_costs import TrialCosts
from tonearm.workflows.trial_library import TrialLibrary, find_library, join_libraries, library_of_sweep

RULES = 4  # by which is chosen; records of other rules are not taken for this one's

logger = logging.getLogger(__name__)


@using_home("selection")
def select(
    trials: Sweep | TrainingResult | str, *others: Sweep | TrainingResult | str, promotion: bool | None = None,
    most_members: int = MOST_MEMBERS, max_milliseconds: float = 0.0, device: str = "cpu",
    told: Callable[[Selection], object] | None = None,
) -> Selection:  # fmt: skip
    """Select of the trials of sweeps and trainings what is registered, score it, and promote it if it is better.

    It is an ensemble where that beats the best single trial by more than noise, else that trial; what was solved in
    closed form gives way only to what is better by more than noise. What was selected of the same trials is not
    selected again, and tracks that were predicted are not predicted again.

    Parameters
    ----------
    trials
        A sweep or training, or its name in MLflow, or a unique beginning of it.
    others
        Further ones, of the same data and split, to choose from all together.
    promotion
        Whether it becomes the champion; None: if it is shown to be better on tracks that neither learned from.
    most_members
        Of an ensemble.
    max_milliseconds
        An answer costs less a track, on this machine: decoding, features and networks; 0: whatever it costs.
    device
        Where tracks are predicted: ``"cpu"``, by as many workers as Ray has cores where that pays, or ``"cuda"``.
    told
        Called with the selection when it is complete, before the champion gets a catalogue of today's tracks, which may
        take long.

    Raises
    ------
    JobError
        If no trial has ended, or those of a training are not in this home.
    ConfigError
        If its models need more than audio, and so cannot be served; or no trial is within the limits.
    """
    require_device(device)
    library = join_libraries(*map(_library, (trials, *others)))
    ended = [r for r in library.results if r.ending != "failed" and r.best is not None]
    done = [r for r in ended if r.folder.kept_epoch() is not None]
    for trial in ended:
        if trial not in done:
            logger.info(f"  note: trial {trial.name} is left out: a process was killed while it wrote the model, which "
                        "is written when it is trained on")  # fmt: skip
    if not done:
        raise JobError(f"{library.name} has no trial that ended: run its command ({command('sweep')}) first")
    if len(done) < len(library.results):
        logger.info(
            f"  {len(library.results) - len(done)} of {len(library.results)} trials have not ended, failed, or have no "
            "model: chosen from the others"
        )
    done[0].config.audio_inputs()  # what needs more than audio cannot be served
    record = record_uri(library, done, most_members, max_milliseconds)
    parent = library.open()
    champion = retry(registered, library.manifest.name, names.CHAMPION)
    try:
        selection = _known(library, record)
        if selection is None:
            selection = _select(library, done, record, parent, most_members, max_milliseconds, device)
        if library.plot:
            plot, members = library.plot, set(selection.members)
            publish_figure("sweep.png", home.reports_home(library.manifest.name), parent, lambda: plot(members))
        decided = _promote(library, selection, record, promotion, device)
        if decided != selection or not storage.exists(record):
            storage.write_json(record, decided.to_dict())
    except BaseException as error:  # Ctrl-C too: no run may stay "running" when nothing runs
        if parent.is_new:
            retry_best_effort(parent.end, status_of(error))
        raise
    # What a sweep came to, and when it ended, is not this job's to say: it may be run now, or its driver was killed.
    if parent.is_new:  # another database than that of the sweep
        retry(parent.end)
    decided = dataclasses.replace(decided, page=run_line(library.manifest.name, parent.run_id))
    if champion is not None and decided.promoted and decided.version != champion.version:
        decided = dataclasses.replace(decided, to_index=_left_behind(champion.version, decided))
    if told is not None:
        told(decided)
    refresh_champion(library.manifest.name, device)
    return decided


def _left_behind(before: str, decided: Selection) -> tuple[str, ...]:
    """The commands that index for the new champion what was indexed for the one before."""
    old = f"models:/{names.model_name(decided.dataset)}/{before}"
    left = best_effort("the catalogues of the champion before", catalogues_left_behind, old, decided.model)
    return tuple(commands_for(champion_uri(decided.dataset), left or ()))


def _library(trials: Sweep | TrainingResult | str) -> TrialLibrary:
    if isinstance(trials, Sweep):
        return library_of_sweep(trials)
    return find_library(trials if isinstance(trials, str) else trials.name)


def record_uri(library: TrialLibrary, done: Sequence[TrialResult], most_members: int, max_milliseconds: float) -> str:
    """Where the selection from these trials, as their code trained them, is written down."""
    limits = [] if (most_members, max_milliseconds) == (MOST_MEMBERS, 0) else [most_members, max_milliseconds]
    of = digest(RULES, [(r.folder_name, len(r.history), r.folder.code()) for r in done], *limits)
    return storage.join(library.folder, f"selection-{of}.json")


def bundle_uri(record: str) -> str:
    """Where what was chosen lies: each record's own, so that what is promoted is what the record says."""
    return f"{record.removesuffix('.json')}-bundle"


def _predictions_uri(record: str) -> str:
    return f"{record.removesuffix('.json')}-held-out.npz"


def _known(library: TrialLibrary, record: str) -> Selection | None:
    """What was selected of the same trials before, while it is the registry's newest version."""
    if not storage.exists(record) or not storage.exists(_predictions_uri(record)):
        return None
    kept = retry(registered, library.manifest.name, names.CANDIDATE)
    values = {**storage.read_json(record), "bundle": bundle_uri(record)}  # the home may have been moved
    if kept is None or kept.version != values["version"]:
        return None
    headline = tuple(library.results[0].config.task.headline)
    return Selection.from_dict(values, library.name, library.manifest.name, headline, library.others)


def _select(
    library: TrialLibrary, done: list[TrialResult], record: str, parent: RunWriter, most_members: int,
    max_milliseconds: float, device: str,
) -> Selection:  # fmt: skip
    held_out = len(library.manifest.of("validation"))
    logger.info(f"  choosing from {len(done)} trials on {held_out} validation tracks, and again on halves of them ...")
    epochs = {r.index: r.folder.kept_epoch() for r in done}  # another sweep may train them further
    costs = TrialCosts(library, whole=max_milliseconds > 0)
    chosen = choose(done, costs, most_members, max_milliseconds)
    for note in (*library.notes, *chosen.notes, *costs.notes):
        logger.info(f"  note: {note}")
    modules = modules_of(*(r.config for r in chosen.trials))
    bundle = bundle_uri(record)
    _save(library, chosen, bundle, epochs)
    ensemble = load_ensemble(bundle, modules)
    held = held_out_tracks(library.manifest, chosen.single_trial.config, chosen.validation[0], ensemble.classes)
    tracks, members = list(library.manifest.tracks), chosen.members
    logger.info(
        f"  {len(members)} of {len(done)} networks chosen; predicting {len(tracks)} tracks for the catalogue ..."
    )
    answers = predict_blocks([chosen.trials[i].folder.bundle_uri for i in members], tracks, device, modules)
    predicted = [combine_members(ensemble, own) for own in zip(*answers, strict=True)]
    clips = list(dict.fromkeys(chosen.trials[i].config.clip for i in members))
    save_to_register(bundle, registered_catalogue(ensemble, tracks, predicted, clips))
    on_test = {chosen.takes_ensemble: _rows(predicted, tracks, held.test)}
    keep_heard_tracks(bundle, tracks, predicted, held, parent)
    if len(chosen.ensemble) > 1:
        others = {chosen.single: 1} if chosen.takes_ensemble else chosen.ensemble
        on_test[not chosen.takes_ensemble] = _on_test(chosen, others, held, device, modules)
    scored = score_choice(chosen, held, on_test, _uncalibrated(ensemble, answers, tracks, held.test))
    _save(library, chosen, bundle, epochs, {"test": scored.taken.to_dict()})
    save_provenance(
        bundle, library.manifest, chosen.validation[0].track_ids, chosen.held_out if chosen.is_corrected else ()
    )
    registered_test = on_test[chosen.takes_ensemble]
    keep_predictions(_predictions_uri(record), chosen.held_out, registered_test)
    publish_choice(library, parent, chosen, held, scored, on_test)
    publish_costs(library, parent, chosen, costs, max_milliseconds)
    version = register_candidate(bundle, parent.run_id, library.manifest.name, ensemble.classes, PYFUNC_CODE,
                                 version_tags(library, chosen, scored))  # fmt: skip
    return scored.selection(library, chosen, bundle, version)


def _save(
    library: TrialLibrary, chosen: Chosen, bundle: str, epochs: Mapping[int, int | None],
    scores: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write what is registered as an ensemble, also of one member.

    Raises
    ------
    JobError
        If a network is of another epoch than the predictions by which it was chosen.
    """
    members = [chosen.trials[i] for i in chosen.members]
    weights = [float(w) for w in chosen.members.values()]
    named = {r.folder_name: w for r, w in zip(members, weights, strict=True)}
    facts = {"dataset": library.manifest.name, "trials": library.name, **(scores or {}), "members": named}
    save_ensemble(bundle, [r.folder.bundle_uri for r in members], weights, facts,
                  [chosen.temperatures[i] for i in chosen.members], chosen.registered_combination)  # fmt: skip
    for trial in members:
        if trial.folder.kept_epoch() != epochs[trial.index]:
            raise JobError(
                f"trial {trial.name} was trained further while it was chosen, so that its model is not the one that "
                f"was compared: give the command again ({command('select', library.name)}) when no sweep trains it"
            )


def _rows(predicted: Sequence[Prediction], tracks: Sequence[Track], wanted: Sequence[Track]) -> FloatArray:
    """Probabilities (tracks, outputs) of some tracks."""
    place = {t.track_id: i for i, t in enumerate(tracks)}
    return np.stack([predicted[place[t.track_id]].probabilities for t in wanted])


def _uncalibrated(
    ensemble: Ensemble, answers: Sequence[Sequence[MemberPrediction]], tracks: Sequence[Track], wanted: Sequence[Track]
) -> FloatArray:
    """What the members predict of some tracks together without temperatures, (tracks, outputs)."""
    plain = ensemble.without_temperatures()
    return _rows([combine_members(plain, own) for own in zip(*answers, strict=True)], tracks, wanted)


def _on_test(
    chosen: Chosen, members: dict[int, int], held: HeldOutTracks, device: str, modules: Sequence[str]
) -> FloatArray:
    """What some trials predict of the test tracks together, calibrated, (tracks, outputs)."""
    answers = predict_blocks([chosen.trials[i].folder.bundle_uri for i in members], held.test, device, modules)
    calibrated = []
    for i, own in zip(members, answers, strict=True):
        task, probabilities = chosen.trials[i].config.task, np.stack([a.probabilities for a in own])
        calibrated.append(apply_temperature(task, probabilities, chosen.temperatures[i]))
    if len(members) == 1:
        return calibrated[0]
    own_task = chosen.trials[next(iter(members))].config.task  # as the bundle, the first one's
    return chosen.combination.combine(own_task, calibrated, list(members.values()))


def _promote(
    library: TrialLibrary, selection: Selection, record: str, promotion: bool | None, device: str
) -> Selection:
    """The selection with what became of it in the registry."""
    config = next(r.config for r in library.results if r.index in selection.members)
    validation = next(r for r in library.results if r.index in selection.members).folder.validation()
    classes = load_ensemble(selection.bundle, modules_of(config)).classes
    held = held_out_tracks(library.manifest, config, validation, classes)
    held_out, on_test = read_predictions(_predictions_uri(record))
    candidate = Candidate(
        selection.version, library.manifest, config.task, classes, held.tracks, held.target,
        [*validation.groups, *held.test_groups], tuple(np.concatenate([p, on_test]) for p in held_out), held.trivial(),
    )  # fmt: skip
    if not selection.is_corrected:
        candidate = candidate.on(held.test)
    found = decide_promotion(candidate, promotion, device, selection.why if selection.promoted else "")
    return dataclasses.replace(selection, promoted=found.promoted, why=found.why)
