"""The scores of a training: every stage over seeds and folds, beside what needs no model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonearm.core.errors import JobError
from tonearm.core.types import FloatArray
from tonearm.core.unit_length import unit_length
from tonearm.datasets.manifest import Manifest
from tonearm.features.metadata import ArtistsFeature
from tonearm.models import count_parameters
from tonearm.recommend.artist_embeddings import overlap_of_table
from tonearm.recommend.cold_start import hold_cold_start
from tonearm.recommend.contest import Contest
from tonearm.tasks.base import Task
from tonearm.tasks.embedding import Embedding
from tonearm.training.batches import truth_of
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.evaluate import Scores, score_runs, trivial_scores
from tonearm.training.examples import vector_rows
from tonearm.training.predictions import TrackPredictions
from tonearm.training.recipe import Recipe
from tonearm.training.relations import RelationExamples, places_of_artists
from tonearm.training.stages import FinishedStage
from tonearm.workflows.training_mean import mean_of, mixture_of
from tonearm.workflows.training_runs import Outcome, stages_of

logger = logging.getLogger(__name__)

ENSEMBLE = "mean of them"


@dataclass(frozen=True)
class ModelRow:
    """One model's test scores.

    Attributes
    ----------
    each
        All metrics, a dict a run.
    by_seed
        Each seed's predictions, of all folds' test tracks together.
    pooled
        Their mean scores, with intervals.
    trivial
        Metrics of what needs no model, a dict a run.
    """

    name: str
    task: Task
    each: list[dict[str, float]]
    by_seed: list[TrackPredictions]
    pooled: Scores
    trivial: list[dict[str, float]]
    parameters: int | None = None
    seconds: float = 0.0

    def mean(self, metric: str) -> float:
        return float(np.mean([e[metric] for e in self.each]))

    def deviation(self, metric: str) -> float:
        """Over the runs; 0 where there is one."""
        return float(np.std([e[metric] for e in self.each], ddof=1)) if len(self.each) > 1 else 0.0


def score_models(outcome: Outcome, recipe: Recipe) -> list[ModelRow]:
    """A row a stage, and one for the mean of a recipe's results, where that is the result.

    Raises
    ------
    JobError
        If seeds were tested on different groups, or members of the mean on different tracks.
    """
    rows = [_stage_row(name, done) for name, done in stages_of(outcome.runs)]
    if recipe.ensemble:
        members = {done.name for done in outcome.runs[0].results}
        rows.append(_ensemble_row(outcome, [row for row in rows if row.name in members], recipe.weighted))
    return rows


def _stage_row(name: str, done: Sequence[FinishedStage]) -> ModelRow:
    tests = [d.test for d in done]
    seconds = float(np.mean([sum(h["epoch_seconds"] for h in d.folder.history()) for d in done]))
    trained = isinstance(done[0].config, TrialConfig)
    weights = count_parameters(load_bundle(done[0].folder.bundle_uri).network) if trained else None
    return _row(name, done, tests, [d.folder.window_metrics() for d in done], weights, seconds)


def _ensemble_row(outcome: Outcome, members: Sequence[ModelRow], weighted: bool) -> ModelRow:
    means = [mean_of(run, "test", mixture_of(run, weighted)) for run in outcome.runs]
    weights, seconds = sum(r.parameters or 0 for r in members), sum(r.seconds for r in members)
    return _row(ENSEMBLE, [run.results[0] for run in outcome.runs], means, [{}] * len(means), weights or None, seconds)


def _row(
    name: str, done: Sequence[FinishedStage], tests: Sequence[TrackPredictions], windows: Sequence[dict[str, float]],
    weights: int | None, seconds: float,
) -> ModelRow:  # fmt: skip
    task = done[0].task
    each = [{**task.metrics(t.probabilities, t.target, t.groups), **w} for t, w in zip(tests, windows, strict=True)]
    trivial = [trivial_scores(task, _train_target(d), t.target, len(t.classes), t.groups)
               for d, t in zip(done, tests, strict=True)]  # fmt: skip
    seeds = sorted({d.config.seed for d in done})
    together = [_together([t for d, t in zip(done, tests, strict=True) if d.config.seed == seed]) for seed in seeds]
    if any(t.groups != together[0].groups for t in together):  # ids may differ: pairs of artists are drawn
        raise JobError(f"stage {name!r} was tested on other groups with other seeds: their scores cannot be averaged")
    pooled = score_runs(task, [(t.probabilities, t.target) for t in together], together[0].groups)
    return ModelRow(name, task, each, together, pooled, trivial, weights, seconds)


def _together(folds: Sequence[TrackPredictions]) -> TrackPredictions:
    """The test tracks of all folds of one seed."""
    return TrackPredictions(
        [i for t in folds for i in t.track_ids], [g for t in folds for g in t.groups],
        np.concatenate([t.target for t in folds]), np.concatenate([t.probabilities for t in folds]), folds[0].classes,
    )  # fmt: skip


def _train_target(done: FinishedStage) -> np.ndarray:
    if isinstance(done.config, TrialConfig) and isinstance(done.config.feature, ArtistsFeature):
        return done.validation.target  # all pairs are trained on
    manifest: Manifest = done.manifest
    names = done.task.names(truth_of(manifest.tracks, manifest.metadata), manifest.classes)
    return done.task.encode(truth_of(manifest.of("train"), manifest.metadata), names)


def table_overlaps(outcome: Outcome) -> dict[str, dict[str, float]]:
    """The thesis' check of a table of artists, beside a random table."""
    found = {}
    for name, done in stages_of(outcome.runs):
        config = done[0].config
        if isinstance(config, TrialConfig) and isinstance(config.feature, ArtistsFeature):
            found[f"{name}, mean Jaccard overlap of related artists and nearest neighbours"] = overlap_of_table(
                load_bundle(done[0].folder.bundle_uri), done[0].manifest
            )
    return found


