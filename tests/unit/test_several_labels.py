"""Tracks with several labels are learned whole, or the way out is told: never the first label in silence."""

from __future__ import annotations

import dataclasses

import pytest

from search_spaces import SPACES
from search_spaces.recipes import RECIPES
from tests.builders import toy_tracks
from tonearm.core.errors import ConfigError
from tonearm.core.text import parse_fields
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps.domains import Uniform
from tonearm.tasks import MultiLabel
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.several_labels import learn_all_labels, require_one_label
from tonearm.workflows.sweep import resize
from tonearm.workflows.sweep_data import complete_features
from tonearm.workflows.training_data import TrainingRequest, prepare_data

ONE = toy_tracks()
SEVERAL = [dataclasses.replace(t, labels=(t.label, "loud")) if n == 4 else t for n, t in enumerate(ONE)]
WAY_OUT = (
    r"1 of \d+ tracks have several labels, e\.g\. .* \(.*, loud\), and task single_label would learn the first alone.*"
    r"--set task\.kind=multi_label.*--several-labels first"
)


def test_a_task_of_one_class_is_refused() -> None:
    manifest = Manifest("toys", "genre", tuple(SEVERAL))
    recipe = RECIPES["time_freq_mel"]()
    with pytest.raises(ConfigError, match=WAY_OUT):
        require_one_label(SEVERAL, [recipe.stages[0].config.task])
    with pytest.raises(ConfigError, match=WAY_OUT):
        prepare_data(TrainingRequest("r", recipe, prepared=PreparedData(manifest)))
    with pytest.raises(ConfigError, match=WAY_OUT):
        complete_features(SPACES["demo"](), manifest)
    require_one_label(ONE, [recipe.stages[0].config.task])
    changed = recipe.replace(parse_fields(["task.kind=multi_label"]))
    require_one_label(SEVERAL, [s.config.task for s in changed.stages])
    for name in ("demo", "small_collection"):
        changed_space = resize(SPACES[name](), changes=parse_fields(["task.kind=multi_label"]))
        changed_space.check()
        require_one_label(SEVERAL, [changed_space.trial.task])


@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize("name", ["demo", "small_collection"])
def test_the_demo_learns_all_labels(name: str, smoothed: bool) -> None:
    space = SPACES[name]()
    if smoothed:  # a field of one label's task
        space = dataclasses.replace(space, over={**space.over, "task.label_smoothing": Uniform(0.0, 0.2)})
    assert learn_all_labels(space, ONE) is space
    changed = learn_all_labels(space, SEVERAL)
    changed.check()
    assert changed.trial.task == MultiLabel()
    assert set(space.over) - set(changed.over) == ({"task.label_smoothing"} if smoothed else set())
    assert learn_all_labels(changed, SEVERAL) is changed
