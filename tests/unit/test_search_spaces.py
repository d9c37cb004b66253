"""All search spaces: every combination that may be drawn works, and all that should be varied is varied somewhere."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import SPACES, demo, questions
from search_spaces.recipes import RECIPES
from tests.unit.comparison_runs import answers, tracks
from tonearm.comparison.candidates import Candidate, flat_fields
from tonearm.comparison.factors import factor
from tonearm.comparison.measure import ComparisonMetric
from tonearm.core.errors import ConfigError
from tonearm.core.types import InputSpec
from tonearm.features.derived import analysed
from tonearm.models import ModelConfig, count_parameters
from tonearm.models.time_freq import LongKernelNetwork
from tonearm.sweeps import Asha, Choice, Full, Gp, Grid, Median, Population, SearchSpace, Tpe
from tonearm.sweeps.space import Values
from tonearm.training.config import TrialConfig

MOST_REPRESENTATIONS = 12
DRAWN = 200
#: What a sweep must be able to vary.
WANTED = (
    "optim.lr", "optim.batch_size", "optim.optimizer", "optim.schedule", "optim.weight_decay",
    "optim.clip_norm", "optim.sampling", "feature.n_fft", "feature.hop", "feature.n_mels", "feature.n_mfcc",
    "feature.bins_per_octave", "feature.normalisation", "clip.seconds", "window.frames", "model.divisors",
    "model.long_width", "model.separable_length", "model.widths", "model.width", "model.dropout", "task.class_weights",
    "task.label_smoothing", "augment.time_masks", "augment.freq_masks", "augment.gain_db", "augment.shift_share",
    "augment.mixup_alpha",
)  # fmt: skip
#: Fields of models that are no choice: another representation's layers, and members, which are trained before.
FIXED = {"variant", "time", "freq", "rnn", "weights", "embedding_dim"}


@cache
def space(name: str) -> SearchSpace:
    return SPACES[name]()


def points(made: SearchSpace) -> list[Values]:
    """All of a grid, many of any other space."""
    return made.points() if isinstance(made.search, Grid) else made.draw(DRAWN)


@cache
def drawn(name: str) -> tuple[TrialConfig, ...]:
    return tuple(space(name).configs(points(space(name))))


@cache
def varied() -> dict[str, set[str]]:
    """Every field to the spaces in which it takes several values, those within configs that are chosen included."""
    found: dict[str, set[str]] = {}
    for name in SPACES:
        values: dict[str, set[str]] = {}
        for config in drawn(name):
            for path, value in config.flatten().items():
                values.setdefault(path, set()).add(repr(value))
        for path, several in values.items():
            if len(several) > 1:
                found.setdefault(path, set()).add(name)
    return found


@pytest.mark.parametrize("name", list(SPACES))
def test_every_combination_works(name: str) -> None:
    made = space(name)
    made.check()
    configs = drawn(name)
    assert len({c.signature() for c in configs}) == len(configs) > 1


@pytest.mark.parametrize("name", list(SPACES))
def test_every_option_may_be_drawn(name: str) -> None:
    made = space(name)
    for path, domain in made.over.items():
        if isinstance(domain, Choice):
            assert all(any(p[path] == option for p in points(made)) for option in domain.options), path


@pytest.mark.parametrize("name", list(SPACES))
def test_input_is_extracted_in_few_ways(name: str) -> None:
    made = space(name)
    own = {(r, c.clip) for c in drawn(name) for r in c.representations.values()}
    assert len({(analysed(r).store_name(), clip) for r, clip in own}) <= MOST_REPRESENTATIONS
    assert {r.store_name() for r, _ in own} <= {r.store_name() for r in made.representations()}


@pytest.mark.parametrize("name", list(SPACES))
def test_track_that_is_long_enough_for_the_base_is_for_every_trial(name: str) -> None:
    assert max(c.min_seconds for c in drawn(name)) <= space(name).trial.min_seconds


@pytest.mark.parametrize("name", list(SPACES))
def test_function_says_what_it_varies(name: str) -> None:
    first = (SPACES[name].__doc__ or "").split("\n")[0]
    assert len(first) > 40 and first.endswith((".", "?")), first


def test_names_are_those_of_the_recipes() -> None:
    """But of baselines, which have no network, of means and of what is composed, whose members are swept, and of the
    networks of tables 5 and 6 of the thesis, each table of which is one space. small_collection sweeps Time."""
    tables = {n for n in RECIPES if n.startswith(("multi_label_", "embedding_"))}
    composed = {"artist_recommender", "small_collection", "time_augmented"}
    single = {n for n in RECIPES if not RECIPES[n]().ensemble and has_network(n)} - tables - composed
    assert {*single, "multi_label_networks", "embedding_networks"} <= set(SPACES)
    for name in single:
        own, recipe = space(name).trial, RECIPES[name]().stages[-1].config
        assert isinstance(recipe, TrialConfig)
        assert (own.model, own.task, own.feature.kind, own.dataset) == (
            recipe.model, recipe.task, recipe.feature.kind, recipe.dataset
        )  # fmt: skip
    trained = {(c.model.kind, c.task.kind) for name in SPACES for c in drawn(name)}
    for name in set(RECIPES) - single - composed:
        configs = [s.config for s in RECIPES[name]().results()]
        assert {(c.model.kind, c.task.kind) for c in configs if isinstance(c, TrialConfig)} <= trained, name


@pytest.mark.parametrize(("package", "table"), [("search_spaces", "SPACES"), ("search_spaces.recipes", "RECIPES")])
def test_a_module_without_spaces_is_not_left_out_in_silence(
    package: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"forgotten_{table.lower()}"
    (tmp_path / f"{name}.py").write_text("SPACE = {}\n")
    place = str(importlib.import_module(package).__file__)
    spec = importlib.util.spec_from_file_location(package, place, submodule_search_locations=[str(tmp_path)])
    assert spec and spec.loader
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, package, again)
    with pytest.raises(ImportError, match=f"{package}.{name} has no {table}: end it with {table} = "):
        spec.loader.exec_module(again)
    del sys.modules[f"{package}.{name}"]


def has_network(name: str) -> bool:
    return isinstance(RECIPES[name]().stages[-1].config, TrialConfig)


def test_stages_before_the_varied_one_are_the_recipes_own() -> None:
    for name in ("time_freq_mel", "genre_ensemble", "recommendation_all", "lyrics"):
        assert space(name).upstream_stages == RECIPES[name]().stages[:-1]


def test_what_becomes_data_of_others_is_trained_once_and_members_with_each_seed() -> None:
    audio, stacked = SPACES["recommendation_audio"](), SPACES["time_freq_mel"]()
    assert audio.data_stages() == {stage.name for stage in audio.upstream_stages} >= {"artist_table"}
    assert stacked.data_stages() == set() and {stage.name for stage in stacked.upstream_stages} == {
        "time_mel",
        "freq_mel",
    }
    again = dataclasses.replace(stacked, seeds=2)
    assert again.signature == stacked.signature, "one sweep, with more seeds"


@pytest.mark.parametrize("kind", [kind for kind in ModelConfig.registry if not ModelConfig.registry[kind].composed])
def test_every_model_and_its_kernels_widths_and_depth_are_varied(kind: str) -> None:
    configs = [(name, c.model) for name in SPACES for c in drawn(name) if c.model.kind == kind]
    assert configs, f"no space trains the model {kind!r}: add one to search_spaces that varies each of its fields"
    for field in dataclasses.fields(ModelConfig.registry[kind]):  # type: ignore[arg-type]
        if field.name not in FIXED:
            values = {getattr(model, field.name) for _, model in configs}
            assert len(values) > 1, f"no space varies {kind}.{field.name}: add it to the space that trains {kind!r}"


@pytest.mark.parametrize("path", WANTED)
def test_field_is_varied_by_some_space(path: str) -> None:
    assert path in varied()


def test_every_search_and_scheduler_is_used() -> None:
    searches = {type(space(name).search) for name in SPACES}
    assert {Grid, Tpe, Gp, Population} < searches and len(searches) == 5
    assert {type(space(name).scheduler) for name in SPACES} == {Full, Asha, Median}


@pytest.mark.parametrize("name", list(SPACES))
def test_schedules_are_judged_at_their_end(name: str) -> None:
    """A scheduler compares trials at equal epochs, at which a cosine is not yet where it leads to."""
    schedules = {(c.optim.schedule, c.optim.halve_every) for c in drawn(name)}
    assert len(schedules) == 1 or isinstance(space(name).scheduler, Full)


@pytest.mark.parametrize("name", list(SPACES))
def test_no_hop_is_varied_where_windows_are_frames(name: str) -> None:
    """Else a hop half as long would be heard for half the seconds, and credited with what that costs."""
    framed = [c for c in drawn(name) if c.window.seconds is None]
    hops = {r.hop / r.sample_rate for c in framed for r in c.representations.values() if not r.is_whole}
    assert len(hops) <= 1


@pytest.mark.parametrize("name", list(SPACES))
def test_rates_of_a_space_are_of_one_kind_of_optimiser_and_within_reach_of_its_scheduler(name: str) -> None:
    configs = drawn(name)
    assert {c.optim.optimizer for c in configs} in ({"sgd"}, {"adam"}, {"adamw"}, {"adam", "adamw"})
    rates = [c.optim.lr for c in configs]
    if isinstance(space(name).scheduler, Asha):
        assert max(rates) / min(rates) < 100 and min(space(name).scheduler.rungs) > 0.08


def test_a_small_collection_is_swept_in_hours_and_each_field_is_tried_twice_at_least() -> None:
    made = space("small_collection")
    assert made.trials >= 2 * len(made.over) and made.trials * made.trial.optim.epochs <= 400


@pytest.mark.parametrize("name", list(questions.SPACES))
def test_questions_are_grids_that_tell_a_difference_from_luck(name: str) -> None:
    made = space(name)
    assert (made.search, made.scheduler) == (Grid(), Full()) and made.seeds >= 3
    assert "tonearm compare SWEEP" in (SPACES[name].__doc__ or "")
    sides = math.prod(len(d.options) for d in made.over.values() if isinstance(d, Choice))
    assert len(drawn(name)) == sides


@pytest.mark.parametrize("name", list(SPACES))
def test_members_that_are_selected_differ_in_chance_and_sides_of_a_comparison_do_not(name: str) -> None:
    chosen = "tonearm select" in (SPACES[name].__doc__ or "") or isinstance(space(name).search, Population)
    assert space(name).seeding == ("own" if chosen or name == "demo" else "common")


def commands(name: str) -> list[tuple[str, str]]:
    """What a question's documentation tells to compare by, and within."""
    text = SPACES[name].__doc__ or ""
    return [
        (m["by"], m["within"] or "") for m in re.finditer(r"--by (?P<by>[\w.]+)(?: --within (?P<within>[\w.]+))?", text)
    ]


