"""A recipe: what is trained, on which data, in which order; the systems of the literature are recipes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.plugins import call_by_place
from tonearm.core.registry import Namespace, Registry
from tonearm.datasets.base import DatasetConfig
from tonearm.features.base import Representation
from tonearm.features.metadata import CompositeFeature, TableFeature
from tonearm.models.cold_start import JOINED, ColdStartConfig
from tonearm.models.stacked import GenreEnsembleConfig, TimeFreqConfig
from tonearm.training.baselines import BaselineConfig
from tonearm.training.composed import composed
from tonearm.training.config import TrialConfig

StageConfig = TrialConfig | BaselineConfig


@dataclass(frozen=True)
class Stage:
    """One training of a recipe.

    Attributes
    ----------
    name
        Within the recipe.
    config
        What is trained; its data set is filled in when the data is there.
    members
        Members of the network to the stages that train them.
    vectors
        New metadata to the stages whose predictions they are: a vector a track, made by the trained model.
    data
        Another data set than the recipe's.
    optional
        Whether it is left out, with what would be made of it, where the data set has no such input.
    """

    name: str
    config: StageConfig
    members: Mapping[str, str] = field(default_factory=dict)
    vectors: Mapping[str, str] = field(default_factory=dict)
    data: DatasetConfig | None = None
    optional: bool = False

    def needs(self) -> list[str]:
        """The stages that must be finished before this one."""
        return list(dict.fromkeys([*self.members.values(), *self.vectors.values()]))

    def representations(self) -> list[Representation]:
        """What must be extracted for it."""
        if isinstance(self.config, BaselineConfig):
            return list(self.config.features)
        return list(self.config.representations.values())


@dataclass(frozen=True)
class Recipe:
    """Stages, of which the last is the result.

    Attributes
    ----------
    data
        The data set that the source used; any other that gives such labels will do.
    stages
        In the order in which they are trained.
    source
        Who described it, and where.
    published
        The source's own figure, for comparison; "" where it gave none.
    ensemble
        Whether the result is the mean of all stages that no other stage needs, instead of the last one.
    weighted
        Whether this mean is one of calibrated members, weighted by their mixture's loss on the validation split; else
        all count alike.
    folds
        Of the cross-validation that the source made; 0 for one split.
    grouped
        Whether an artist stays on one side; some sources let them cross.
    fractions
        Of training, validation and test, where the data set has no published split.
    """

    data: DatasetConfig
    stages: tuple[Stage, ...]
    source: str
    published: str = ""
    ensemble: bool = False
    weighted: bool = False
    folds: int = 0
    grouped: bool = True
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)

    def __post_init__(self) -> None:
        known: set[str] = set()
        found = []
        by_name = {s.name: s for s in self.stages}
        if any(s.members for s in self.stages):
            object.__setattr__(self, "stages", tuple(_composed(s, by_name) for s in self.stages))
        for stage in self.stages:
            found += _member_problems(stage, by_name)
            found += [f"stage {stage.name!r} needs {name!r}, which is not trained before it" for name in stage.needs()
                      if name not in known]  # fmt: skip
            if stage.name in known:
                found.append(f"stage {stage.name!r} is there twice")
            known.add(stage.name)
        if not self.stages:
            found.append("a recipe has at least one stage")
        clips = {s.config.clip for s in self.stages if s.representations()}
        if len(clips) > 1:
            found.append(f"the stages take clips of {sorted(c.seconds for c in clips)} s: one data set has one kind")
        if found:
            raise ConfigError(found)

    def results(self) -> list[Stage]:
        """The stages whose predictions are the recipe's result."""
        needed = {name for stage in self.stages for name in stage.needs()}
        return [s for s in self.stages if s.name not in needed] if self.ensemble else [self.stages[-1]]

    def replace(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with fields changed by dotted path.

        ``data.FIELD`` is a field of the data set; ``STAGE.FIELD`` of one stage, e.g. ``time.optim.epochs``; any other
        path is changed in every stage that has it, e.g. ``optim.epochs``. All changes are made at once, so that their
        order plays no part, but of two for the same field the later one counts. ``model.kind`` or ``task.kind`` puts
        another model or task there, with the fields that are changed with it; then the source's figure is dropped.

        Raises
        ------
        ConfigError
            If a path leads nowhere, or a value does not fit.
        """
        data, stages = self.data, list(self.stages)
        own: dict[str, dict[str, Any]] = {s.name: {} for s in stages}
        kinds: dict[str, dict[str, Any]] = {s.name: {} for s in stages}  # where a stage gets another kind, and which
        for path, value in sorted(changes.items(), key=lambda change: not change[0].endswith(".kind")):
            head, _, rest = path.partition(".")
            if head == "data":
                data = data.replace({rest: value})
                stages = [dataclasses.replace(s, data=s.data and _where_it_fits(s.data, rest, value)) for s in stages]
                continue
            named = [s for s in stages if s.name == head and rest]
            reached = named or [s for s in stages if _has(s.config, path, kinds[s.name])]
            inner = rest if named else path
            if inner.endswith(".kind") and reached:
                _require_one_kind(inner, reached)
            # A path that leads nowhere is left to a stage to refuse, which names the fields that there are.
            for stage in reached or [next((s for s in stages if _above(path, kinds[s.name])), stages[-1])]:
                own[stage.name][inner] = value
                place = inner.removesuffix(".kind")
                if place != inner and _has(stage.config, inner) and value != stage.config.at(place).kind:
                    kinds[stage.name][place] = value
        stages = [dataclasses.replace(s, config=s.config.replace(own[s.name])) for s in stages]
        published = "" if any(kinds.values()) else self.published
        return dataclasses.replace(self, data=data, stages=tuple(stages), published=published)

    def without(self, names: Collection[str]) -> Recipe:
        """The recipe without some stages, and without the inputs that others would make of them."""
        stages = [_without(s, names) for s in self.stages if s.name not in names]
        return dataclasses.replace(self, stages=tuple(stages)) if names else self

    def on(self, data: DatasetConfig) -> Recipe:
        """The same stages on another data set."""
        return dataclasses.replace(self, data=data)


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")
"""Functions without arguments. ``search_spaces`` adds ours, a module of one's own may add others."""
recipes = Namespace(RECIPES)


def find_recipe(name: str) -> Recipe:
    """A recipe by its registered name, or by its place, ``package.module:function``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    return call_by_place("recipe", name, Recipe) if ":" in name else RECIPES[name]()


def _composed(stage: Stage, by_name: Mapping[str, Stage]) -> Stage:
    """The stage with what its config takes over from the stages that train its members."""
    found = {name: by_name[s].config for name, s in stage.members.items() if s in by_name}
    members = {name: config for name, config in found.items() if isinstance(config, TrialConfig)}
    config = composed(stage.config, members)
    return stage if config == stage.config else dataclasses.replace(stage, config=config)


def _without(stage: Stage, names: Collection[str]) -> Stage:
    lost = {column for column, source in stage.vectors.items() if source in names}
    config = stage.config
    if lost and isinstance(config, TrialConfig) and isinstance(config.feature, CompositeFeature):
        kept = tuple(p for p in config.feature.inputs
                     if not (isinstance(p.feature, TableFeature) and lost & set(p.feature.columns)))  # fmt: skip
        config = config.replace({"feature": CompositeFeature(inputs=kept)})
    vectors = {column: source for column, source in stage.vectors.items() if column not in lost}
    return dataclasses.replace(stage, config=config, vectors=vectors)


def _member_problems(stage: Stage, by_name: Mapping[str, Stage]) -> list[str]:
    """Members trained with another model or input than the stacked network needs."""
    if not isinstance(stage.config, TrialConfig):
        return [f"stage {stage.name!r} is no network: it has no members"] if stage.members else []
    model, parts = stage.config.built_model, stage.config.feature.named_inputs()
    if isinstance(model, ColdStartConfig):
        return [f"stage {stage.name!r}: no stage trains its member {name!r}" for name in {**stage.members, JOINED: ""}
                if stage.members.get(name) not in by_name]  # fmt: skip
    if not isinstance(model, TimeFreqConfig | GenreEnsembleConfig):
        members = f"stage {stage.name!r} has members {', '.join(stage.members)}, which a {model.kind} does not take"
        return [f"{members}: train it by a recipe without members"] if stage.members else []
    found = []
    for name, spec in model.member_specs(stage.config.inputs).items():
        own = by_name[stage.members[name]].config if stage.members.get(name) in by_name else None
        if not isinstance(own, TrialConfig):
            found.append(f"stage {stage.name!r}: no stage trains its member {name!r}")
        elif own.built_model != spec.config or own.feature != parts[spec.reads or ""]:
            path = f", {stage.name}.model.{name}.FIELD as well" if _has(stage.config, f"model.{name}") else ""
            found.append(
                f"stage {stage.name!r} needs its member {name!r} as {spec.config.brief()} on "
                f"{parts[spec.reads or ''].brief()}, stage {stage.members[name]!r} trains {own.built_model.brief()} "
                f"on {own.feature.brief()}: change both alike{path}"
            )
    return found


def _above(path: str, places: Collection[str]) -> str:
    """Which of the places a path lies below; "" if none."""
    return next((place for place in places if path.startswith(f"{place}.")), "")


def _has(config: Config, path: str, kinds: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Whether a config has a field, where ``kinds`` puts other kinds at some places; or has a kind at all."""
    place = _above(path, kinds)
    try:
        if path.endswith(".kind"):
            return isinstance(config.at(path.removesuffix(".kind")), Config)
        if not place:
            config.at(path)
            return True
        family = config.at(place).registry
        return path[len(place) + 1 :].split(".")[0] in {f.name for f in dataclasses.fields(family[kinds[place]])}
    except ConfigError:
        return False


def _require_one_kind(path: str, stages: Sequence[Stage]) -> None:
    """Refuse to put one kind where the stages have different ones, such as Time and Freq."""
    now = {s.name: getattr(s.config.at(path.removesuffix(".kind")), "kind", "") for s in stages}
    if len(set(now.values())) > 1:
        raise ConfigError(
            f"{path}: the stages have {', '.join(f'{kind} ({name})' for name, kind in now.items())}: "
            f"name one of them, as in {stages[0].name}.{path}"
        )


def _where_it_fits(data: DatasetConfig, name: str, value: Any) -> DatasetConfig:
    return data.replace({name: value}) if _has(data, name) else data


def recipe_representations(stages: Sequence[Stage]) -> list[Representation]:
    """The distinct representations that must be extracted, by store."""
    distinct = {r.store_name(): r for stage in stages for r in stage.representations()}
    return [distinct[name] for name in sorted(distinct)]
