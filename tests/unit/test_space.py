"""Search spaces: everything wrong is found at once, draws are balanced and the same every time."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from tests.builders import tiny_config
from tonearm.core.errors import ConfigError
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps import (
    Asha,
    Choice,
    Full,
    Grid,
    Integers,
    LogUniform,
    Median,
    Population,
    SearchSpace,
    Tpe,
    Uniform,
)
from tonearm.sweeps.domains import contains, from_parameter, to_parameter
from tonearm.training.config import DatasetRef, TrialConfig


def space(trials: int = 12, seed: int = 0) -> SearchSpace:
    return SearchSpace(
        base=tiny_config(),
        over={
            "optim.lr": LogUniform(1e-4, 1e-1),
            "optim.batch_size": Choice(4, 8, 16),
            "model.dropout": Uniform(0.0, 0.5),
            "feature.n_fft": Choice(512, 1024),
        },
        trials=trials,
        seed=seed,
    )


def drawn(chosen: SearchSpace) -> list[TrialConfig]:
    return chosen.configs(chosen.points())


# --- checking


def test_all_problems_are_found_at_once() -> None:
    wrong = SearchSpace(
        base=tiny_config(),
        over={
            "optim.lrr": Choice(1.0),
            "optim.lr": LogUniform(-1.0, 2.0),
            "optim.batch_size": Uniform(2, 8),
            "model.dropout": Uniform(0.5, 1.5),
            "feature.n_fft": Choice(),
            "feature.hop": Choice(128, 4096),
            "window.frames": Uniform(9.0, 9.0),
            "seed": Choice("one"),
            "feature.hop_length": Uniform(1.0, 2.0),
        },
        trials=0,
    )
    with pytest.raises(ConfigError) as caught:
        wrong.check()
    text = str(caught.value)
    for wanted in (
        "trials is 0: draw at least one",
        "optim.lrr = 1.0: OptimConfig has no field 'lrr'. Did you mean 'lr'?",
        "optim.lr: begins at -1.0: a logarithm needs a positive end",
        "optim.batch_size = 2.0: OptimConfig.batch_size: 2.0 is a float, expected int",
        "model.dropout = 1.5: dropout is 1.5",
        "feature.n_fft: has no options",
        "feature.hop = 4096: hop 4096 is longer than the window 512",
        "window.frames: ranges from 9.0 to 9.0",
        "seed = 'one': TrialConfig.seed: 'one' is a str, expected int",
        "feature.hop_length is varied by a range",
    ):
        assert wanted in text, wanted
    with pytest.raises(ConfigError, match=r"model\.kind: a kind alone has no fields: vary 'model' over configs"):
        SearchSpace(base=tiny_config(), over={"model.kind": Choice("time", "freq")}).check()


def test_good_space_passes() -> None:
    space().check()


def test_combination_that_cannot_work_is_found_when_drawn() -> None:
    # Each value fits the base; together, a long hop leaves fewer frames than the window.
    pair = SearchSpace(
        base=tiny_config({"clip.seconds": 2.0}),
        over={"feature.hop": Choice(256, 512), "window.frames": Choice(40, 160)},
        trials=8,
    )
    with pytest.raises(ConfigError, match=r"settings \d \(feature.hop=512, window.frames=160\): window.frames 160"):
        pair.check()


def test_field_of_a_varied_model_may_vary_with_it() -> None:
    varied = SearchSpace(
        base=tiny_config({"model": SimpleConfig(variant="chroma", width=1)}),
        over={"model": Choice(TimeConfig(divisors="4,8", widths="8,8")), "model.long_width": Choice(2, 4)},
        trials=4,
    )
    assert sorted(c.model.long_width for c in drawn(varied)) == [2, 4], "each once"  # type: ignore[attr-defined]


# --- drawing


@pytest.mark.parametrize("trials", [6, 12, 18])
def test_every_option_is_tried_equally_often(trials: int) -> None:
    configs = drawn(space(trials))
    assert len(configs) == trials
    assert set(Counter(c.optim.batch_size for c in configs).values()) == {trials // 3}
    assert set(Counter(c.feature.n_fft for c in configs).values()) == {trials // 2}


@pytest.mark.parametrize("trials", [8, 16, 32])
def test_every_part_of_a_range_is_tried_once(trials: int) -> None:
    configs = drawn(space(trials))
    decades = np.array([np.log10(c.optim.lr) for c in configs])
    assert sorted(np.floor((decades + 4) / 3 * trials - 1e-4).clip(0).astype(int)) == list(range(trials))
    shares = np.array([c.model.dropout for c in configs])  # type: ignore[attr-defined]
    assert sorted((shares / 0.5 * trials).astype(int)) == list(range(trials))


@pytest.mark.parametrize("fewer", [1, 2, 3, 7, 10, 16, 59])
def test_more_trials_begin_with_the_fewer(fewer: int) -> None:
    assert drawn(space(60))[:fewer] == drawn(space(fewer))


def test_settings_are_drawn_once_also_where_there_are_few() -> None:
    over = {"optim.batch_size": Choice(4, 8, 16), "window.frames": Integers(20, 22), "seed": Choice(0, 1)}
    few = SearchSpace(base=tiny_config(), over=over, trials=18)
    assert len({str(p) for p in few.points()}) == 18
    assert few.points()[:11] == dataclasses.replace(few, trials=11).points()
    assert dataclasses.replace(few, trials=100).points() == few.points(), "there are no more"
    most = {"optim.batch_size": Choice(*range(2, 300))}
    assert len(dataclasses.replace(few, over=most, trials=298).points()) == 298


def test_draws_are_the_same_every_time_and_differ_by_seed() -> None:
    assert drawn(space()) == drawn(space())
    assert drawn(space()) != drawn(space(seed=1))
    assert space().signature == space().signature
    assert space().signature != space(seed=1).signature


def test_scheduler_changes_the_sweep_but_not_what_is_drawn() -> None:
    ours = space()
    other = dataclasses.replace(ours, scheduler=Asha(grace=0.5))
    assert drawn(other) == drawn(ours) and other.signature != ours.signature


def test_data_set_is_taken_as_it_is_there() -> None:
    there = DatasetRef(name="toy", label="sound", data_signature="0123")
    ours = space(3)
    assert {c.dataset for c in ours.configs(ours.points(), ours.trial.replace({"dataset": there}))} == {there}


@pytest.mark.parametrize("u", [0.0, 0.25, 0.5, 0.999999])
def test_domains_stay_in_their_ranges(u: float) -> None:
    assert 2 <= Uniform(2, 3).at(u) <= 3
    assert 1e-4 <= LogUniform(1e-4, 1e-2).at(u) <= 1e-2
    assert Choice("a", "b").at(u) == ("a" if u < 0.5 else "b")


def test_space_that_varies_nothing_is_its_base_once() -> None:
    assert drawn(SearchSpace(base=tiny_config(), over={}, trials=2)) == [tiny_config()]


# --- grids, searches, populations


def test_grid_tries_every_combination_once() -> None:
    grid = SearchSpace(
        base=tiny_config(),
        over={
            "optim.batch_size": Choice(4, 8),
            "feature.n_fft": Choice(512, 1024),
            "optim.lr": Choice(1e-3, 1e-2, 1e-1),
        },
        search=Grid(),
        scheduler=Full(),
    )
    grid.check()
    points = grid.points()
    assert len(points) == 12 and len({str(p) for p in points}) == 12
    assert points[0] == {"optim.batch_size": 4, "feature.n_fft": 512, "optim.lr": 1e-3}
    with pytest.raises(ConfigError, match=r"optim\.lr is a range, of which a grid cannot try every value"):
        dataclasses.replace(grid, over={"optim.lr": Uniform(1e-3, 1e-2)}).check()


def test_representations_are_all_that_a_search_can_reach() -> None:
    ours = dataclasses.replace(space(2), search=Tpe(startup=2))
    assert {r.to_dict()["n_fft"] for r in ours.representations()} == {512, 1024}
    stored_once = dataclasses.replace(ours, over={"feature.normalisation": Choice("frame", "track", "none")})
    assert len(stored_once.representations()) == 1  # it is applied on reading


def population(**changes: object) -> SearchSpace:
    base = tiny_config({"optim.epochs": 8})
    made = SearchSpace(base=base, over={"optim.lr": LogUniform(1e-4, 1e-2)}, trials=8, search=Population(),
                       scheduler=Full())  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_population_varies_only_what_may_change_while_it_trains() -> None:
    population().check()
    for changes, wanted in (
        ({"over": {"model.width": Choice(1, 2)}}, "model.width cannot change while a population trains"),
        ({"scheduler": Asha()}, "its scheduler is Full()"),
        ({"search": Population(generations=3)}, "3 generations: at least 2, and optim.epochs 8 a multiple"),
        ({"search": Population(quantile=0.05)}, "a quantile of 0.05 of 8 trials"),
        ({"search": Population(step=1.0)}, "a step of 1.0"),
        ({"seeds": 2}, "seeds is 1"),
        ({"over": {"optim.lr": Choice(1e-3, 1e-2)}}, "8 members, but 2 different settings"),
        ({"base": tiny_config({"optim.epochs": 8, "optim.schedule": "cosine"})}, "optim.schedule is 'constant'"),
    ):
        with pytest.raises(ConfigError) as caught:
            population(**changes).check()  # type: ignore[arg-type]
        assert wanted in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "value", "outside"),
    [
        (Choice("a", None, 3), None, "b"),
        (Choice(TimeConfig(), SimpleConfig()), SimpleConfig(), SimpleConfig(width=3)),
        (Uniform(0.0, 0.5), 0.25, 0.6),
        (LogUniform(1e-4, 1e-2), 1e-2, 1e-5),
        (Integers(2, 5), 5, 6),
    ],
)
def test_values_become_numbers_and_back(domain: Choice | Uniform | Integers, value: object, outside: object) -> None:
    assert from_parameter(domain, to_parameter(domain, value)) == value
    assert contains(domain, value) and not contains(domain, outside)


def test_option_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="names 8 twice"):
        SearchSpace(base=tiny_config(), over={"optim.batch_size": Choice(8, 4, 8)}).check()


def test_schedulers_and_searches_are_part_of_the_identity() -> None:
    ours = space()
    kinds = [ours, dataclasses.replace(ours, scheduler=Median()), dataclasses.replace(ours, scheduler=Full()),
             dataclasses.replace(ours, search=Tpe()), dataclasses.replace(ours, seed=3),
             ours.replace_base({"optim.epochs": 9})]  # fmt: skip
    assert len({s.signature for s in kinds}) == len(kinds)


def test_more_trials_and_seeds_are_the_same_sweep() -> None:
    ours = space()
    grown = [dataclasses.replace(ours, trials=60), dataclasses.replace(ours, seeds=3)]
    assert {s.signature for s in (ours, *grown)} == {ours.signature}
    assert population(trials=12).signature != population().signature, "a population is as large as it is"
