"""The variance between seeds: what is said of configurations must hold for other seeds, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.unit.comparison_runs import answers, log_grid, log_sweep, side, tracks, with_changes
from tests.unit.test_error_rates import three_errors
from tonearm.comparison.classes import changes_by_class
from tonearm.comparison.compare import Options, compare
from tonearm.comparison.contrast import compare_sides
from tonearm.comparison.factors import factor
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.predictions import Predictions
from tonearm.comparison.report import report
from tonearm.comparison.seeds import RunScores, coupled, seed_variance
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.statistics.differences import mean_difference, with_seed_variance
from tonearm.statistics.significance import randomisation_test
from tonearm.tasks import SingleLabel

ACCURACY = ComparisonMetric.of(SingleLabel())
GROUPS = [str(i // 3) for i in range(600)]  # 200 artists of three tracks
BETWEEN_SEEDS = 0.02  # the deviation of a network's share of right answers


def trained(rng: np.random.Generator, share: float, seeds: int) -> np.ndarray:
    """Hits (seeds, 600) of a configuration that has this share of right answers, more or less by the seed."""
    own = rng.normal(share, BETWEEN_SEEDS, (seeds, 1))
    return (rng.random((seeds, 600)) < own).astype(np.float64)


def p_values(one: np.ndarray, two: np.ndarray, seed: int) -> tuple[float, float]:
    """Of tracks alone, and with the variance between seeds."""
    first, second = one.mean(axis=0), two.mean(axis=0)
    alone = randomisation_test(first, second, GROUPS, 399, seed)
    sides = [RunScores((hits.mean(axis=1),), (1.0,)) for hits in (one, two)]
    difference = with_seed_variance(
        mean_difference(first, second, GROUPS, resamples=399, seed=seed), seed_variance(*sides)
    )
    return alone, max(alone, difference.p)


@pytest.mark.parametrize("seeds", [3, 5])
def test_equal_configurations_are_told_apart_in_at_most_five_percent(seeds: int) -> None:
    rng, repetitions = np.random.default_rng(seeds), 800
    found = np.array([p_values(trained(rng, 0.7, seeds), trained(rng, 0.7, seeds), i) for i in range(repetitions)])
    alone, with_seeds = (found <= 0.05).mean(axis=0)
    assert with_seeds <= 0.05 + three_errors(0.05, repetitions)
    assert alone > 0.12  # tracks alone take the variance of a few trainings for a property of the configuration


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.7), (5, 0.95)])
def test_a_better_configuration_is_found(seeds: int, least: float) -> None:
    rng, repetitions = np.random.default_rng(seeds), 150
    found = [p_values(trained(rng, 0.78, seeds), trained(rng, 0.7, seeds), i)[1] for i in range(repetitions)]
    assert np.mean(np.array(found) <= 0.05) > least


def test_partners_of_one_seed_each_tell_the_luck_as_well() -> None:
    """Six cells, of which each has its own share of right answers, with one run of both configurations."""
    rng, repetitions, rejected = np.random.default_rng(0), 500, np.zeros(2)
    cells, weights = tuple(("", i) for i in range(6)), (1 / 6,) * 6
    for i in range(repetitions):
        shares = rng.uniform(0.5, 0.8, 6)
        one, two = (np.stack([trained(rng, s, 1)[0] for s in shares]) for _ in range(2))
        alone = randomisation_test(one.mean(axis=0), two.mean(axis=0), GROUPS, 199, i)
        parts = seed_variance(
            *(RunScores(tuple(hits.mean(axis=1, keepdims=True)), weights, cells) for hits in (one, two))
        )
        difference = mean_difference(one.mean(axis=0), two.mean(axis=0), GROUPS, resamples=399, seed=i)
        rejected += [alone <= 0.05, max(alone, with_seed_variance(difference, parts).p) <= 0.05]
    assert rejected[0] / repetitions > 0.12 and rejected[1] / repetitions <= 0.05 + three_errors(0.05, repetitions)


def test_without_variance_over_tracks_it_is_welchs_test() -> None:
    one, two = np.array([0.71, 0.74, 0.69]), np.array([0.6, 0.66, 0.58, 0.62])
    difference = mean_difference(np.full(9, one.mean()), np.full(9, two.mean()), list("abcdefghi"))
    found = with_seed_variance(difference, seed_variance(RunScores((one,), (1.0,)), RunScores((two,), (1.0,))))
    wanted = stats.ttest_ind(one, two, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue) and found.degrees_of_freedom == pytest.approx(wanted.df)
    np.testing.assert_allclose([found.low, found.high], wanted.confidence_interval(0.95), rtol=1e-9)


def test_the_luck_of_a_mean_is_smaller_with_more_members() -> None:
    scores = np.array([0.6, 0.7])
    (one, freedom), _ = seed_variance(*[RunScores((scores,), (1.0,))] * 2)
    (four, more), _ = seed_variance(*[RunScores((scores,) * 4, (0.25,) * 4, tuple(("", i) for i in range(4)))] * 2)
    assert one == pytest.approx(0.005 / 2) and four == pytest.approx(one / 4) and (freedom, more) == (1, 4)
    assert seed_variance(RunScores((scores,), (1.0,)), RunScores((scores[:1],), (1.0,))) == []


def test_luck_within_each_value_of_the_other_field_counts_where_it_is_known() -> None:
    """Differences 0.0, 0.02 and 0.2, 0.22: the two values of the other field differ, the partners hardly do."""
    scores = [np.array([d]) for d in (0.0, 0.02, 0.2, 0.22)]
    cells = (("a", 0), ("a", 1), ("b", 2), ("b", 3))
    nothing = RunScores(tuple(np.zeros((4, 1))), (0.25,) * 4, cells)
    parts = seed_variance(RunScores(tuple(scores), (0.25,) * 4, cells), nothing)
    assert parts == [(pytest.approx(0.0002 / 8), 1)] * 2
    loose = tuple(("", i) for i in range(4))
    (whole,) = seed_variance(
        RunScores(tuple(scores), (0.25,) * 4, loose), RunScores(nothing.scores, nothing.weights, loose)
    )
    assert whole == (pytest.approx(np.var([0, 0.02, 0.2, 0.22], ddof=1) / 4), 3)


# --- in reports


def test_seeds_that_scatter_show_nothing_where_tracks_alone_would() -> None:
    of = tracks(150, 4)
    one, two = [of.right(s, i) for i, s in enumerate((0.85, 0.6, 0.8))], [of.right(s, 9 + i) for i, s in enumerate(
        (0.65, 0.62, 0.7))]  # fmt: skip
    alone = randomisation_test(np.mean(one, axis=0), np.mean(two, axis=0), of.groups)
    found = compare_sides(side(of, *one), side(of, *two, label="B"), ACCURACY)
    assert alone < 0.001 and found.p > 0.05 and found.seed_variance and not found.significant
    assert found.difference.low < 0 < found.difference.high and found.p == found.difference.p
    assert "with these tracks and seeds a difference of about 0." in found.verdict() and not found.cautions
    assert found.others["f1_macro"].low < 0  # others are of the same trainings
    assert all(c.adjusted > 0.05 for c in changes_by_class(side(of, *one), side(of, *two, label="B")))


def test_of_one_seed_it_is_said_that_another_may_differ() -> None:
    of = tracks(80, 3)
    one, two = of.right(0.85, 1), of.right(0.6, 2)
    found = compare_sides(side(of, one), side(of, two, label="B"), ACCURACY, others=False)
    assert found.significant and not found.seed_variance
    assert found.verdict().endswith("these two trained networks, one seed each: another seed may differ")
    several = compare_sides(side(of, one, of.right(0.85, 3)), side(of, two, label="B"), ACCURACY, others=False)
    assert several.verdict().endswith("; not every side has two seeds: another seed may differ")


def test_the_difference_that_would_be_found_is_found_in_eight_of_ten_cases() -> None:
    rng, repetitions, m = np.random.default_rng(0), 400, 3
    names = [str(i) for i in range(60)]
    each = [mean_difference(rng.normal(0, 1, 60), np.zeros(60), names, resamples=599, seed=i) for i in range(50)]
    effect = float(np.mean([d.detectable_difference(m) for d in each]))
    found = [mean_difference(rng.normal(effect, 1, 60), np.zeros(60), names, resamples=599, seed=i).p <= 0.05 / m
             for i in range(repetitions)]  # fmt: skip
    assert np.mean(found) == pytest.approx(0.8, abs=three_errors(0.8, repetitions))
    assert (
        each[0].detectable_difference(100)
        > 1.3 * each[0].detectable_difference()
        > 1.3 * each[0].high - 1.3 * each[0].value
    )


def test_too_few_groups_are_said_to_show_nothing() -> None:
    of = tracks(5, 6)
    found = compare_sides(side(of, of.right(0.95)), side(of, of.right(0.2), label="B"), ACCURACY, others=False)
    assert not found.significant and "with 5 groups that differ no difference can be shown" in found.verdict()


def test_one_that_is_far_better_than_many_is_shown() -> None:
    """Of 40 candidates one is right on all tracks: its p must reach below 0.05 / 780."""
    of = tracks(60, 2)
    for metric in ("f1_micro", "f1_macro"):
        found = compare_sides(side(of, of.right(1.0)), side(of, of.right(0.4), label="B"),
                         ComparisonMetric.of(SingleLabel(), metric), others=False, comparisons=780)  # fmt: skip
        assert found.p * 780 < 0.05


# --- swapped predictions


def test_runs_of_both_sides_are_coupled_by_their_weights() -> None:
    runs = [(np.full((2, 1), i, dtype=np.float32), np.zeros(2)) for i in range(5)]
    one, two = [(0.5, runs[0]), (0.5, runs[1])], [(1 / 3, run) for run in runs[2:]]
    found = coupled(one, two)
    assert len(found) == 4 and sum(w for w, _, _ in found) == pytest.approx(1)
    for place, own in ((1, one), (2, two)):
        for weight, run in own:
            assert sum(c[0] for c in found if c[place] is run) == pytest.approx(weight)


def test_a_metric_that_is_no_mean_over_tracks_is_tested_with_all_seeds() -> None:
    of, measure = tracks(60, 3), ComparisonMetric.of(SingleLabel(), "f1_macro")
    better, worse = [of.right(0.8, i) for i in range(3)], [of.right(0.6, 5 + i) for i in range(2)]
    found = compare_sides(side(of, *better), side(of, *worse, label="B"), measure, others=False)
    assert found.significant and found.gain > 0.1 and found.seed_variance
    alike = compare_sides(
        side(of, *better), side(of, *(of.right(0.8, 7 + i) for i in range(2)), label="B"), measure, False
    )
    assert not alike.significant


# --- not all else equal

MODELS = {"time": TimeConfig(), "simple": SimpleConfig()}


def test_only_fields_that_are_not_the_same_on_both_sides_are_named() -> None:
    of = tracks(40, 3)
    drawn = [("time", 1024, 0.001), ("time", 4096, 0.002), ("simple", 1024, 0.003), ("simple", 4096, 0.004)]
    share = {"time": 0.9, "simple": 0.5}
    random = [answers(of, [of.right(share[m], i)], str(i), {"model": MODELS[m], "feature.n_fft": n, "optim.lr": lr})
              for i, (m, n, lr) in enumerate(drawn)]  # fmt: skip
    found = factor(random, "model", "", ACCURACY)
    assert not found.matched and found.confounders == ["lr"]
    assert "; not all else equal: lr differs" in found.contrasts[0].verdict()
    crossed = [("time", 1024, 0.001), ("time", 4096, 0.002), ("simple", 1024, 0.002), ("simple", 4096, 0.001)]
    other = [answers(of, [of.right(0.7, i)], str(i), {"model": MODELS[m], "feature.n_fft": n, "optim.lr": lr})
             for i, (m, n, lr) in enumerate(crossed)]  # fmt: skip
    found = factor(other, "model", "", ACCURACY)
    assert not found.matched and not found.confounders
    assert "not all else equal: the other fields are combined in other ways" in found.contrasts[0].verdict()


def test_what_moves_with_a_field_does_not_part_partners() -> None:
    """Frames and windows move together; learning rates that move with the model are no part of it."""
    of = tracks(60, 3)
    windows = {160: 4, 320: 2}
    every: list[Predictions] = []
    for model, lr in (("time", 0.001), ("simple", 0.002)):
        for frames, parts in windows.items():
            changes = {"model": MODELS[model], "optim.lr": lr, "window.frames": frames, "window.train_per_track": parts}
            every.append(answers(of, [of.right(0.5 if frames == 160 else 0.8, len(every))], str(len(every)), changes))
    for by in ("window.frames", "window"):
        found = factor(every, by, "model", ACCURACY)
        assert found.matched and not found.confounders and [c.within for c in found.contrasts] == [
            "", "model simple", "model time"]  # fmt: skip
        assert found.contrasts[0].gain > 0.2 and not any("not all else" in c.verdict() for c in found.contrasts)
    assert found.field == "window" and found.contrasts[0].first == "frames=320 train_per_track=2"
    assert factor(every, "window.frames", "", ACCURACY).co_varying == ["train_per_track"]
    found = factor(every, "model", "", ACCURACY)
    assert (
        found.matched
        and found.confounders == ["lr"]
        and "; not all else equal: lr differs" in found.contrasts[0].verdict()
    )


def test_a_random_sweep_is_not_called_all_else_equal(tonearm_home: Path) -> None:
    """The caution stands in the answer, in the verdict that the terminal prints, and in the section's title."""
    of, parent = tracks(40, 3), log_sweep("random")
    share = {"time": 0.8, "simple": 0.6}
    configs = [with_changes({"model": m, "optim.lr": rate}) for m, rate in zip([*MODELS.values()] * 2, (
        0.001, 0.002, 0.003, 0.004), strict=True)]  # fmt: skip
    log_grid(parent, of, configs, lambda c: of.right(share[c.model.kind], 1 + int(1000 * c.optim.lr)))
    found = compare(["random"], Options(by="model"))
    document = report(found)
    assert (
        found.factor is not None and found.factor.contrasts[0].seed_variance
    )  # between runs, of which each side has two
    assert "; not all else equal: lr differs" in found.factor.contrasts[0].verdict()
    assert any("; not all else equal: lr differs." in line for line in document.summary)
    titles = [s.title for s in document.sections]
    assert "Does model matter? (Not all else is equal)" in titles
    assert any("another seed may differ" in line for line in document.summary)
