"""What holds for every task in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tonearm.core.errors import ConfigError, DatasetError, TrainingError
from tonearm.core.types import FloatArray, GroundTruth
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, Relations, SingleLabel, Tabular, Task
from tonearm.training.evaluate import Scores, score, trivial_scores

TRACKS, CLASSES = 24, tuple("abcdefg")
RNG = np.random.default_rng(5)
SINGLE = GroundTruth([(CLASSES[i % 7],) for i in range(TRACKS)], [f"artist{i // 2}" for i in range(TRACKS)])
SEVERAL = GroundTruth([tuple(sorted({CLASSES[i % 7], CLASSES[(3 * i + 1) % 5]})) for i in range(TRACKS)], SINGLE.groups)
VECTORS = np.repeat(RNG.normal(size=(TRACKS // 2, 6)), 2, axis=0)
FACTS = GroundTruth(
    [()] * TRACKS,
    SINGLE.groups,
    {"energy": RNG.uniform(0.1, 0.9, TRACKS), "valence": RNG.uniform(0, 1, TRACKS),
     "tempo": RNG.uniform(60, 180, TRACKS), "artist": VECTORS, "related": np.arange(TRACKS) % 2.0},
)  # fmt: skip


def confident(target: np.ndarray) -> FloatArray:
    return np.clip(target, 0.001, 0.999).astype(np.float32)


def as_it_is(target: np.ndarray) -> FloatArray:
    return target.astype(np.float32)


def pair(target: np.ndarray) -> FloatArray:
    return confident(target)[:, None]


def one_hot(target: np.ndarray) -> FloatArray:
    return np.eye(len(CLASSES), dtype=np.float32)[target]


@dataclass(frozen=True)
class Example:
    """A task, what is known of some tracks, and the predictions that are perfect for a target."""

    task: Task
    truth: GroundTruth
    perfect: Callable[[np.ndarray], FloatArray]

    @property
    def names(self) -> tuple[str, ...]:
        return self.task.names(self.truth, CLASSES)

    @property
    def outputs(self) -> int:
        """Numbers in a prediction."""
        return len(self.task.output_names(self.names))

    @property
    def target(self) -> np.ndarray:
        return self.task.encode(self.truth, self.names)

    def logits(self, windows: int, seed: int = 0) -> FloatArray:
        """(tracks, windows, numbers in a prediction)."""
        return np.random.default_rng(seed).normal(0, 2, (TRACKS, windows, self.outputs)).astype(np.float32)


EXAMPLES = {
    "single_label": Example(SingleLabel(), SINGLE, one_hot),
    "single_label logits": Example(SingleLabel(pooling="mean_logit", label_smoothing=0.1), SINGLE, one_hot),
    "single_label balanced": Example(SingleLabel(pooling="vote", class_weights="balanced"), SINGLE, one_hot),
    "multi_label": Example(MultiLabel(), SEVERAL, as_it_is),
    "multi_label vote": Example(MultiLabel(pooling="vote", threshold=0.3, class_weights="balanced"), SEVERAL, as_it_is),
    "playlists": Example(Playlists(), SEVERAL, confident),
    "playlists vote": Example(Playlists(pooling="vote", class_weights="balanced"), SEVERAL, confident),
    "playlists sigmoids": Example(Playlists(training="multi_hot", pooling="mean_logit"), SEVERAL, confident),
    "regression": Example(Regression(target="energy"), FACTS, as_it_is),
    "regression tempo": Example(
        Regression(target="tempo", low=40, high=200, loss_kind="mae", pooling="median"), FACTS, as_it_is
    ),
    "regression two": Example(Regression(target="energy, valence", squash="none", loss_kind="huber"), FACTS, as_it_is),
    "embedding": Example(Embedding(target="artist", k=3), FACTS, as_it_is),
    "embedding values": Example(Embedding(target="artist", loss_kind="mse"), FACTS, as_it_is),
    "relations": Example(Relations(dimension=6), FACTS, pair),
    "tabular": Example(Tabular(), SEVERAL, confident),
    "tabular first": Example(Tabular(first_label=True, training="multi_hot"), SEVERAL, confident),
}


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


def test_every_registered_task_has_an_example() -> None:
    assert {e.task.kind for e in EXAMPLES.values()} == set(Task.registry)


def test_a_config_comes_back_from_json(example: Example) -> None:
    again = Task.from_dict(example.task.to_dict())
    assert again == example.task and again.signature() == example.task.signature()


def test_the_loss_is_finite_and_has_gradients(example: Example) -> None:
    logits = torch.from_numpy(example.logits(1)[:, 0]).requires_grad_()
    target = torch.from_numpy(example.target)
    loss = example.task.loss(logits, target, example.task.weights(example.target, example.outputs))
    assert loss.ndim == 0 and torch.isfinite(loss)
    loss.backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_following_the_gradient_lowers_the_loss(example: Example) -> None:
    logits = torch.from_numpy(example.logits(1)[:, 0]).requires_grad_()
    target, weights = torch.from_numpy(example.target), example.task.weights(example.target, example.outputs)
    before = example.task.loss(logits, target, weights)
    before.backward()
    after = example.task.loss((logits - 0.1 * logits.grad).detach(), target, weights)
    assert after < before


def test_a_batch_of_one_and_extreme_logits_have_a_finite_loss(example: Example) -> None:
    target = torch.from_numpy(example.target[:1])
    for size in (0.0, 1e3, -1e3):
        logits = torch.full((1, example.outputs), size)
        assert torch.isfinite(example.task.loss(logits, target))


def test_metrics_are_finite_and_hold_what_the_task_promises(example: Example) -> None:
    task, target = example.task, example.target
    found = task.metrics(task.pool(example.logits(2)), target, example.truth.groups)
    assert {task.primary, task.tie_breaker, *task.headline} <= set(found)
    assert all(isinstance(v, float) and np.isfinite(v) for v in found.values())
    assert task.trivial_name


def test_metrics_of_a_single_track_are_finite(example: Example) -> None:
    predictions = example.task.pool(example.logits(2))
    found = example.task.metrics(predictions[:1], example.target[:1], ["a"])
    assert all(np.isfinite(v) for v in found.values())


def test_some_metrics_are_those_of_all(example: Example) -> None:
    task, target, predictions = example.task, example.target, example.task.pool(example.logits(2))
    whole = task.metrics(predictions, target, example.truth.groups)
    wanted = (task.tie_breaker, *task.headline)
    assert task.selected_metrics(wanted, predictions, target, example.truth.groups) == {k: whole[k] for k in wanted}
    assert task.selected_metrics(list(whole), predictions, target, example.truth.groups) == whole


def test_perfect_predictions_score_better_than_trivial_ones(example: Example) -> None:
    task, target = example.task, example.target
    trivial = trivial_scores(task, target, target, example.outputs, example.truth.groups)
    perfect = task.metrics(example.perfect(target), target, example.truth.groups)
    assert task.better(perfect, trivial) and not task.better(trivial, perfect)
    assert perfect[task.primary] != trivial[task.primary]
    assert perfect[task.tie_breaker] < trivial[task.tie_breaker]


def test_the_trivial_answer_is_one_prediction(example: Example) -> None:
    trivial = example.task.trivial(example.target, example.outputs)
    assert trivial.shape == (example.outputs,) and trivial.dtype == np.float32 and np.isfinite(trivial).all()


def test_pooling_gives_float32_and_keeps_tracks_apart(example: Example) -> None:
    logits = example.logits(3)
    pooled = example.task.pool(logits)
    assert pooled.shape == (TRACKS, example.outputs) and pooled.dtype == np.float32
    np.testing.assert_allclose(pooled[2], example.task.pool(logits[2]), rtol=1e-5, atol=1e-6)


def test_equal_windows_pool_to_what_one_of_them_says(example: Example) -> None:
    logits = example.logits(1)
    one = example.task.pool(logits)
    np.testing.assert_allclose(example.task.pool(np.repeat(logits, 4, axis=1)), one, rtol=1e-5, atol=1e-6)


def test_the_order_of_windows_does_not_matter(example: Example) -> None:
    logits = example.logits(5)
    turned = example.task.pool(logits[:, ::-1])
    np.testing.assert_allclose(turned, example.task.pool(logits), rtol=1e-5, atol=1e-6)


def test_training_and_pooling_mean_the_same(example: Example) -> None:
    # Logits that a descent finds for a target must pool to predictions that score better than those it began with.
    task, target = example.task, torch.from_numpy(example.target)
    logits = torch.from_numpy(example.logits(1)[:, 0]).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    before = task.metrics(task.pool(example.logits(1)), example.target, example.truth.groups)
    for _ in range(40):
        optimizer.zero_grad()
        task.loss(logits, target).backward()
        optimizer.step()
    after = task.metrics(task.pool(logits.detach()[:, None].numpy()), example.target, example.truth.groups)
    assert task.better(after, before) and after[task.tie_breaker] < before[task.tie_breaker]


def test_targets_have_a_row_a_track(example: Example) -> None:
    target = example.target
    assert len(target) == TRACKS and target.dtype in (np.int64, np.float32)
    strata = example.task.strata(target)
    assert strata.shape == (TRACKS,) and np.issubdtype(strata.dtype, np.integer) and strata.min() >= 0
    weights = example.task.weights(target, example.outputs)
    assert weights is None or (weights.shape == (example.outputs,) and bool((weights > 0).all()))


def test_tables_have_a_row_a_track_and_figures_a_name_they_know(example: Example) -> None:
    predictions = example.task.pool(example.logits(1))
    columns = example.task.readable(predictions, example.target, example.names)
    assert all(len(column) == TRACKS for column in columns.values())
    each = example.task.by_class(predictions, example.target, example.names)
    assert set(each) <= set(example.names)
    assert all(np.isfinite(v) for figures in each.values() for v in figures.values())
    assert len({frozenset(figures) for figures in each.values()}) <= 1


def test_what_the_targets_are_made_of_is_missed_by_name(example: Example) -> None:
    if example.truth is FACTS:
        fact = "related" if isinstance(example.task, Relations) else example.names[0].split("[")[0]
        rest = {k: v for k, v in FACTS.values.items() if k != fact}
        with pytest.raises(DatasetError, match=f"no metadata column '{fact}' is known .* there are "):
            example.task.encode(GroundTruth(FACTS.labels, FACTS.groups, rest), example.names)
        holes = {**FACTS.values, fact: np.where(np.arange(TRACKS) < 3, np.nan, FACTS.values[fact].T).T}
        with pytest.raises(DatasetError, match=f"3 of {TRACKS} tracks have no '{fact}'"):
            example.task.encode(GroundTruth(FACTS.labels, FACTS.groups, holes), example.names)
        assert example.task.has_target(FACTS).all()
        if not isinstance(example.task, Relations):  # whose tracks are artists: pairs are made of them later
            known = example.task.has_target(GroundTruth(FACTS.labels, FACTS.groups, holes))
            assert known.tolist() == [i >= 3 for i in range(TRACKS)]
        return
    with pytest.raises(DatasetError, match=r"labels \['polka'\] are none of the classes"):
        example.task.encode(GroundTruth([("polka",), ("a",)]), CLASSES)
    with pytest.raises(DatasetError, match="1 of 2 tracks have no label, the first of them track number 1"):
        example.task.encode(GroundTruth([("a",), ()]), CLASSES)
    assert example.task.has_target(GroundTruth([("a",), ()])).tolist() == [True, False]


def test_scores_have_an_interval_for_each_headline_metric(example: Example) -> None:
    task, predictions = example.task, example.task.pool(example.logits(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tonearm.training.evaluate.RESAMPLES", (20, 20))
        scores = score(task, predictions, example.target, example.truth.groups)
    assert tuple(scores.intervals) == task.headline and scores.tracks == TRACKS
    assert scores.metrics == task.metrics(predictions, example.target, example.truth.groups)
    assert all(scores.intervals[name].value == scores.metrics[name] for name in task.headline)
    assert all(i.low <= i.high for i in scores.intervals.values())
    assert Scores.from_dict(scores.to_dict()) == scores


def test_fields_of_a_wrong_type_are_refused(example: Example) -> None:
    with pytest.raises(ConfigError, match="has no field 'poling'"):
        Task.from_dict({**example.task.to_dict(), "poling": "vote"})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_counted_and_never_judged(example: Example, bad: float) -> None:
    task, predictions = example.task, example.task.pool(example.logits(1)).copy()
    predictions[[1, 5, 7], -1] = bad
    for judge in (task.metrics, lambda *given: task.selected_metrics((task.primary, task.tie_breaker), *given)):
        with pytest.raises(TrainingError, match=f"3 of {TRACKS} track predictions are not finite"):
            judge(predictions, example.target, example.truth.groups)


def test_a_window_of_nan_does_not_vote(example: Example) -> None:
    logits = example.logits(3)
    logits[2, 1, 0] = np.nan
    bad = np.isnan(example.task.pool(logits)).any(axis=1)
    assert bad.tolist() == [i == 2 for i in range(TRACKS)]


def test_nothing_to_judge_or_to_pool_is_said(example: Example) -> None:
    predictions = example.task.pool(example.logits(1))
    with pytest.raises(TrainingError, match="0 track predictions to evaluate"):
        example.task.metrics(predictions[:0], example.target[:0], ())
    with pytest.raises(TrainingError, match=r"0 windows of shape .* to pool"):
        example.task.pool(example.logits(0))


def test_nan_ranks_last(example: Example) -> None:
    task, nan = example.task, float("nan")
    sign = 1 if task.maximise else -1
    worst = {task.primary: -sign * float("inf"), task.tie_breaker: float("inf")}
    good = {task.primary: sign * 0.5, task.tie_breaker: 1.0 if task.tie_breaker != task.primary else sign * 0.5}
    lost = {task.primary: nan, task.tie_breaker: 0.0} | (
        {task.tie_breaker: nan} if task.tie_breaker == task.primary else {}
    )
    for some in (worst, good):
        assert task.better(some, lost) and not task.better(lost, some)
    assert not task.better(lost, {**lost, task.tie_breaker: nan}) and not task.better(
        {**lost, task.tie_breaker: nan}, lost
    )
    assert task.better(lost, None)
    if task.tie_breaker != task.primary:
        assert task.better(good, {**good, task.tie_breaker: nan}) and not task.better(
            {**good, task.tie_breaker: nan}, good
        )
