"""Recipes: stages in their order, what they need of one another, and fields changed by path."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from search_spaces.recipes import RECIPES
from tests.builders import tiny_config
from tests.unit.toy_problems import AnyInput, table_config
from tonearm.core.errors import ConfigError
from tonearm.datasets.base import DatasetConfig
from tonearm.features import Mel
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.models import RnnConfig
from tonearm.tasks import Regression
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import DatasetRef
from tonearm.training.estimators import Majority
from tonearm.training.recipe import Recipe, Stage, recipe_representations


class Songs(DatasetConfig):
    """A data set with two fields of its own."""

    genre: str = "top"
    most: int = 10


class People(DatasetConfig):
    """Another one, which has the root alone in common with it."""


BASELINE = BaselineConfig(
    dataset=DatasetRef(name="d"), features=(Mel(n_mels=40),), estimator=Majority(), task=tiny_config().task
)


def stage(name: str, config: Any = None, **more: Any) -> Stage:
    return Stage(name, tiny_config() if config is None else config, **more)


def recipe(*stages: Stage, **more: Any) -> Recipe:
    return Recipe(Songs(root="here"), stages, "somebody", **more)


STACKED = recipe(
    stage("time"),
    stage("freq", tiny_config({"feature.n_mels": 33})),
    stage("joined", vectors={"time": "time", "freq": "freq"}),
)


# --- which stages there can be


def test_stages_come_after_those_that_they_need() -> None:
    assert [s.needs() for s in STACKED.stages] == [[], [], ["time", "freq"]]
    both = stage("d", members={"a": "x", "b": "x"}, vectors={"v": "y", "w": "x"})
    assert both.needs() == ["x", "y"]
    with pytest.raises(ConfigError) as caught:
        recipe(STACKED.stages[2], *STACKED.stages[:2])
    assert caught.value.problems == [
        "stage 'joined' needs 'time', which is not trained before it",
        "stage 'joined' needs 'freq', which is not trained before it",
    ]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "a recipe has at least one stage"),
        ((stage("a"), stage("a")), "stage 'a' is there twice"),
        ((stage("a", vectors={"v": "b"}), stage("b")), "stage 'a' needs 'b', which is not trained before it"),
        ((stage("a", members={"m": "a"}),), "stage 'a' needs 'a', which is not trained before it"),
        ((stage("a"), stage("b", members={"m": "elsewhere"})), "stage 'b' needs 'elsewhere'"),
    ],
)
def test_stages_that_cannot_be_are_refused_by_name(stages: tuple[Stage, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(*stages)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(stage("a", vectors={"m": "x"}), stage("a", vectors={"v": "y"}))
    assert len(caught.value.problems) == 3


def test_members_must_be_trained_as_the_network_on_top_wants_them() -> None:
    stages = RECIPES["time_freq_mel"]().stages
    top = stages[-1]
    with pytest.raises(ConfigError, match=r"needs its member 'time' as time.* on mel.*trains time\(.*widths=4,4,8"):
        RECIPES["time_freq_mel"]().replace({"time_mel.model.widths": "4,4,8"})
    with pytest.raises(ConfigError, match=r"needs its member 'freq' .* on mel\(frames=643, n_mels=128\)"):
        RECIPES["time_freq_mel"]().replace({"time_mel.feature.n_mels": 128, "time_freq_mel.feature.n_mels": 128})
    with pytest.raises(ConfigError, match="no stage trains its member 'freq'"):
        recipe(*stages[:2], dataclasses.replace(top, members={"time": "time_mel"}))
    changed = RECIPES["time_freq_mel"]().replace({"feature.n_mels": 128})
    assert [s.config.feature.n_mels for s in changed.stages] == [128] * 3


def test_stages_of_one_data_set_take_one_kind_of_clip() -> None:
    with pytest.raises(ConfigError, match=r"the stages take clips of \[2.0, 9.0\] s"):
        recipe(stage("a"), stage("b", tiny_config({"clip.seconds": 9.0})))


# --- what they come to


def test_result_is_the_last_stage_or_all_that_no_other_needs() -> None:
    assert [s.name for s in STACKED.results()] == ["joined"]
    stages = (stage("a"), stage("b", vectors={"v": "a"}), stage("c"), stage("d", vectors={"m": "c"}), stage("e"))
    assert [s.name for s in recipe(*stages).results()] == ["e"]
    assert [s.name for s in recipe(*stages, ensemble=True).results()] == ["b", "d", "e"]
    assert [s.name for s in recipe(stage("a"), ensemble=True).results()] == ["a"]


def test_other_data_leaves_the_stages_as_they_are() -> None:
    other = STACKED.on(People(root="there"))
    assert other.data == People(root="there") and STACKED.data == Songs(root="here")
    assert other == dataclasses.replace(STACKED, data=People(root="there")) and other.stages == STACKED.stages


def test_representations_are_listed_once_each() -> None:
    parts = (Mel(n_mels=50, normalisation="track"), Mel(n_mels=60))
    several = CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in zip("ab", parts, strict=True)))
    stages = [
        stage("one", tiny_config({"feature": Mel(n_mels=50)})),
        stage("two", tiny_config({"feature": several, "model": AnyInput()})),
        stage("baseline", BASELINE.replace({"clip.seconds": 2.0})),
        stage("table", table_config({})),
    ]
    assert [len(s.representations()) for s in stages] == [1, 2, 1, 0]
    found = recipe_representations(stages)
    assert sorted(r.freq_bins for r in found) == [40, 50, 60]  # normalisation is no part of what is stored
    assert [r.store_name() for r in found] == sorted(r.store_name() for r in found)
    assert recipe_representations([]) == []


# --- fields by path


def test_field_is_changed_everywhere_and_the_recipe_stays() -> None:
    changed = STACKED.replace({"optim.epochs": 2, "seed": 5})
    assert [(s.config.optim.epochs, s.config.seed) for s in changed.stages] == [(2, 5)] * 3  # type: ignore[union-attr]
    assert {s.config.optim.epochs for s in STACKED.stages} == {4}  # type: ignore[union-attr]
    assert [s.name for s in changed.stages] == ["time", "freq", "joined"]
    assert changed.stages[2].vectors == STACKED.stages[2].vectors and changed.source == "somebody"


def test_field_is_changed_in_the_stages_that_have_it() -> None:
    baseline = BASELINE.replace({"clip.seconds": 2.0})
    mixed = recipe(stage("network"), stage("baseline", baseline), stage("table", table_config({})))
    changed = mixed.replace({"optim.lr": 0.5, "feature.n_mels": 24, "seed": 7, "estimator": Majority()})
    assert [s.config.seed for s in changed.stages] == [7, 7, 7]
    assert changed.stages[1].config == baseline.replace({"seed": 7})
    first, third = changed.stages[0].config, changed.stages[2].config
    assert first == tiny_config({"optim.lr": 0.5, "feature.n_mels": 24, "seed": 7})
    assert third == table_config({"optim.lr": 0.5, "seed": 7})


def test_number_for_a_text_field_is_its_text() -> None:
    changed = RECIPES["tabular"]().replace({"model.hidden": 8})
    assert changed.stages[0].config.model.hidden == "8"
    with pytest.raises(ConfigError, match="expected int"):
        STACKED.replace({"optim.epochs": "many"})


def test_another_kind_is_put_in_every_stage_that_has_one_or_in_one() -> None:
    mixed = recipe(stage("network"), stage("baseline", BASELINE.replace({"clip.seconds": 2.0})))
    changed = mixed.replace(
        {"model.kind": "rnn", "model.dropout": 0.2, "task.kind": "regression", "task.target": "bpm"}
    )
    assert changed.stages[0].config.model == RnnConfig(dropout=0.2)  # type: ignore[union-attr]
    assert [s.config.task for s in changed.stages] == [Regression(target="bpm")] * 2
    one = mixed.replace({"baseline.task.kind": "regression", "baseline.task.target": "bpm"})
    assert [s.config.task for s in one.stages] == [mixed.stages[0].config.task, Regression(target="bpm")]
    both = mixed.replace({"network.model.kind": "rnn", "model.widths": 32})  # of one the kind, of all the field
    assert both.stages[0].config.model == RnnConfig(widths="32")  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="RnnConfig has no field 'units'"):
        mixed.replace({"model.units": 3, "model.kind": "rnn"})


def test_another_kind_drops_the_source_s_figure_and_is_refused_where_the_stages_differ() -> None:
    simple = RECIPES["simple_mel"]()
    assert simple.published and simple.replace({"optim.lr": 0.1}).published
    assert not simple.replace({"model.kind": "time"}).published
    assert simple.replace({"model.kind": "simple"}) == simple
    audio = RECIPES["recommendation_audio"]()
    joined = {"model.joined": "64,32", "mel_time.model.kind": "simple"}  # only the other stage has the field
    assert audio.replace(joined).stages[-1].config == audio.replace({"model.joined": "64,32"}).stages[-1].config
    with pytest.raises(ConfigError, match=r"the stages have time \(time_mel\), freq \(freq_mel\): name one"):
        RECIPES["time_freq_avg_mel"]().replace({"model.kind": "rnn"})
    with pytest.raises(ConfigError, match=r"name one of them, as in artist_table\.task\.kind"):
        RECIPES["lyrics"]().replace({"task.kind": "regression", "task.target": "year"})
    with pytest.raises(ConfigError, match="stage 'time_freq_mel' has members time, freq, which a rnn does not take"):
        RECIPES["time_freq_mel"]().replace({"time_freq_mel.model.kind": "rnn"})


def test_field_of_one_stage_is_changed_there_alone() -> None:
    changed = STACKED.replace({"freq.optim.epochs": 9, "time.seed": 3})
    assert [s.config.optim.epochs for s in changed.stages] == [4, 9, 4]  # type: ignore[union-attr]
    assert [s.config.seed for s in changed.stages] == [3, 0, 0]


def test_general_and_particular_changes_go_together() -> None:
    changed = STACKED.replace({"optim.epochs": 2, "freq.optim.epochs": 9})
    assert [s.config.optim.epochs for s in changed.stages] == [2, 9, 2]  # type: ignore[union-attr]
    turned = STACKED.replace({"freq.optim.epochs": 9, "optim.epochs": 2})
    assert [s.config.optim.epochs for s in turned.stages] == [2, 2, 2]  # type: ignore[union-attr]  # the later counts


def test_changes_that_only_fit_together_are_made_together() -> None:
    # Windows of 600 frames need clips of 7 s: one by one, in the orders given here, the first change would not fit.
    changed = STACKED.replace({"window.frames": 600, "clip.seconds": 7.0})
    assert [s.config.window.frames for s in changed.stages] == [600] * 3  # type: ignore[union-attr]
    back = changed.replace({"clip.seconds": 2.0, "window.frames": 40})
    assert back == STACKED


def test_field_of_the_data_is_changed_in_every_data_set_that_has_it() -> None:
    stages = (stage("people", data=People(root="here")), stage("songs"), stage("more", data=Songs(most=3)))
    own = recipe(*stages)
    moved = own.replace({"data.root": "there", "data.genre": "all"})
    assert moved.data == Songs(root="there", genre="all")
    assert [s.data for s in moved.stages] == [People(root="there"), None, Songs(root="there", genre="all", most=3)]
    assert [s.config for s in moved.stages] == [s.config for s in own.stages]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim.epoch": 2}, r"no field 'epoch'\. Did you mean 'epochs'\?"),
        ({"freq.optim.epoch": 2}, r"no field 'epoch'\. Did you mean 'epochs'\?"),
        ({"elsewhere.optim.epochs": 2}, r"no field 'elsewhere'"),
        ({"data.gnre": "x"}, r"Songs has no field 'gnre'\. Did you mean 'genre'\?"),
        ({"data": "x"}, r"Songs has no field ''"),
        ({"freq": 3}, r"no field 'freq'"),
        ({"optim.lr": -1.0}, r"optim\.lr is -1\.0"),
        ({"joined.optim.lr": "fast"}, r"'fast' is a str, expected float"),
    ],
)
def test_path_that_leads_nowhere_and_value_that_does_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        STACKED.replace(changes)
