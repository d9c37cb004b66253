"""Two sides on the same tracks, simulated so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.unit.comparison_runs import Tracks, answers, side, tracks
from tonearm.comparison.classes import changes_by_class
from tonearm.comparison.contrast import (
    PairedComparison,
    Side,
    adjusted,
    compare_sides,
    counted_groups,
    format_p_value,
    format_value,
    format_with_interval,
)  # fmt: skip
from tonearm.comparison.factors import factor
from tonearm.comparison.measure import ComparisonMetric
from tonearm.comparison.plots import pairs_plot
from tonearm.comparison.predictions import Predictions, aligned
from tonearm.core.errors import ConfigError
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import FreqConfig, TimeConfig
from tonearm.statistics.differences import Difference
from tonearm.tasks import Embedding, Regression, SingleLabel

ACCURACY = ComparisonMetric.of(SingleLabel())


def compared(first: Side, second: Side) -> PairedComparison:
    return compare_sides(first, second, ACCURACY, others=False)


def test_a_better_side_is_found_and_an_equal_one_is_not() -> None:
    of = tracks(80, 3)
    better, worse, alike = (side(of, of.right(s, i, noise=0.2), label=n) for i, (s, n) in enumerate(
        ((0.8, "A"), (0.6, "B"), (0.8, "C"))))  # fmt: skip
    found, none = compared(better, worse), compared(better, alike)
    assert found.difference.low > 0.05 and found.p < 0.001 and found.significant
    assert none.difference.low < 0 < none.difference.high and not none.significant
    assert (
        found.verdict().startswith("A is better than B: f1_micro +0.") and "240 tracks of 80 artists" in found.verdict()
    )
    assert none.verdict().startswith("No difference shown between A and C: ")
    assert "a difference of about 0." in none.verdict()


def test_equal_answers_are_called_so() -> None:
    of = tracks(10, 2)
    found = compared(side(of, of.right(0.5)), side(of, of.right(0.5), label="B"))
    wanted = "No difference shown between A and B: f1_micro is the same on 20 tracks of 10 artists; "
    assert found.verdict().startswith(wanted) and found.p == 1 and found.difference.value == 0


def test_the_order_of_the_sides_changes_only_the_sign() -> None:
    of = tracks(40, 3)
    a, b = side(of, of.right(0.8, 1), label="A"), side(of, of.right(0.6, 2), label="B")
    there, back = compared(a, b), compared(b, a)
    assert there.difference.value == -back.difference.value and there.p == back.p
    assert back.verdict().split(":")[0] == "A is better than B" and there.gain > 0 > back.gain


def test_tracks_of_few_artists_say_less_than_as_many_of_their_own() -> None:
    """If an artist's tracks succeed or fail together, clusters widen the interval by about sqrt(tracks an artist)."""
    of = tracks(30, 8, alike=True)
    rng = np.random.default_rng(3)
    one, two = (np.repeat(rng.uniform(size=30) < share, 8) for share in (0.75, 0.6))
    clustered = compared(side(of, one), side(of, two, label="B"))
    single = [f"track:{i}" for i in range(240)]
    free = compared(side(of, one, groups=single), side(of, two, label="B", groups=single))
    ratio = (clustered.difference.high - clustered.difference.low) / (free.difference.high - free.difference.low)
    assert 2 < ratio < 4 and clustered.difference.value == free.difference.value
    assert clustered.p > 5 * free.p
    assert free.groups == "240 groups (each its own)" and clustered.groups == "30 artists"


def test_mcnemar_counts_the_tracks_of_one_seed_each() -> None:
    of = tracks(40, 2)
    one, two = of.right(0.8, 1), of.right(0.6, 2)
    found = compared(side(of, one), side(of, two))
    assert found.discordant is not None
    first, second, p = found.discordant
    assert (first, second) == (int((one & ~two).sum()), int((two & ~one).sum()))
    assert p == pytest.approx(binomtest(first, first + second).pvalue)
    assert compared(side(of, one, of.right(0.8, 5)), side(of, two)).discordant is None


