"""Every search space in its smallest form: its first trial, on tiny data, for one epoch, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import tonearm.workflows.prepare as prepare_module
import tonearm.workflows.prepare_catalogue as catalogue_module
from search_spaces import SPACES
from tests.integration.test_recipes import WITH_FACTORS, check_stage, kind_of, settings, stand_in_for_musicnn
from tests.tiny_data import LAYOUTS, Recording, make_recordings, write_factors
from tonearm.audio.windows import ClipConfig
from tonearm.core import home
from tonearm.core.text import parse_fields
from tonearm.datasets import FolderConfig
from tonearm.features.base import Representation
from tonearm.pipelines import extract, workers
from tonearm.sweeps import SearchSpace
from tonearm.training.config import TrialConfig
from tonearm.training.recipe import Recipe, Stage
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, data_of_stage
from tonearm.workflows.prepare import choose_dataset, make_catalogue
from tonearm.workflows.prepare_catalogue import prepare_catalogue
from tonearm.workflows.training_data import TrainingRequest, prepare_data

pytestmark = pytest.mark.integration

#: Where the first trial's kernels reach further than those of the recipe, more of the input.
LONGER: dict[str, dict[str, Any]] = {
    "time": {"window.frames": 200},
    "temporal_pooling": {"window.frames": 260},
    "wav2d": {"window.frames": 61440},
}


def in_this_process(items: Sequence[dict[str, Any]], stage: workers.WorkerStage) -> Iterator[dict[str, Any]]:
    """What Ray's workers do, done here: :func:`tonearm.pipelines.workers.run_workers` without Ray."""
    answer = stage.worker(**stage.arguments)({name: [item[name] for item in items] for name in items[0]})
    yield from (dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True))


def small(space: SearchSpace) -> Recipe:
    """The space's base with the first trial as its last stage, as small as ``test_recipes`` makes recipes."""
    trial = space.configs(space.points()[:1])[0]
    if isinstance(space.base, Recipe):
        last = dataclasses.replace(space.base.stages[-1], config=trial)
        recipe = dataclasses.replace(space.base, stages=(*space.upstream_stages, last))
    else:
        recipe = Recipe(FolderConfig(), (Stage("trial", trial),), "")
    longer = LONGER.get(kind_of(trial), {}).items()
    return recipe.replace(
        {**parse_fields(settings(recipe)), **{f"{recipe.stages[-1].name}.{path}": value for path, value in longer}}
    )


def own_name(recipe: Recipe) -> str:
    """Of the data set, where the one with labels has the folder's name."""
    return "tiny-folder-numbers" if recipe.data == FolderConfig(root=recipe.data.root, label="") else ""


@dataclass
class Shop:
    """A home that all spaces share: each representation is extracted once, each trial trained once."""

    root: Path
    recordings: Sequence[Recording]
    roots: dict[str, Path] = field(default_factory=dict)

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("TONEARM_HOME", str(self.root / "home"))
        patch.setenv("TONEARM_CACHE", str(self.root / "cache"))
        patch.setattr(extract, "run_workers", in_this_process)
        patch.setattr(prepare_module, "start_ray", lambda: None)
        patch.setattr(catalogue_module, "start_ray", lambda: None)

    def data(self, kind: str) -> str:
        """The folder of a data set, written when it is first asked for."""
        if kind not in self.roots:
            self.roots[kind] = self.root / f"tiny-{kind}"
            LAYOUTS[kind](self.roots[kind], self.recordings)
        return str(self.roots[kind])

    def request(self, name: str) -> TrainingRequest:
        recipe = small(SPACES[name]())
        recipe = recipe.replace({"data.root": self.data(recipe.data.kind)})
        metadata = str(write_factors(self.root / "factors.parquet", self.recordings)) if name in WITH_FACTORS else ""
        return TrainingRequest(name, recipe, own_name(recipe), grouped=recipe.grouped, metadata=metadata)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("spaces"), make_recordings())
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        stand_in_for_musicnn(made.root)
        extract_all(made)
        yield made


def extract_all(made: Shop) -> None:
    """What all spaces need in one go for each kind of clip: each file is decoded once."""
    wanted: dict[ClipConfig, dict[str, Representation]] = {}
    for name in SPACES:
        for stage in small(SPACES[name]()).stages:
            wanted.setdefault(stage.config.clip, {}).update({r.store_name(): r for r in stage.representations()})
    catalogue = make_catalogue(choose_dataset("folder", made.data("folder")), "all")
    for clip, representations in wanted.items():
        if representations:
            prepare_catalogue(catalogue, list(representations.values()), clip, min_seconds=1.0)


@pytest.fixture(autouse=True)
def at_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared home."""
    shop.enter(monkeypatch)


@pytest.mark.parametrize("name", list(SPACES))
def test_first_trial_of_a_space_trains(name: str, shop: Shop) -> None:
    request = shop.request(name)
    places = StagePaths(home.features_home(), home.trials_home(), home.node_cache())
    finished: dict[str, FinishedStage] = {}
    own = request.recipe.data.signature()
    manifests = prepare_data(request)
    for stage in request.recipe.stages:
        run = StageRun(stage, data_of_stage(stage, manifests[own], manifests), finished, places)
        history = list(run.run())
        finished[stage.name] = run.finish()

    done = finished[request.recipe.stages[-1].name]
    check_stage(done)
    assert isinstance(done.config, TrialConfig)
    assert len(history) == 1 + len(done.config.optim.rounds)
    # What was made small is another value, the settings that were drawn are the others.
    space = SPACES[name]()
    trial = space.configs(space.points()[:1])[0]
    drawn = [path for path in space.over if path.startswith(("optim.", "augment.", "model.dropout", "task.loss"))]
    assert [done.config.at(path) for path in drawn] == [trial.at(path) for path in drawn]
    assert {m.name for m in done.config.members} == set(request.recipe.stages[-1].members)
