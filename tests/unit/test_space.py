"""Search spaces: everything wrong is found at once, draws are balanced and the same every time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.builders import tiny_config
from tonearm.core.errors import ConfigError
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps import Choice, LogUniform, SearchSpace, Uniform
from tonearm.sweeps.space import Asha
from tonearm.training.config import DatasetRef


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
    ):
        assert wanted in text, wanted
    with pytest.raises(ConfigError):
        wrong.sample()
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
    pair.check()
    with pytest.raises(ConfigError, match=r"trial \d \(feature.hop=512, window.frames=160\): window.frames 160"):
        pair.sample()


def test_field_of_a_varied_model_may_vary_with_it() -> None:
    varied = SearchSpace(
        base=tiny_config({"model": SimpleConfig(variant="chroma", width=1)}),
        over={"model": Choice(TimeConfig(divisors="4,8", widths="8,8")), "model.long_width": Choice(2, 4)},
        trials=4,
    )
    assert sorted(c.model.long_width for c in varied.sample()) == [2, 2, 4, 4]  # type: ignore[attr-defined]


# --- drawing


@pytest.mark.parametrize("trials", [6, 12, 18])
def test_every_option_is_tried_equally_often(trials: int) -> None:
    configs = space(trials).sample()
    assert len(configs) == trials
    assert set(Counter(c.optim.batch_size for c in configs).values()) == {trials // 3}
    assert set(Counter(c.feature.n_fft for c in configs).values()) == {trials // 2}


def test_every_part_of_a_range_is_tried_once() -> None:
    configs = space(12).sample()
    decades = np.array([np.log10(c.optim.lr) for c in configs])
    assert sorted(np.floor((decades + 4) / 3 * 12 - 1e-4).clip(0).astype(int)) == list(range(12))
    shares = np.array([c.model.dropout for c in configs])  # type: ignore[attr-defined]
    assert sorted((shares / 0.5 * 12).astype(int)) == list(range(12))


def test_draws_are_the_same_every_time_and_differ_by_seed() -> None:
    assert space().sample() == space().sample()
    assert space().sample() != space(seed=1).sample()
    assert space().signature(space().sample()) == space().signature(space().sample())
    assert space().signature(space().sample()) != space(seed=1).signature(space(seed=1).sample())


def test_order_of_the_fields_does_not_change_the_seed_but_scheduler_changes_the_sweep() -> None:
    ours, configs = space(), space().sample()
    other = SearchSpace(base=ours.base, over=ours.over, trials=12, scheduler=Asha(grace=5))
    assert other.sample() == configs and other.signature(configs) != ours.signature(configs)


def test_data_set_is_taken_as_it_is_there() -> None:
    there = DatasetRef(name="toy", label="sound", data_signature="0123")
    assert {c.dataset for c in space(3).sample(there)} == {there}


@pytest.mark.parametrize("u", [0.0, 0.25, 0.5, 0.999999])
def test_domains_stay_in_their_ranges(u: float) -> None:
    assert 2 <= Uniform(2, 3).at(u) < 3
    assert 1e-4 <= LogUniform(1e-4, 1e-2).at(u) <= 1e-2
    assert Choice("a", "b").at(u) == ("a" if u < 0.5 else "b")


def test_space_that_varies_nothing_repeats_the_base() -> None:
    assert SearchSpace(base=tiny_config(), over={}, trials=2).sample() == [tiny_config()] * 2