def test_a_track_counts_with_the_mean_of_its_seeds() -> None:
    of = tracks(20, 2)
    hits = [of.right(0.9, 1), of.right(0.5, 2)]
    found = answers(of, hits)
    np.testing.assert_array_equal(found.scores, np.mean(hits, axis=0))
    assert found.metrics_of(np.arange(40), ("f1_micro",))["f1_micro"] == pytest.approx(np.mean(hits))
    np.testing.assert_allclose(found.mean_predictions, np.mean([p for p, _ in found.seeds], axis=0), atol=1e-6)


def test_holm_considers_all_comparisons() -> None:
    difference = Difference(0.1, 0.01, 0.2, 0.03, 20)
    one = PairedComparison("A", "B", ACCURACY, difference, 0.03, 0.03, 60, "20 artists")
    assert one.significant
    three = adjusted([one, one, one])
    assert [c.adjusted for c in three] == pytest.approx([0.09] * 3) and not three[0].significant
    assert "No difference shown between A and B once all 3 comparisons are considered" in three[0].verdict()


def test_other_headline_metrics_are_compared_by_a_bootstrap() -> None:
    of = tracks(40, 3)
    found = compare_sides(side(of, of.right(0.8, 1)), side(of, of.right(0.5, 2)), ACCURACY)
    assert set(found.others) == {"f1_macro"} and found.others["f1_macro"].low > 0
    wanted = [SingleLabel().metrics(of.predictions(of.right(s, i), 0), of.target)["f1_macro"]
              for i, s in ((1, 0.8), (2, 0.5))]  # fmt: skip
    assert found.others["f1_macro"].value == pytest.approx(wanted[0] - wanted[1])


def test_another_metric_may_decide() -> None:
    of = tracks(40, 3)
    measure = ComparisonMetric.of(SingleLabel(), "log_loss")
    assert not measure.maximise and not measure.by_track
    found = compare_sides(side(of, of.right(0.8, 1)), side(of, of.right(0.5, 2), label="B"), measure)
    assert found.difference.value < 0 < found.gain and found.p < 0.001 and found.discordant is None
    assert found.verdict().startswith("A is better than B: log_loss -") and set(found.others) == {
        "f1_micro",
        "f1_macro",
    }


def errors_of(of: Tracks, task: Regression | Embedding, noise: float, label: str, outputs: int = 1) -> Predictions:
    rng = np.random.default_rng(len(label) + int(100 * noise))
    target = np.random.default_rng(0).uniform(0.2, 0.8, (len(of.groups), outputs)).astype(np.float32)
    predictions = (target + rng.normal(0, noise, target.shape)).astype(np.float32)
    base = answers(of, [of.right(0.5)], label)
    return Predictions(base.candidate, label, task, tuple(f"x{i}" for i in range(outputs)), base.track_ids, base.groups,
                   ((predictions, target),))  # fmt: skip


def test_of_errors_the_smaller_is_better() -> None:
    of, task = tracks(50, 2), Regression(target="energy")
    found = compare_sides(
        *(Side(n, (errors_of(of, task, s, n),)) for n, s in (("A", 0.05), ("B", 0.1))), ComparisonMetric.of(task)
    )
    assert found.difference.value < 0 < found.gain and found.discordant is None
    assert found.verdict().startswith("A is better than B: mae -0.0")
    assert set(found.others) == {"mse", "r2", "spearman"} and found.others["r2"].low > 0
    assert changes_by_class(*(Side(n, (errors_of(of, task, s, n),)) for n, s in (("A", 0.05), ("B", 0.1)))) == []


def test_embeddings_are_judged_by_their_own_targets() -> None:
    of, task = tracks(50, 2), Embedding(target="artist")
    one, two = (errors_of(of, task, s, n, outputs=5) for n, s in (("A", 0.1), ("B", 0.4)))
    learned = Predictions(two.candidate, "B", task, two.classes, two.track_ids, two.groups,
                      tuple((-p, -t) for p, t in two.seeds))  # fmt: skip
    there = compare_sides(Side("A", (one,)), Side("B", (two,)), ComparisonMetric.of(task))
    again = compare_sides(Side("A", (one,)), Side("B", (learned,)), ComparisonMetric.of(task))
    assert there.significant and there.gain > 0 and again.difference == there.difference


