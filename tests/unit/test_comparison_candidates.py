"""Who takes part in a comparison, as which candidate, and what is said of those that do not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from tests.unit.comparison_runs import BASE, Tracks, log_sweep, log_trial, tracks, with_changes
from tonearm.comparison.compare import Comparison, Options, agreement_pairs, compare
from tonearm.comparison.find import FoundCandidates, find_candidates
from tonearm.comparison.report import candidates_table, report
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import digest
from tonearm.models.simple import SimpleConfig
from tonearm.models.stacked import TimeFreqConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps.results import configuration_signature
from tonearm.tasks import MultiLabel
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.training.config import EnsembleConfig, MeanConfig, Member, TrialConfig

pytestmark = pytest.mark.usefixtures("database")

OF = tracks(30, 2)


def log(
    parent: RunWriter | None, name: str, changes: Mapping[str, object], best: float = 0.5, **more: object
) -> TrialConfig:
    config = with_changes(changes)
    log_trial(parent, name, config, OF.predictions(OF.right(best, config.seed)), OF, best, **more)  # type: ignore[arg-type]
    return config


def compared(*texts: str, **options: object) -> Comparison:
    return compare(texts, Options(**options))  # type: ignore[arg-type]


def found_names(found: FoundCandidates) -> list[str]:
    return sorted(c.name for c in found.candidates)


def test_seeds_that_survived_do_not_stand_for_all() -> None:
    parent = log_sweep("survivors")
    for seed, (best, ending) in enumerate(((0.95, "completed"), (0.2, "stopped"), (0.9, "completed"))):
        log(parent, f"lucky-{seed}", {"optim.lr": 0.1, "seed": seed}, best, ending=ending)
    for rate in (0.01, 0.02):
        for seed in range(3):
            log(parent, f"{rate}-{seed}", {"optim.lr": rate, "seed": seed}, 0.7 - rate)
    found = compared("survivors")
    assert [a.candidate.name for a in found.predictions] == ["simple lr=0.01", "simple lr=0.02"]
    lucky = found.rows[-1]
    assert lucky.status.startswith("2 of 3 seeds tested: the others were stopped") and not lucky.label
    assert lucky.validation == pytest.approx(0.925) and lucky.scores == {}
    answer = report(found).summary[0]
    assert answer.startswith("Best on validation among the evaluated ones (") and "lr=0.1" in answer
    assert len(compared("survivors", split="validation").predictions) == 3


def test_one_seed_has_no_deviation() -> None:
    parent = log_sweep("one-seed")
    for rate in (0.01, 0.02):
        log(parent, f"{rate}", {"optim.lr": rate}, 0.7 - rate)
    found = compared("one-seed")
    assert all(math.isnan(r.deviation) and math.isnan(r.scores["f1_micro"][1]) and r.seeds == 1 for r in found.rows)
    assert not any("±" in cell or "nan" in cell for row in candidates_table(found).rows for cell in row)
    assert report(found).summary[0].startswith("Best on validation is A")


def test_lacking_seeds_and_folds_are_marked() -> None:
    parent = log_sweep("lacking")
    for rate, seeds, folds in ((0.01, 2, 2), (0.02, 1, 2), (0.03, 2, 1)):
        for seed in range(seeds):
            for fold in range(folds):
                keep = list(range(fold, 60, 2))
                changes = {"optim.lr": rate, "seed": seed, "dataset.fold": f"{fold + 1}/2"}
                log(parent, f"{rate}-{seed}-{fold}", changes, 0.7 - rate, keep=keep)
    rows = compared("lacking").rows
    assert [r.status for r in rows] == [
        "", "1 of 2 seeds only: ranked by these", "2 of 4 folds only: ranked by these"
    ]  # fmt: skip


def test_states_of_code_and_data_are_candidates_of_their_own() -> None:
    for name, change, more in (
        ("first", {}, {names.COMMIT: "aaaaaaaaaa"}),
        ("second", {}, {names.COMMIT: "bbbbbbbbbb"}),
        ("third", {"dataset.data_signature": "12ab"}, {names.COMMIT: "aaaaaaaaaa"}),
    ):
        log(log_sweep(f"state-{name}"), f"trial-{name}", change, more=more)
    assert found_names(find_candidates(["state-first", "state-second"])) == [
        "simple [commit aaaaaaa, run state-first]", "simple [commit bbbbbbb, run state-second]"
    ]  # fmt: skip
    apart = found_names(find_candidates(["trial-first", "trial-third"]))
    assert len(apart) == 2 and "data d0" in apart[1] and "data 12ab" in apart[0]


def test_seeds_that_were_added_by_another_commit_of_the_same_code_join_their_configuration() -> None:
    for name, codes in (("joined", ("1a", "1a")), ("parted", ("1a11111111", "1b22222222"))):
        parent = log_sweep(f"seeds-{name}", tags={names.SWEEP: name})
        for seed, (commit, code) in enumerate(zip(("aaaaaaaaaa", "bbbbbbbbbb"), codes, strict=True)):
            more = {names.COMMIT: commit, names.CODE: code, names.TRIAL: "0"}
            log(parent, f"{name}-{seed}", {"seed": seed}, more=more)
    (joined,) = find_candidates(["seeds-joined"]).candidates
    assert [run.config.seed for run in joined.runs] == [0, 1]
    assert found_names(find_candidates(["seeds-parted"])) == ["00 simple [code 1a11111]", "00 simple [code 1b22222]"]


def test_states_within_one_sweep_are_told_by_what_differs() -> None:
    parent = log_sweep("moved", tags={names.SWEEP: "s"})
    for i, commit in enumerate(("aaaaaaaaaa", "bbbbbbbbbb")):
        log(parent, f"{i}", {}, more={names.COMMIT: commit, names.TRIAL: "0"})
    assert found_names(find_candidates(["moved"])) == ["00 simple [commit aaaaaaa]", "00 simple [commit bbbbbbb]"]


def test_two_runs_that_are_named_are_two_candidates() -> None:
    for name in ("again-one", "again-two"):
        log(None, name, {}, 0.6)
    found = compared("again-one", "again-two")
    assert sorted(r.name for r in found.rows) == ["simple [run again-one]", "simple [run again-two]"]


def test_of_a_trial_that_ran_again_the_newest_that_completed_counts() -> None:
    parent = log_sweep("again")
    for name, best, ending in (("z", 0.3, "completed"), ("m", 0.8, "completed"), ("a", 0.9, "failed")):
        log(parent, f"{name}-trial", {}, best, ending=ending)
    log(parent, "other", {"optim.lr": 0.5}, 0.4)
    found = find_candidates(["again"])
    assert sorted(c.validation("test") for c in found.candidates) == [0.4, 0.8]
    assert any("was run 3 times with seed 0: the last that completed counts" in note for note in found.notes)


def stacked(sweep: str) -> TrialConfig:
    """A sweep of two trials on two members, which took 20 s each, as any run here."""
    parent = log_sweep(sweep, tags={names.SWEEP: sweep})
    members = [log(parent, f"{sweep}-{n}", {"optim.lr": r}) for n, r in (("time", 0.7), ("freq", 0.9))]
    parts = tuple(Member(name=n, trial=m.signature()) for n, m in zip(("time", "freq"), members, strict=True))
    for i in range(2):
        config = BASE.replace({"model": TimeFreqConfig(), "members": parts, "model.dropout": i / 4})
        log_trial(parent, f"{sweep}-{i}", config, OF.predictions(OF.right(0.6, i)), OF, 0.6,
                  more={names.TRIAL: str(i)})  # fmt: skip
    return config


def test_what_was_trained_before_a_sweep_is_no_candidate_and_adds_to_the_cost() -> None:
    stacked("heads")
    found = compared("heads")
    assert [r.name for r in found.rows] == ["00 time_freq dropout=0", "01 time_freq dropout=0.25"] and len(
        found.found.candidates
    ) == 2
    assert sum("trained before the sweep" in note for note in found.found.notes) == 2
    assert all(r.seconds == 60 for r in found.rows)
    alone = compared("heads-0", "heads-1")
    assert all(r.seconds == 60 for r in alone.rows)  # its siblings are looked up


def test_seconds_are_of_completed_runs() -> None:
    parent = log_sweep("costs")
    for rate, ending in ((0.01, "completed"), (0.02, "completed"), (0.03, "stopped")):
        log(parent, f"{rate}", {"optim.lr": rate}, 0.7 - rate, ending=ending)
    rows = {r.name.rpartition("=")[2]: r.seconds for r in compared("costs", split="validation").rows}
    assert rows["0.01"] == 20 and math.isnan(rows["0.03"])


def test_finished_runs_without_an_ending_did_not_fail() -> None:
    parent = log_sweep("older")
    for rate in (0.01, 0.02):
        log(parent, f"o-{rate}", {"optim.lr": rate}, ending="")
    assert {r.ending for c in find_candidates(["older"]).candidates for r in c.runs} == {"completed"}


def test_a_metric_that_is_asked_for_has_an_interval() -> None:
    parent = log_sweep("metric")
    for rate in (0.01, 0.02):
        log(parent, f"me-{rate}", {"optim.lr": rate}, 0.7 - rate)
    mean, _, interval = compared("metric", metric="balanced_accuracy").rows[0].scores["balanced_accuracy"]
    assert interval is not None and interval.low < mean < interval.high


def test_answers_that_are_none_of_several_classes_have_no_agreement() -> None:
    parent = log_sweep("labels")
    target = (np.arange(60)[:, None] % 3 == np.arange(3)).astype(np.float32)
    worse = target.copy()
    worse[:, 1] = 0.5  # only of the second class
    for i, p in enumerate((target, worse)):
        config = with_changes({"task": MultiLabel(), "optim.lr": (i + 1) / 100})
        log_trial(parent, f"l-{i}", config, p, OF, i / 10, classes=("a", "b", "c"), target=target)
    found = compared("labels")
    assert agreement_pairs(found.predictions) is None
    changes = {c.name: c for c in found.changes["A", "B"]}
    assert changes["a"].value == changes["c"].value == 0  # though tracks of these classes got worse, too
    assert changes["b"].value == pytest.approx(-0.25) and changes["b"].adjusted < 0.01 and changes["b"].tracks == 20


def test_the_mean_of_stages_is_a_candidate_that_costs_what_its_members_cost() -> None:
    parent, of = log_sweep("averaged"), tracks(20, 2)
    stages = [with_changes({"optim.lr": rate}) for rate in (0.01, 0.02)]
    for i, stage in enumerate(stages):
        log_trial(parent, f"av-{i}", stage, of.predictions(of.right(0.6, i)), of, 0.6)
    members = tuple(Member(name=f"s{i}", trial=c.signature()) for i, c in enumerate(stages))
    mean = MeanConfig(dataset=stages[0].dataset, members=members, task=stages[0].task)
    log_trial(parent, "av-mean", mean, of.predictions(of.right(0.8)), of, 0.8, epochs=1, metrics={"seconds": 0.0})
    found = compared("averaged")
    best = found.rows[0]
    assert best.name == "mean of s0, s1" and best.seconds == 40 and len(found.rows) == 3


def ensemble(of: Tracks, name: str, sweep: str, weights: tuple[float, ...] = (1.0, 3.0), share: float = 0.8) -> None:
    """A sweep of two trials with two seeds each, and what jobs.select chose of them."""
    parent = log_sweep(sweep, tags={names.SWEEP: sweep, names.ENSEMBLE: name})
    trials = [with_changes({"optim.lr": rate, "seed": seed}) for rate in (0.01, 0.02) for seed in (0, 1)]
    for i, config in enumerate(trials):
        log_trial(parent, f"{sweep}-{i}", config, of.predictions(of.right(0.5, i)), of, 0.5, more={names.TRIAL: str(i)})
    members = tuple(Member(name=f"0{i}", trial=digest(sweep, i)) for i in range(2))
    config = EnsembleConfig(dataset=trials[0].dataset, members=members, task=trials[0].task, weights=weights)
    more = {names.ENSEMBLE: name, names.CONFIGURATION: configuration_signature(config)}
    log_trial(parent, name, config, of.predictions(of.right(share)), of, 0.9, epochs=1, metrics={"seconds": 0.0},
              more=more)  # fmt: skip


def test_a_sweeps_ensemble_takes_part_beside_the_best_and_is_not_ranked() -> None:
    """Its members were chosen on validation, of all seeds: there it seems better than the means that others are."""
    of = tracks(20, 2)
    ensemble(of, "ensemble-a", "ensembled")
    found = compared("ensembled", top=2, by="lr")
    assert [a.candidate.name for a in found.predictions] == [
        "simple lr=0.01",
        "simple lr=0.02",
        "ensemble of 00, 01 x3",
    ]
    assert [r.label for r in found.rows] == ["A", "B", "C"] and len(found.pairs) == 3
    assert "chosen on validation" in found.rows[2].status and "seeds only" not in found.rows[2].status
    assert found.factor is not None and {s.name for pair in found.factor.sides for s in pair} == {"0.01", "0.02"}
    on_validation = compared("ensembled", split="validation")
    assert [a.candidate.name for a in on_validation.predictions] == ["simple lr=0.01", "simple lr=0.02"]
    assert "evaluated on test only" in on_validation.rows[-1].status


def test_an_ensemble_that_was_replaced_is_left_out_and_so_is_what_was_trained_before() -> None:
    of = tracks(20, 2)
    ensemble(of, "ensemble-old", "replaced")
    ensemble(of, "ensemble-new", "replaced", (2.0, 1.0))
    parent = RunWriter.open("toy", "replaced", tags={names.SWEEP: "replaced"})
    parent.tag(names.ENSEMBLE, "ensemble-new")
    log_trial(parent, "re-before", with_changes({"optim.lr": 0.5}), of.predictions(of.right(0.9)), of, 0.9)
    found = compared("replaced")
    assert [r.name for r in found.rows if "ensemble" in r.name] == ["ensemble of 00 x2, 01"] and len(found.rows) == 3
    notes = " ".join(found.found.notes)
    assert "ensemble-old was chosen before ensemble-new" in notes and "re-before was trained before the sweep" in notes


def test_ensembles_of_two_sweeps_are_two_though_their_members_have_the_same_numbers() -> None:
    of = tracks(20, 2)
    ensemble(of, "ensemble-p", "sweep-p")
    ensemble(of, "ensemble-q", "sweep-q", share=0.6)
    found = compared("sweep-p", "sweep-q")
    assert len([r for r in found.rows if r.name.startswith("ensemble of 00, 01 x3")]) == 2


def test_a_part_that_several_members_stand_on_is_paid_once() -> None:
    parent, of = log_sweep("shared"), tracks(20, 2)
    part = with_changes({"optim.lr": 0.3})
    tops = [with_changes({"optim.lr": r, "members": (Member(name="time", trial=part.signature()),)})
            for r in (0.01, 0.02)]  # fmt: skip
    for name, config in (("sh-part", part), ("sh-0", tops[0]), ("sh-1", tops[1])):
        log_trial(parent, name, config, of.predictions(of.right(0.6)), of, 0.6)
    members = tuple(Member(name=f"s{i}", trial=c.signature()) for i, c in enumerate(tops))
    mean = MeanConfig(dataset=part.dataset, members=members, task=part.task)
    log_trial(parent, "sh-mean", mean, of.predictions(of.right(0.8)), of, 0.8, epochs=1, metrics={"seconds": 0.0})
    (row,) = [r for r in compared("shared").rows if "mean of" in r.name]
    assert row.seconds == 60


def test_by_takes_the_name_that_the_table_shows() -> None:
    parent, of = log_sweep("short"), tracks(20, 2)
    configs = [with_changes({"model": model, "optim.lr": rate}) for model in (TimeConfig(), SimpleConfig())
               for rate in (0.01, 0.02)]  # fmt: skip
    for i, config in enumerate(configs):
        log_trial(parent, f"short-{i}", config, of.predictions(of.right(0.6, i)), of, 0.6)
    for name, values in (("lr", {"0.01", "0.02"}), ("model", {"time", "simple"})):
        found = compared("short", by=name)
        assert found.factor is not None and {s.name for pair in found.factor.sides for s in pair} == values
    with pytest.raises(ConfigError, match="batch_size is the same for all candidates"):
        compared("short", by="batch_size")
