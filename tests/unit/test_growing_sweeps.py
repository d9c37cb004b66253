"""Sweeps grow: what was proposed stays, what lies there is found, and only what is new is tried."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.unit.proposals import OVER, Score, finish, hill, proposer, result, space
from tonearm.core import storage
from tonearm.sweeps import Choice, Gp, Grid, Median, Random, SearchSpace, Tpe
from tonearm.sweeps.ledger import Ledger


def grow(ledger: Ledger, chosen: SearchSpace, score: Score = hill) -> Ledger:
    """What a later call with another space adds to a finished ledger, which is read anew."""
    again = Ledger(ledger.folder, chosen.over)
    results = {p.index: result(again, p, score(p)) for p in again.proposals}
    while (found := proposer(chosen).next(again, results)) != "finished":
        assert found != "wait"
        again.add(found)
        results |= {p.index: result(again, p, score(p)) for p in found}
    return again


@pytest.mark.parametrize("search", [Random(), Tpe(startup=4), Tpe(startup=8), Gp(startup=4)])
def test_more_trials_go_on_where_the_fewer_ended(tmp_path: Path, search: Random | Tpe | Gp) -> None:
    few, many = space(search=search, trials=6), space(search=search, trials=11)
    grown = grow(finish(few, tmp_path / "few", hill), many)
    at_once = finish(many, tmp_path / "many", hill)
    assert len(grown.proposals) == 11 and grown.proposals[:6] == Ledger(str(tmp_path / "few"), OVER).proposals[:6]
    assert [p.configuration for p in grown.proposals] == list(range(11))
    assert grown.proposals[:6] == at_once.proposals[:6]
    if not isinstance(search, Gp):  # whose later draws see more results than here
        assert grown.proposals == at_once.proposals


@pytest.mark.parametrize("search", [Random(), Grid(), Tpe(startup=4)])
def test_more_seeds_are_trained_of_the_same_configurations(tmp_path: Path, search: Random | Grid | Tpe) -> None:
    over = {"optim.lr": Choice(1e-3, 1e-2), "optim.batch_size": Choice(4, 8, 16)} if search == Grid() else OVER
    one = space(search=search, over=over, trials=5)
    first = finish(one, tmp_path, hill)
    grown = grow(first, dataclasses.replace(one, seeds=3))
    count = len(first.proposals)
    assert grown.proposals[:count] == first.proposals and len(grown.proposals) == 3 * count
    assert [(p.configuration, p.config.seed) for p in grown.proposals[count:]] == [
        (c, s) for c in range(count) for s in (1, 2)
    ]
    for p in grown.proposals:
        assert p.config.replace({"seed": 0}) == first.proposals[p.configuration].config
    both = grow(grown, dataclasses.replace(one, seeds=4, trials=6))
    new = both.proposals[3 * count :]
    assert {p.config.seed for p in new if p.configuration < count} == {3}
    assert [p.config.seed for p in new if p.configuration == count] == ([] if search == Grid() else [0, 1, 2, 3])


@pytest.mark.parametrize("search", [Random(), Tpe(startup=4)])
def test_fewer_trials_than_there_are_propose_nothing_and_want_only_these(tmp_path: Path, search: Random | Tpe) -> None:
    ledger = finish(space(search=search, trials=8, seeds=2), tmp_path, hill)
    fewer = proposer(space(search=search, trials=3))
    assert fewer.next(ledger, {}) == "finished"
    assert fewer.wanted(ledger.proposals) == {0, 2, 4}


def test_a_trial_lies_where_whoever_else_wants_it_finds_it(tmp_path: Path) -> None:
    """A grid with one more option, another scheduler, or more seeds: the same settings are the same folders."""
    over = {"optim.lr": Choice(1e-3, 1e-2)}
    small = finish(space(search=Grid(), over=over), tmp_path / "small", hill)
    large = finish(space(search=Grid(), over={"optim.lr": Choice(1e-4, 1e-3, 1e-2)}), tmp_path / "large", hill)
    places = [[ledger.trial(p).uri for p in ledger.proposals] for ledger in (small, large)]
    assert places[0] == places[1][1:] and places[0][0].startswith(f"{tmp_path}/single/simple-")
    assert [small.ending(p) for p in small.proposals] == [None, None]
    large.trial(large.proposals[1]).complete()
    assert [small.ending(p) for p in small.proposals] == ["completed", None]


def test_a_sweep_remembers_what_it_stopped_and_others_do_not(tmp_path: Path) -> None:
    over = {"optim.lr": Choice(1e-3, 1e-2)}
    stopping, other = (finish(space(search=Grid(), over=over), tmp_path / name, hill) for name in ("a", "b"))
    stopping.stop(stopping.proposals[1])
    for ledger, wanted in ((stopping, "stopped"), (Ledger(stopping.folder, over), "stopped"), (other, None)):
        assert ledger.ending(ledger.proposals[1]) == wanted
    other.trial(other.proposals[1]).complete()
    assert stopping.ending(stopping.proposals[1]) == "completed"


def test_trials_of_earlier_versions_are_found_in_their_sweeps(tmp_path: Path) -> None:
    """They lay in the sweep's own folder, and "stopped" was written into the trial's."""
    over = {"optim.lr": Choice(1e-3, 1e-2)}
    made = finish(space(search=Grid(), over=over), tmp_path / "0b", hill)
    rows = json.loads((tmp_path / "0b" / "trials.json").read_text())
    (tmp_path / "0b" / "trials.json").write_text(json.dumps([{**row, "trial": ""} for row in rows]))
    old = Ledger(str(tmp_path / "0b"), over)
    folders = [old.trial(p) for p in old.proposals]
    signatures = [p.config.signature() for p in made.proposals]
    assert [f.uri for f in folders] == [f"{tmp_path}/0b/{i:02d}-{s}" for i, s in enumerate(signatures)]
    for folder, how in zip(folders, ("completed", "stopped"), strict=True):
        storage.write_json(f"{folder.uri}/history.json", [{"epoch": 1}])
        storage.write_json(f"{folder.uri}/ended.json", {"how": how})
    assert [old.ending(p) for p in old.proposals] == ["completed", "stopped"]
    new = finish(space(search=Grid(), over=over, scheduler=Median()), tmp_path / "0c", hill)
    assert [new.trial(p).uri for p in new.proposals] == [f.uri for f in folders]
    assert [new.ending(p) for p in new.proposals] == ["completed", None], "one that another sweep stopped goes on"
