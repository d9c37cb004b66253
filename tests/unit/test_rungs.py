"""Configurations rise or stop together, by the mean of their seeds, whatever the number of workers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders import tiny_config, toy_tracks
from tonearm.core import storage
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps import Asha, Choice, Full, Gp, Integers, LogUniform, Median, Population, Random, SearchSpace, Tpe
from tonearm.sweeps.agenda import Agenda
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.propose import Proposer
from tonearm.sweeps.rungs import Rungs
from tonearm.sweeps.sampling import Observation
from tonearm.sweeps.strategies import Scheduler, Search

MANIFEST = Manifest("toy", "sound", tuple(toy_tracks()))
EPOCHS = 60
Score = Callable[[Proposal, int], float]


def space(scheduler: Scheduler, trials: int, seeds: int = 1, search: Search = Random(), **base: object) -> SearchSpace:  # noqa: B008
    config = tiny_config({"optim.epochs": EPOCHS, **base})
    over = {"optim.lr": LogUniform(1e-4, 1e-2)}
    return SearchSpace(config, over, trials=trials, seeds=seeds, search=search, scheduler=scheduler)


def noisy(proposal: Proposal, epoch: int) -> float:
    """A rate of 1e-3 is best; seeds differ by luck; all learn."""
    config = proposal.config
    luck = np.random.default_rng([config.seed, round(1e9 * config.optim.lr)]).normal(0, 0.05)
    return float((1 - abs(np.log10(config.optim.lr) + 3)) * epoch / EPOCHS + luck)


class Sweep:
    """A sweep without Ray, of so many workers; which one returns first is chance. Folders are as they would be."""

    def __init__(
        self, chosen: SearchSpace, folder: Path, score: Score = noisy, workers: int = 4, seed: int = 0
    ) -> None:
        self.space, self.folder, self.score, self.workers = chosen, f"{folder}/sweep", score, workers
        self.rng, self.segments = np.random.default_rng(seed), 0
        self.order: list[int] = []  # in which trials came back

    def agenda(self) -> Agenda:
        return Agenda(Proposer(self.space, self.space.trial, MANIFEST), Ledger(self.folder, self.space.over))

    def run(self, kill_after: int = 10**9) -> Agenda:
        agenda, running = self.agenda(), list[tuple[Proposal, int]]()
        while True:
            found = agenda.next() if len(running) < self.workers else "wait"
            if isinstance(found, tuple):
                running.append(found)
                continue
            if not running:
                assert found == "finished"
                for index in agenda.stopped():
                    agenda.end(index)
                return agenda
            if self.segments == kill_after:
                return agenda
            self.train(agenda, *running.pop(int(self.rng.integers(len(running)))))

    def source(self, agenda: Agenda, proposal: Proposal) -> Proposal:
        start = proposal.config.start
        return next(p for p in agenda.ledger.proposals if start and p.config.signature() == start.trial)

    def train(self, agenda: Agenda, proposal: Proposal, until: int) -> None:
        folder, task = agenda.ledger.trial(proposal), proposal.config.task
        history = folder.history()
        if proposal.config.start and not history:  # a member goes on from where another was
            history = agenda.ledger.trial(self.source(agenda, proposal)).history()
        for epoch in range(len(history) + 1, until + 1):
            value = self.score(proposal, epoch)
            best = max([value, *(h["best"] for h in history)])
            history.append({"epoch": epoch, f"validation_{task.primary}": value, "best": best,
                            f"validation_{task.tie_breaker}": 1.0})  # fmt: skip
        storage.write_json(storage.join(folder.uri, "history.json"), history)
        if until == proposal.config.optim.max_epochs:
            storage.write_bytes(folder.predictions_uri("test"), b"")
            folder.complete()
        self.segments += 1
        self.order.append(proposal.index)
        agenda.returned(proposal.index)


def epochs(agenda: Agenda) -> list[int]:
    return [len(agenda.results[i].history) for i in sorted(agenda.results)]


def whole(agenda: Agenda, seeds: int) -> list[int]:
    """The configurations of which every seed was trained to its end."""
    ended = [p.configuration for p in agenda.ledger.proposals if agenda.results[p.index].ending == "completed"]
    return sorted(c for c in set(ended) if ended.count(c) == seeds)


# --- rungs


def test_rungs_are_shares_of_the_bases_steps() -> None:
    rungs = Rungs(Asha(), tiny_config({"optim.epochs": 18, "optim.batch_size": 8}))
    assert Asha().rungs == pytest.approx((1 / 9, 1 / 3)) and Median().rungs == (0.125, 0.25, 0.5)
    assert rungs.epochs(rungs.base) == (2, 6, 18)
    half = rungs.base.replace({"optim.batch_size": 4})
    assert rungs.epochs(half) == (1, 3, 18)  # an epoch has twice the steps
    assert rungs.epochs(half.replace({"optim.accumulate": 4})) == (4, 12, 18)
    assert rungs.epochs(rungs.base.replace({"window.train_per_track": 6 * rungs.base.window.train_per_track})) == (
        1,
        1,
        18,
    )
    assert Rungs(Full(), rungs.base).epochs(half) == (18,)


def test_a_grace_in_epochs_is_refused_with_what_it_is_now() -> None:
    for scheduler, problem in (
        (Asha(grace=2), "a grace of 2: it is a share of the base's optimiser steps"),
        (Median(grace=0.0), "a grace of 0"),
        (Asha(reduction=1), "a reduction of 1: it must be at least 2"),
        (Median(others=0), "others is 0"),
    ):
        with pytest.raises(ConfigError, match=problem):
            space(scheduler, 4).check()


# --- who goes on


def test_halving_of_60_configurations_with_3_seeds_leaves_whole_ones(tmp_path: Path) -> None:
    chosen = space(Asha(grace=1 / 20), 60, seeds=3)
    ends = []
    for seed in range(2):
        agenda = Sweep(chosen, tmp_path / str(seed), seed=seed).run()
        assert len(agenda.results) == 180
        kept = whole(agenda, 3)
        assert 2 <= len(kept) <= 6
        by_configuration = np.array(epochs(agenda)).reshape(60, 3)
        assert (by_configuration == by_configuration[:, :1]).all()  # seeds rise and stop together
        assert 0.08 < by_configuration.mean() / EPOCHS < 0.22
        best = max(range(60), key=lambda c: -abs(np.log10(agenda.ledger.proposals[3 * c].config.optim.lr) + 3))
        assert best in kept
        ends.append(epochs(agenda))
    assert ends[0] == ends[1]  # who comes first has no part in it


@pytest.mark.parametrize(("trials", "least"), [(1, 1), (2, 2), (5, 2), (10, 2), (30, 3)])
def test_at_least_two_are_trained_to_their_end(tmp_path: Path, trials: int, least: int) -> None:
    assert len(whole(Sweep(space(Asha(), trials), tmp_path).run(), 1)) >= least


def test_median_stops_whole_configurations(tmp_path: Path) -> None:
    agenda = Sweep(space(Median(), 20, seeds=2), tmp_path).run()
    by_configuration = np.array(epochs(agenda)).reshape(20, 2)
    assert (by_configuration[:, 0] == by_configuration[:, 1]).all()
    assert 3 < len(whole(agenda, 2)) < 20


@pytest.mark.parametrize("scheduler", [Asha(), Median(), Full()])
def test_killed_driver_decides_as_one_that_was_not(tmp_path: Path, scheduler: Scheduler) -> None:
    chosen = space(scheduler, 12, seeds=2)
    expected = epochs(Sweep(chosen, tmp_path / "whole", workers=1).run())
    for kill in (3, 11, 26):
        Sweep(chosen, tmp_path / str(kill), workers=3, seed=kill).run(kill_after=kill)
        assert epochs(Sweep(chosen, tmp_path / str(kill), workers=2).run()) == expected


def test_what_ended_by_itself_before_a_rung_is_judged_there(tmp_path: Path) -> None:
    chosen = dataclasses.replace(space(Asha(), 6), over={"optim.epochs": Choice(1, EPOCHS), "optim.lr": Choice(1e-3)})
    agenda = Sweep(chosen, tmp_path).run()
    assert {r.ending for r in agenda.results.values() if r.config.optim.epochs == 1} == {"completed"}


def test_a_configuration_with_a_failed_seed_does_not_rise(tmp_path: Path) -> None:
    sweep = Sweep(space(Asha(), 6, seeds=2), tmp_path, workers=1)
    agenda = sweep.agenda()
    while isinstance(found := agenda.next(), tuple):
        proposal, until = found
        if proposal.index == 3:
            agenda.returned(3, "no memory")
        else:
            sweep.train(agenda, proposal, until)
    assert found == "finished" and 1 not in {
        p.configuration for p in agenda.ledger.proposals if len(agenda.ledger.trial(p).history()) > 7
    }


def test_more_configurations_let_paused_ones_rise(tmp_path: Path) -> None:
    few, many = space(Asha(), 6, search=Tpe(startup=6)), space(Asha(), 18, search=Tpe(startup=6))
    before = epochs(Sweep(few, tmp_path, workers=1).run())
    after = epochs(Sweep(many, tmp_path, workers=1).run())
    assert len(after) == 18 and all(now >= then for now, then in zip(after, before, strict=False))


# --- searches


@pytest.mark.parametrize("search", [Tpe(startup=4), Gp(startup=4)])
def test_searches_compare_at_equal_resources(tmp_path: Path, search: Tpe | Gp, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[Observation]] = []

    def suggest(chosen: SearchSpace, how: Search, seen: list[Observation], number: int, attempt: int = 0) -> object:
        told.append([o for o in seen if o.score is not None])
        return {"optim.lr": 1e-4 * (1 + number)}

    monkeypatch.setattr("tonearm.sweeps.propose.suggest", suggest)
    chosen = space(Asha(), 12, seeds=2, search=search)
    agenda = Sweep(chosen, tmp_path, workers=1).run()
    rungs, last = Rungs(chosen.scheduler, chosen.trial), told[-1]
    by_rung = rungs.epochs(chosen.trial)
    seeds = {p.configuration: [] for p in agenda.ledger.proposals}  # type: dict[int, list[Proposal]]
    for p in agenda.ledger.proposals:
        seeds[p.configuration].append(p)
    for configuration, observation in enumerate(last):
        at = by_rung[-1 if observation.rung is None else observation.rung] if isinstance(search, Tpe) else by_rung[0]
        mean = np.mean([max(noisy(p, e) for e in range(1, at + 1)) for p in seeds[configuration]])
        assert observation.score == pytest.approx(mean)
    assert len({o.rung for o in last}) > 1 if isinstance(search, Tpe) else {o.rung for o in last} == {None}


def test_settings_that_came_farther_are_better_than_a_lucky_start(tmp_path: Path) -> None:
    """What was stopped had higher scores: a search that took them for final ones would stay there."""
    from tonearm.sweeps.sampling import suggest

    chosen = space(Asha(), 40, search=Tpe(startup=2))
    good, poor = np.geomspace(4e-3, 9e-3, 6), np.geomspace(1.2e-4, 3e-4, 12)
    seen = [Observation({"optim.lr": float(lr)}, 0.4) for lr in good]
    seen += [Observation({"optim.lr": float(lr)}, 0.9, rung=0) for lr in poor]
    rates = [suggest(chosen, Tpe(startup=2), seen, 20, attempt)["optim.lr"] for attempt in range(5)]
    assert min(rates) > 1e-3


def test_a_search_without_anything_that_works_is_an_error(tmp_path: Path) -> None:
    over = {"window.frames": Integers(1, 10**6)}
    chosen = dataclasses.replace(space(Full(), 12, search=Tpe(startup=1)), over=over)
    sweep = Sweep(chosen, tmp_path, lambda p, e: 0.5)
    ledger = Ledger(sweep.folder, over)
    works = chosen.trial.window.frames
    ledger.add([Proposal(0, 0, {"window.frames": works}, chosen.trial)])
    agenda = sweep.run()
    assert len(agenda.results) == 1 and agenda.results[0].ending == "completed"  # what was begun came to its end
    with pytest.raises(
        Exception, match=r"50 settings in a row .* after 1 of 12 configurations; most often \(\d+ times\)"
    ):
        raise agenda.failure or AssertionError("no error")
    text = str(agenda.failure)
    assert "is longer than" in text and "Narrow the fields (window.frames)" in text


def test_a_generation_waits_for_the_one_before(tmp_path: Path) -> None:
    chosen = space(Full(), 4, search=Population(generations=3))
    sweep = Sweep(chosen, tmp_path, workers=4, seed=1)
    agenda = sweep.run()
    ledger = agenda.ledger.proposals
    assert [index // 4 for index in sweep.order] == [0] * 4 + [1] * 4 + [2] * 4
    assert [len(agenda.results[p.index].history) for p in ledger] == [20] * 4 + [40] * 4 + [60] * 4
    starts = {p.index: p.config.start.trial for p in ledger if p.config.start}
    assert sorted(starts) == list(range(4, 12))


def test_what_is_being_trained_is_neither_failed_nor_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[Observation]] = []

    def suggest(chosen: SearchSpace, how: Search, seen: list[Observation], number: int, attempt: int = 0) -> object:
        told.append(list(seen))
        return {"optim.lr": 1e-4 * (1 + number)}

    monkeypatch.setattr("tonearm.sweeps.propose.suggest", suggest)
    agenda = Sweep(space(Asha(), 8, search=Tpe(startup=2)), tmp_path).agenda()
    for _ in range(4):
        assert isinstance(agenda.next(), tuple)
    assert [(o.score, o.failed) for o in told[-1]] == [(None, False)] * 3


def test_what_another_sweep_has_completed_is_handed_to_nobody(tmp_path: Path) -> None:
    first, again = Sweep(space(Full(), 3), tmp_path), Sweep(space(Full(), 3), tmp_path)
    again.folder += "-of-another-kind"
    first.run()
    agenda = again.run()
    assert (first.segments, again.segments) == (3, 0)
    assert [r.ending for r in agenda.results.values()] == ["completed"] * 3


def test_what_was_completed_without_its_test_predictions_is_handed_out(tmp_path: Path) -> None:
    """A training of an earlier version was killed between the two."""
    first, again = Sweep(space(Full(), 3), tmp_path), Sweep(space(Full(), 3), tmp_path)
    before = first.run().ledger
    storage.remove(before.trial(before.proposals[1]).predictions_uri("test"))
    assert [r.ending for r in again.run().results.values()] == ["completed"] * 3 and again.order == [1]