def test_every_question_has_a_command() -> None:
    assert all(commands(name) for name in questions.SPACES)


@pytest.mark.parametrize(("name", "by", "within"), [(n, *c) for n in questions.SPACES for c in commands(n)])
def test_documented_command_of_a_question_compares_like_with_like(name: str, by: str, within: str) -> None:
    of, rng = tracks(8, 2), np.random.default_rng(0)
    whole = [dataclasses.replace(answers(of, [rng.uniform(size=16) < 0.6], str(i)), candidate=Candidate(
        str(i), flat_fields(c), ())) for i, c in enumerate(drawn(name))]  # fmt: skip
    found = factor(whole, by, within, ComparisonMetric.of(whole[0].task))
    assert found.matched and not found.confounders
    overall = [c for c in found.contrasts if not c.within]
    sides = {side for c in overall for side in (c.first, c.second)}
    assert len(overall) == math.comb(len(sides), 2) and len(sides) > 1
    taken = {a.label for one, two in found.sides for side in (one, two) for a in side.members}
    assert taken == {a.label for a in whole}  # no candidate is without a partner
    if within:
        places = {c.within for c in found.contrasts if c.within}
        assert len(places) > 1 and len(found.contrasts) == len(overall) * (1 + len(places))


@pytest.mark.parametrize("feature", questions.kernel_shape().over["feature"].extremes(), ids=lambda f: f.kind)
def test_kernels_of_all_shapes_are_in_networks_of_one_size(feature: Any) -> None:
    inputs = feature.example_spec(questions.WINDOW.frames)
    networks = [m.for_representation(feature.kind).build(inputs, 16) for m in questions.SHAPES]
    weights = [count_parameters(n) for n in networks]
    assert max(weights) / min(weights) < 1.1
    first = [sum(layer.weight.numel() for layer in n.long) for n in networks if isinstance(n, LongKernelNetwork)]  # type: ignore[union-attr,misc]
    assert len(first) == 4 and max(first) / min(first) < 1.1
    assert len({n.plan.kernels for n in networks if isinstance(n, LongKernelNetwork)}) == 4