def test_a_change_is_found_on_the_class_where_it_is() -> None:
    of = tracks(90, 3)
    hits = of.right(0.7, 1)
    rng = np.random.default_rng(0)
    worse = hits & ~((of.target == 1) & (rng.uniform(size=len(hits)) < 0.6))
    found = changes_by_class(side(of, hits), side(of, worse, label="B"))
    assert found[0].name == "flute" and found[0].adjusted < 0.01 and found[0].tracks == 90
    assert found[0].difference is not None and found[0].difference.low > 0.2
    assert {c.name: c.value for c in found[1:]} == {"bass": 0.0, "noise": 0.0}
    assert all(c.adjusted == 1 for c in found[1:])


def test_a_class_of_one_artist_has_no_interval() -> None:
    of = tracks(4, 3, alike=True)
    found = {c.name: c for c in changes_by_class(side(of, of.right(1.0)), side(of, of.right(0.0), label="B"))}
    assert found["bass"].difference is not None and found["flute"].difference is None
    assert found["flute"].value == 1.0 and found["flute"].p == 1.0


def test_colours_of_what_may_be_noise_are_not_the_deepest() -> None:
    of = tracks(20, 2)
    found = compare_sides(side(of, of.right(0.6, 1)), side(of, of.right(0.5, 2), label="B"), ACCURACY)
    assert not found.significant
    low, high = pairs_plot([found], ["A", "B"]).axes[0].images[0].get_clim()
    assert -low == high == (found.difference.high - found.difference.low) / 2 > 2 * abs(found.gain)


# --- the tracks


def test_only_common_tracks_count() -> None:
    of = tracks(20, 2)
    one, two = answers(of, [of.right(0.8, 1)]), answers(of, [of.right(0.5, 2)], "B")
    some = two.take(two.track_ids[30:] + two.track_ids[:5])
    first, second = aligned([one, some])
    assert first.track_ids == second.track_ids == tuple(of.ids[:5] + of.ids[30:])
    np.testing.assert_array_equal(first.scores, one.scores[[*range(5), *range(30, 40)]])
    found = compared(Side("A", (one,)), Side("B", (some,)))
    assert found.tracks == 15 and found.difference.value == pytest.approx(first.scores.mean() - second.scores.mean())


def test_what_cannot_be_compared_is_an_error() -> None:
    of, other = tracks(20, 2), tracks(20, 2)
    one = answers(of, [of.right(0.8)])
    with pytest.raises(ConfigError, match=r"have no track in common.*one split of one data set"):
        aligned([one.take(of.ids[:20]), answers(of, [of.right(0.8)], "B").take(of.ids[20:])])
    other.target[3] = (other.target[3] + 1) % 3
    with pytest.raises(ConfigError, match=r"1 of 40 tracks have another target in B .*'track0003'.*train both on one"):
        aligned([one, answers(other, [of.right(0.8)], "B")])
    renamed = Predictions(one.candidate, "B", one.task, ("bass", "flute", "oboe"), one.track_ids, one.groups, one.seeds)
    with pytest.raises(ConfigError, match=r"predict different classes, e\.g\. \['noise', 'oboe'\]"):
        aligned([one, renamed])


# --- factors

MODELS = {"time": TimeConfig(), "simple": SimpleConfig(), "freq": FreqConfig()}


def grid(of: Tracks, gain: dict[str, float], rates: tuple[float, ...] = (0.001, 0.003)) -> list[Predictions]:
    found = []
    for model, more in gain.items():
        for n_fft in (1024, 4096):
            for lr in rates:
                changes = {"model": MODELS[model], "feature.n_fft": n_fft, "optim.lr": lr}
                share = 0.6 + more * (2 if n_fft == 4096 else 0) + 0.1 * (lr > 0.002)
                hits = of.right(share, 20 + len(found), noise=0.1)
                found.append(answers(of, [hits], str(len(found)), changes))
    return found


