"""What is tried next follows from what was proposed and what came of it, and from nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.builders import tiny_config, toy_batches
from tests.unit.proposals import MANIFEST, OVER, finish, hill, proposer, result, space
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps import (
    Choice,
    Gp,
    Grid,
    Integers,
    LogUniform,
    Population,
    Random,
    Tpe,
    Uniform,
)
from tonearm.sweeps.ledger import Ledger, Proposal
from tonearm.sweeps.results import TrialResult
from tonearm.sweeps.sampling import Observation
from tonearm.training.bundle import load_bundle
from tonearm.training.trial import TrialFolder, run_trial

# --- fixed searches


@pytest.mark.parametrize("search", [Random(), Grid()])
def test_fixed_search_proposes_everything_at_once(tmp_path: Path, search: Random | Grid) -> None:
    over = {"optim.lr": Choice(1e-3, 1e-2), "optim.batch_size": Choice(4, 8, 16)}
    chosen = space(search=search, over=over, trials=6, seeds=2)
    ledger = Ledger(str(tmp_path), over)
    first = proposer(chosen).next(ledger, {})
    assert isinstance(first, list)
    ledger.add(first)
    assert [p.index for p in first] == list(range(12))
    assert [(p.configuration, p.config.seed) for p in first[:4]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    if search == Grid():
        assert len({p.config.signature() for p in first}) == 12
    assert proposer(chosen).next(ledger, {}) == "finished"
    assert {p.config.dataset.data_signature for p in first} == {MANIFEST.signature()}


def test_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    over = {"model": Choice(SimpleConfig(variant="chroma", width=1), TimeConfig(divisors="4,8", widths="8,8")),
            "model.dropout": Uniform(0.0, 0.5), "optim.clip_norm": Choice(None, 1.0)}  # fmt: skip
    chosen = space(over=over, trials=5)
    ledger = finish(chosen, tmp_path, lambda p: 0.5)
    again = Ledger(str(tmp_path), over)
    assert again.proposals == ledger.proposals and len(again.proposals) == 5
    assert [p.config for p in Ledger(str(tmp_path)).proposals] == [p.config for p in ledger.proposals]
    for proposal in again.proposals:
        assert chosen.trial.replace(proposal.values).model == proposal.config.model


# --- model-based searches


@pytest.mark.parametrize("search", [Tpe(startup=4), Gp(startup=4)])
def test_search_is_the_same_every_time_and_goes_on_after_a_kill(tmp_path: Path, search: Tpe | Gp) -> None:
    chosen = space(search=search, trials=9)
    whole = finish(chosen, tmp_path / "whole", hill)
    assert [p.configuration for p in whole.proposals] == list(range(9))
    begun = Ledger(str(tmp_path / "begun"), OVER)
    begun.add(whole.proposals[:6])  # the driver was killed here
    results = {p.index: result(begun, p, hill(p)) for p in begun.proposals}
    after = proposer(chosen).next(Ledger(str(tmp_path / "begun"), OVER), results)
    assert after == whole.proposals[6:7]


@pytest.mark.parametrize("search", [Tpe(startup=6), Gp(startup=6)])
def test_search_finds_better_settings_than_chance(tmp_path: Path, search: Tpe | Gp) -> None:
    """The mean score of what is tried after the start, over several searches; a random draw has 0.33 on average."""
    late = []
    for seed in range(3):
        ledger = finish(space(search=search, trials=20, seed=seed), tmp_path / str(seed), hill)
        late.append(np.mean([hill(p) for p in ledger.proposals[12:]]))
    drawn = [np.mean([hill(p) for p in finish(space(trials=20, seed=s), tmp_path / f"r{s}", hill).proposals])
             for s in range(3)]  # fmt: skip
    assert np.mean(late) > np.mean(drawn) + 0.1


def test_search_learns_from_the_mean_over_seeds_and_leaves_failures_alone(tmp_path: Path) -> None:
    chosen = space(search=Tpe(startup=4), trials=6, seeds=2)

    def score(proposal: Proposal) -> float | None:
        return None if proposal.configuration == 1 else hill(proposal) + 0.1 * proposal.config.seed

    ledger = finish(chosen, tmp_path, score)
    assert len(ledger.proposals) == 12
    for first, second in zip(ledger.proposals[::2], ledger.proposals[1::2], strict=True):
        assert first.config.replace({"seed": 1}) == second.config


@pytest.mark.parametrize("search", [Tpe(startup=4), Gp(startup=4)])
def test_a_search_with_fewer_seeds_than_before_learns_from_what_it_has(tmp_path: Path, search: Tpe | Gp) -> None:
    """Of a configuration that was stopped the seed that is asked for no more is in no result."""
    both = space(search=search, trials=4, seeds=2)
    ledger = finish(both, tmp_path, hill)
    results = {p.index: result(ledger, p, hill(p)) for p in ledger.proposals}
    first = {index: found for index, found in results.items() if ledger.proposals[index].config.seed == 0}

    def scores(seeds: int, known: dict[int, TrialResult]) -> list[float | None]:
        chosen = proposer(dataclasses.replace(both, seeds=seeds))
        return [o.score for o in chosen._observations(ledger.proposals, known)]

    assert scores(1, first) == [pytest.approx(hill(p)) for p in ledger.proposals[::2]]
    assert scores(1, results) == scores(2, results) and None not in scores(2, results)
    assert scores(2, first) == [None] * 4, "the second seed is asked for, and on its way"
    assert scores(1, {}) == [None] * 4


def test_running_trials_are_no_obstacle(tmp_path: Path) -> None:
    chosen = space(search=Tpe(startup=4), trials=8)
    ledger = Ledger(str(tmp_path), OVER)
    ledger.add(proposer(chosen).next(ledger, {}))  # type: ignore[arg-type]
    more = proposer(chosen).next(ledger, {})  # none has ended
    assert isinstance(more, list) and len(more) == 1


# --- seeds


def test_common_seeds_are_those_of_every_configuration_and_own_ones_of_none_other(tmp_path: Path) -> None:
    def seeds(**changes: object) -> dict[str, list[int]]:
        chosen = space(**changes)
        found: dict[str, list[int]] = {}
        for p in finish(chosen, tmp_path / str(len(list(tmp_path.iterdir()))), hill).proposals:
            found.setdefault(str(p.values), []).append(p.config.seed)
        return found

    assert set(map(tuple, seeds(seeds=2).values())) == {(0, 1)}
    grid = {"optim.lr": Choice(1e-3, 1e-2), "optim.batch_size": Choice(4, 8)}
    own = seeds(seeds=2, seeding="own", search=Grid(), over=grid)
    each = [s for both in own.values() for s in both]
    assert len(set(each)) == 8 and all(0 <= s < 10**6 for s in each)
    # One option and one seed more leave those that were there.
    more = seeds(seeds=3, seeding="own", search=Grid(), over={**grid, "optim.batch_size": Choice(8, 16, 4)})
    assert {setting: more[setting][:2] for setting in own} == own
    assert seeds(seeds=2, seeding="own", search=Grid(), over=grid, seed=1) != own
    learning = seeds(seeding="own", search=Tpe(startup=4))
    assert len({s for (s,) in learning.values()}) == 12


def test_members_of_a_population_keep_seeds_of_their_own(tmp_path: Path) -> None:
    chosen = space(base=tiny_config({"optim.epochs": 8}), over={"optim.lr": LogUniform(1e-4, 1e-2)}, trials=8,
                   search=Population(generations=2), seeding="own")  # fmt: skip
    seeds = [p.config.seed for p in finish(chosen, tmp_path, hill).proposals]
    assert seeds[:8] == seeds[8:] and len(set(seeds)) == 8


def test_trials_with_seeds_of_their_own_differ_in_weights_and_order(tmp_path: Path) -> None:
    chosen = space(trials=2, seeding="own")
    found = [p.config for p in finish(chosen, tmp_path, hill).proposals]
    first = [TrialFolder(str(tmp_path / str(i))) for i in range(2)]
    orders = []
    for config, folder in zip(found, first, strict=True):
        same = config.replace({"optim": tiny_config().optim})  # but for its seed
        batches = toy_batches(tmp_path / "features", same)
        orders.append([i for batch in batches.train(1) for i in batch.track_ids])
        next(run_trial(same.replace({"optim.lr": 1e-9}), batches, folder))
    weights = [next(iter(load_bundle(f.bundle_uri).network.state_dict().values())) for f in first]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    assert not np.allclose(weights[0], weights[1], atol=1e-3)


# --- earlier runs


@pytest.mark.parametrize("search", [Random(), Grid(), Tpe(startup=4)])
def test_best_earlier_settings_are_tried_first(tmp_path: Path, search: Random | Grid | Tpe) -> None:
    over = {"optim.lr": Choice(1e-3, 1e-2), "optim.batch_size": Choice(4, 8, 16)} if search == Grid() else OVER
    chosen = space(search=search, over=over, trials=6)
    earlier = (Observation({"optim.lr": 1e-3, "optim.batch_size": 16}, 0.9),
               Observation({"optim.lr": 1e-2, "optim.batch_size": 4}, 0.3))  # fmt: skip
    ledger = finish(chosen, tmp_path, hill, earlier)
    assert [p.values for p in ledger.proposals[:2]] == [o.values for o in earlier]
    settings = [str(p.values) for p in ledger.proposals]
    assert len(set(settings)) == len(settings)
    assert len(settings) == 6


# --- populations


def test_worst_members_go_on_from_the_best_with_settings_nearby(tmp_path: Path) -> None:
    over = {"optim.lr": LogUniform(1e-5, 1e-1), "augment.time_masks": Integers(0, 4),
            "optim.weight_decay": Choice(0.0, 1e-4, 1e-3)}  # fmt: skip
    chosen = space(base=tiny_config({"optim.epochs": 8}), over=over, trials=8, search=Population(generations=4))
    ledger = finish(chosen, tmp_path, hill)
    assert len(ledger.proposals) == 32
    for generation in range(1, 4):
        before, now = (ledger.proposals[8 * g : 8 * g + 8] for g in (generation - 1, generation))
        by_score = sorted(before, key=hill)
        for old, new in zip(before, now, strict=True):
            assert new.config.optim.epochs == 2 * (generation + 1) and new.config.start is not None
            source = next(p for p in before if p.config.signature() == new.config.start.trial)
            assert new.config.start.bundle == ledger.trial(source).uri
            if old in by_score[:2]:
                assert source in by_score[-2:]
                ratio = new.config.optim.lr / source.config.optim.lr
                assert min(abs(ratio - 1.3), abs(ratio - 1 / 1.3)) < 0.01 or new.config.optim.lr in (1e-5, 1e-1)
            else:
                assert source == old and new.values == old.values
    first, last = (np.mean([hill(p) for p in ledger.proposals[i : i + 8]]) for i in (0, 24))
    assert last > first
    assert finish(chosen, tmp_path / "again", hill).proposals[-1].values == ledger.proposals[-1].values


def test_population_waits_for_a_generation_and_replaces_who_failed(tmp_path: Path) -> None:
    chosen = space(base=tiny_config({"optim.epochs": 4}), over={"optim.lr": LogUniform(1e-4, 1e-2)}, trials=4,
                   search=Population(generations=2))  # fmt: skip
    ledger = Ledger(str(tmp_path), chosen.over)
    ledger.add(proposer(chosen).next(ledger, {}))  # type: ignore[arg-type]
    results = {p.index: result(ledger, p, hill(p)) for p in ledger.proposals[:3]}
    assert proposer(chosen).next(ledger, results) == "wait"
    results[3] = result(ledger, ledger.proposals[3], None)
    found = proposer(chosen).next(ledger, results)
    assert isinstance(found, list)
    sources = [p.config.start.trial for p in found if p.config.start]
    assert len(sources) == 4 and ledger.proposals[3].config.signature() not in sources
    dead = {p.index: result(ledger, p, None) for p in ledger.proposals}
    assert proposer(chosen).next(ledger, dead) == "finished"