def test_window_of_the_questions_is_about_the_least_on_which_all_models_exist() -> None:
    cells = [(f, m) for f in questions.time_or_simple().over["feature"].extremes()
             for m in questions.time_or_simple().over["model"].extremes()]  # fmt: skip

    def all_exist(frames: int) -> bool:
        shapes = [(m.for_representation(f.kind), InputSpec(1, f.freq_bins, frames)) for f, m in cells]
        return not any(model.shape_problems(shape, 16) for model, shape in shapes)

    assert all_exist(questions.WINDOW.frames) and not all_exist(256)


def test_both_spaces_of_the_benchmark_are_of_the_same_32_trials() -> None:
    grid, asha = demo.demo_grid(), demo.demo_asha()
    assert len(grid.points()) == 32
    assert grid.configs(grid.points()) == asha.configs(asha.points())
    assert grid.signature != asha.signature and isinstance(asha.scheduler, Asha)


def test_space_on_what_does_not_fit_is_refused() -> None:
    """The ranges are close to what is possible: a step beyond is found before anything starts."""
    for name, path, value, message in (
        ("simple_mel", "feature.n_mels", 128, "longer than what is left"),
        ("freq_cqt", "model.separable_length", 13, "kernel of 13 is longer than the frequency axis of 84"),
        ("small_collection", "window.seconds", 31.0, "longer than the 646 frames of a clip of 30 s at hop 1024"),
    ):
        made = space(name)
        wider = dataclasses.replace(made, over={**made.over, path: Choice(value)})
        with pytest.raises(ConfigError, match=message):
            wider.configs(points(wider))