def cold_start(outcome: Outcome) -> Contest | None:
    """How good the artists are that the first run's networks recommend to those of the test split, by their recordings;
    None where no network predicts a table's vectors, or there are too few such artists.

    Where the table holds artists of the test split out, nothing was learned of them; else it was trained on their
    relations, too, and what is unknown of them is what the networks hear.
    """
    finished = outcome.runs[0].finished
    tables = [d for d in finished.values() if isinstance(d.config, TrialConfig)
              and isinstance(d.config.feature, ArtistsFeature)]  # fmt: skip
    networks = [d for d in finished.values() if isinstance(d.task, Embedding) and d.task.loss_kind == "cosine"]
    if len(tables) != 1 or not networks:
        return None
    table = load_bundle(tables[0].folder.bundle_uri)
    examples = RelationExamples(table.config, tables[0].manifest.tracks, (), tables[0].manifest.metadata)
    names = examples.artists
    rows = vector_rows(names, [t for d in networks for t in d.manifest.of("test")])
    placed: dict[str, dict[int, FloatArray]] = {}
    for done in networks:
        found: dict[int, list[FloatArray]] = {}
        for track_id, vector in zip(done.test.track_ids, done.test.probabilities, strict=True):
            if track_id in rows:
                found.setdefault(rows[track_id], []).append(vector)
        placed[done.name] = {row: np.mean(unit_length(np.stack(own)), axis=0) for row, own in found.items()}
    last = placed[networks[-1].name]
    placed = {name: own for name, own in placed.items() if own.keys() == last.keys()}
    own_places = places_of_artists(examples, table.network.get_parameter("table.weight").detach().cpu().numpy())
    trained = vector_rows(
        names, [t for d in networks for t in d.manifest.of("train")]
    )  # where artists may cross splits
    unknown = set(rows.values()) - set(trained.values()) | set(np.flatnonzero(~examples.known).tolist())
    held_out = not examples.known.all()
    contest = hold_cold_start(names, np.nan_to_num(own_places), examples.related, unknown, placed, held_out=held_out)
    if contest is None:
        logger.info("  note: what is recommended to unknown artists is not judged: fewer than two are of the test "
                    "split alone and have known related artists")  # fmt: skip
    return contest