def test_a_main_effect_is_found_within_the_value_that_has_it() -> None:
    of = tracks(100, 3)
    found = factor(grid(of, {"simple": 0.0, "time": 0.08}), "model", "feature.n_fft", ACCURACY)
    assert found.field == "model" and not found.confounders
    whole, *parts = found.contrasts
    assert (whole.first, whole.second, whole.within) == ("time", "simple", "") and whole.significant
    assert whole.difference.value == pytest.approx(0.08, abs=0.03)
    by_part = {c.within: c for c in parts}
    assert set(by_part) == {"n_fft 1024", "n_fft 4096"}
    assert by_part["n_fft 4096"].significant and not by_part["n_fft 1024"].significant
    assert found.candidates == {("time", "simple", ""): (4, 4), ("time", "simple", "n_fft 1024"): (2, 2),
                                ("time", "simple", "n_fft 4096"): (2, 2)}  # fmt: skip
    assert all(c.family == 3 and c.adjusted >= c.p for c in found.contrasts)


def test_only_partners_that_are_equal_in_all_else_count() -> None:
    """Time was also tried with a learning rate that makes everything better: that must not count for time."""
    of = tracks(100, 3)
    every = grid(of, {"simple": 0.0, "time": 0.0})
    lucky = [answers(of, [of.right(1.0)], "X", {"model": MODELS["time"], "feature.n_fft": n, "optim.lr": 0.1})
             for n in (1024, 4096)]  # fmt: skip
    found = factor([*every, *lucky], "model", "", ACCURACY)
    assert not found.contrasts[0].significant and abs(found.contrasts[0].difference.value) < 0.05
    assert next(iter(found.candidates.values())) == (4, 4)


def test_without_partners_the_fields_that_are_unequal_are_named() -> None:
    of = tracks(40, 3)
    share = {"time": 0.9, "simple": 0.5}
    random = [answers(of, [of.right(share[m], i)], str(i), {"model": MODELS[m], "optim.lr": 0.001 + i / 100})
              for i, m in enumerate(("time", "simple", "time", "simple"))]  # fmt: skip
    found = factor(random, "model", "", ACCURACY)
    assert found.confounders == ["lr"] and found.contrasts[0].significant and found.contrasts[0].first == "time"


def test_every_two_values_are_compared() -> None:
    of = tracks(30, 2)
    found = factor(grid(of, {"simple": 0.0, "time": 0.1, "freq": 0.02}, (0.001,)), "model", "", ACCURACY)
    assert [(c.first, c.second) for c in found.contrasts] == [("time", "freq"), ("time", "simple"), ("freq", "simple")]
    assert len(found.sides) == 3


def test_a_field_that_does_not_vary_is_an_error() -> None:
    of = tracks(10, 2)
    every = grid(of, {"simple": 0.0, "time": 0.0})
    with pytest.raises(ConfigError, match=r"optim.batch_size is the same for all .* model, feature.n_fft, optim.lr"):
        factor(every, "optim.batch_size", "", ACCURACY)
    with pytest.raises(ConfigError, match=r"no field 'modle'. Did you mean 'model'?"):
        factor(every, "modle", "", ACCURACY)
    with pytest.raises(ConfigError, match="within model is a part of by model"):
        factor(every, "model", "model", ACCURACY)


# --- words


def test_figures_are_written_as_people_read_them() -> None:
    assert [format_value(v) for v in (0.0, 0.5, 0.0123, 12.0)] == ["0.000", "0.500", "0.01230", "12.000"]
    assert format_value(0.001, like=0.7) == "0.001"
    assert format_with_interval(Difference(0.01, -0.005, 0.03, 0.1, 9)) == "+0.010 [-0.005, +0.030]"
    assert format_with_interval(Difference(0.001, -0.0005, 0.003, 0.1, 9)) == "+0.00100 [-0.00050, +0.00300]"
    assert format_with_interval(Difference(0.0, 0.0, 0.0, 1.0, 4)) == "0.000 (the same on all tracks)"
    assert format_with_interval(Difference(1.0, 1.0, 1.0, 1.0, 4)) == "+1.000 (the same on all tracks)"
    assert (format_p_value(0.0004), format_p_value(0.0321)) == ("< 0.001", "0.032")
    assert counted_groups(["artist:a", "artist:a", "artist:b"]) == "2 artists"
    assert counted_groups(["artist:a", "track:b"]) == "2 groups"
