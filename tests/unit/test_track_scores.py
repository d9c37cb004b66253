"""Each task's scores of single tracks, whose mean is its primary metric, and the probabilities that it states."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_task_contract import EXAMPLES, TRACKS, Example
from tonearm.core.errors import TrainingError
from tonearm.core.types import FloatArray
from tonearm.statistics.calibration import reliability
from tonearm.tasks import MultiLabel, Task

NO_PROBABILITIES = {"regression", "embedding"}
CELLS = {"multi_label", "playlists"}


def states_probabilities(task: Task) -> bool:
    """Shares of windows are none, nor are sigmoids of logits that softmax fixed up to a constant."""
    free = task.kind == "playlists" and getattr(task, "training", "") == "softmax"
    return task.kind not in NO_PROBABILITIES and getattr(task, "pooling", "") != "vote" and not free


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


def answered(example: Example) -> tuple[Task, np.ndarray, FloatArray]:
    """The task, its target, and predictions of chance."""
    return example.task, example.target, example.task.pool(example.logits(2))


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_track_scores_is_the_primary_metric(example: Example, seed: int) -> None:
    task, target, predictions = example.task, example.target, example.task.pool(example.logits(3, seed))
    found = task.track_scores(predictions, target)
    assert found.shape == (TRACKS,) and found.dtype == np.float64
    wanted = task.metrics(predictions, target, example.truth.groups)[task.primary]
    assert found.mean() == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_a_track_is_scored_by_itself(example: Example) -> None:
    task, target, predictions = answered(example)
    whole = task.track_scores(predictions, target)
    assert len(set(whole.tolist())) > 1
    for i in range(TRACKS):
        alone = task.track_scores(predictions[[i]], target[[i]])
        np.testing.assert_allclose(alone, whole[[i]], rtol=1e-6, atol=1e-7)
        single = task.metrics(predictions[[i]], target[[i]], ["a"])[task.primary]
        assert alone[0] == pytest.approx(single, rel=1e-6, abs=1e-7)


def test_averages_of_models_are_scored_as_metrics_score_them(example: Example) -> None:
    # Of unit vectors and of probabilities, the mean of several is what an ensemble answers.
    task, target = example.task, example.target
    mean = np.mean([task.pool(example.logits(2, seed)) for seed in range(3)], axis=0, dtype=np.float32)
    wanted = task.metrics(mean, target, example.truth.groups)[task.primary]
    assert task.track_scores(mean, target).mean() == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_every_registered_task_is_tried() -> None:
    assert {e.task.kind for e in EXAMPLES.values()} == set(Task.registry)


def test_stated_probabilities_can_be_checked(example: Example) -> None:
    task, target, predictions = answered(example)
    found = task.confidences(predictions, target)
    if not states_probabilities(task):
        assert found is None
        return
    assert found is not None
    stated, correct = found
    statements = int((predictions >= 0.5).sum()) if task.kind in CELLS else TRACKS
    assert stated.shape == correct.shape == (statements,) and stated.dtype == correct.dtype == np.float64
    assert set(correct.tolist()) == {0.0, 1.0} and 0 <= stated.min() < stated.max() <= 1
    diagram = reliability(stated, correct)
    assert diagram.count.sum() == statements and diagram.error > 0


@pytest.mark.parametrize(
    "name",
    [n for n, e in EXAMPLES.items() if e.task.kind in ("single_label", "tabular") and states_probabilities(e.task)],
)
def test_the_highest_probability_is_stated_of_the_answer(name: str) -> None:
    task, target, predictions = answered(EXAMPLES[name])
    found = task.confidences(predictions, target)
    assert found is not None
    np.testing.assert_allclose(found[0], predictions.max(axis=1))
    assert found[1].mean() == pytest.approx(task.metrics(predictions, target)[task.primary])


@pytest.mark.parametrize(
    "name", [n for n, e in EXAMPLES.items() if e.task.kind in CELLS and states_probabilities(e.task)]
)
def test_of_several_labels_what_is_said_of_a_track_is_a_statement(name: str) -> None:
    task, target, predictions = answered(EXAMPLES[name])
    found, said = task.confidences(predictions, target), predictions >= 0.5
    assert found is not None and 0 < said.sum() < said.size
    np.testing.assert_allclose(found[0], predictions[said])
    np.testing.assert_array_equal(found[1], target[said])
    assert task.confidences(np.full_like(predictions, 0.4), target) is None


def test_many_classes_do_not_make_a_poor_model_calibrated() -> None:
    """Of 161 classes a track has one; a model that is sure of a wrong one was off by 1 of 161 on the average."""
    target = np.eye(161, dtype=np.float32)[np.arange(80)]
    wrong = np.roll(target, 1, axis=1) * 0.9
    found = MultiLabel().confidences(wrong, target)
    assert found is not None and reliability(*found).error == pytest.approx(0.9)
    assert reliability(wrong.ravel(), target.ravel()).error < 0.02


def test_scores_of_classes_are_the_parts_of_those_of_tracks(example: Example) -> None:
    task, target, predictions = answered(example)
    if not task.class_measure:
        with pytest.raises(TypeError, match="scores no single classes"):
            task.class_scores(predictions, target)
        return
    found = task.class_scores(predictions, target)
    assert found.shape == target.shape
    np.testing.assert_allclose(found.mean(axis=1), task.track_scores(predictions, target))


def test_what_is_right_for_sure_is_calibrated(example: Example) -> None:
    found = example.task.confidences(example.perfect(example.target), example.target)
    if found is not None:
        assert reliability(*found).error < 0.0011  # the examples stop short of 0 and 1


def test_means_that_rounding_leads_beyond_1_are_probabilities(example: Example) -> None:
    beyond = np.nextafter(np.float32(1), np.float32(2))
    predictions = np.maximum(example.perfect(example.target), 0).astype(np.float32)
    predictions[predictions == predictions.max()] = beyond
    found = example.task.confidences(predictions, example.target)
    if found is not None:
        assert found[0].max() == 1


def test_predictions_that_are_not_finite_are_never_scored(example: Example) -> None:
    task, predictions = example.task, example.task.pool(example.logits(1)).copy()
    predictions[[1, 5], -1] = np.nan
    with pytest.raises(TrainingError, match=f"2 of {TRACKS} track predictions are not finite"):
        task.track_scores(predictions, example.target)
    with pytest.raises(TrainingError, match="0 track predictions to evaluate"):
        task.track_scores(predictions[:0], example.target[:0])
    if task.kind not in NO_PROBABILITIES:
        with pytest.raises(TrainingError, match=f"2 of {TRACKS} track predictions are not finite"):
            task.confidences(predictions, example.target)
