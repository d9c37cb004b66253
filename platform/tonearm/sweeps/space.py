"""Search spaces as data, checked field by field before anything starts."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tonearm.audio.windows import ClipConfig
from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.plugins import modules_of
from tonearm.core.seeding import derive_seed, digest
from tonearm.features.base import Representation
from tonearm.sweeps.domains import Choice, Domain
from tonearm.sweeps.drawing import draw
from tonearm.sweeps.strategies import Asha, Grid, Population, Random, Scheduler, Search
from tonearm.training.config import DatasetRef, TrialConfig
from tonearm.training.recipe import Recipe, Stage

Values = dict[str, Any]
MAX_EXTRACTIONS = 200
WHILE_TRAINING = ("optim.lr", "optim.weight_decay", "optim.momentum", "optim.clip_norm", "optim.batch_size",
                  "augment", "model.dropout", "task.label_smoothing", "window.train_per_track")  # fmt: skip
"""What may change in the middle of a training: weights and the optimiser's state keep their shapes."""


@dataclass(frozen=True)
class SearchSpace:
    """A base and the fields that vary.

    Attributes
    ----------
    base
        The trial that all others are made from; or a recipe, whose last stage is varied, and whose other stages (the
        members of a stacked network, say) are trained before, once with each seed.
    over
        Dotted field to its domain: ``{"optim.lr": LogUniform(1e-4, 1e-2)}``. A field named first may bring the
        fields that later ones vary (a ``model``, then its ``dropout``). Fields of the input (``feature``, ``clip``) are
        varied by a ``Choice``, since each value is extracted once.
    trials
        How many configurations are tried, or all where there are fewer; a grid tries all.
    search
        How they are chosen.
    scheduler
        When to stop poor trials.
    seeds
        How often each configuration is trained: a difference is compared with the variance between seeds.
    seed
        Of the search.
    seeding
        ``"common"``: every configuration has the seeds 0, 1, ...: one order of windows, and of equal networks the same
        first weights, so that a comparison is of the settings alone. ``"own"``: each has seeds of its own, which follow
        from its settings: trials that differ by chance, too, are better members of an ensemble.
    """

    base: TrialConfig | Recipe
    over: Mapping[str, Domain]
    trials: int = 9
    search: Search = Random()  # noqa: RUF009  frozen, as all strategies are
    scheduler: Scheduler = Asha()  # noqa: RUF009
    seeds: int = 1
    seed: int = 0
    seeding: Literal["common", "own"] = "common"

    @property
    def trial(self) -> TrialConfig:
        """The trial that is varied.

        Raises
        ------
        ConfigError
            If the recipe ends in a baseline, which has no fields to sweep, or is a mean of several stages.
        """
        if isinstance(self.base, TrialConfig):
            return self.base
        if self.base.ensemble:
            raise ConfigError("a recipe that averages its stages has no stage to vary: sweep its members, then select")
        config = self.base.stages[-1].config
        if not isinstance(config, TrialConfig):
            raise ConfigError(f"stage {self.base.stages[-1].name!r} is a baseline: a sweep varies a network")
        return config

    @property
    def upstream_stages(self) -> tuple[Stage, ...]:
        """The stages that are trained before the sweep, with each seed but for :meth:`data_stages`."""
        return () if isinstance(self.base, TrialConfig) else self.base.stages[:-1]

    def data_stages(self) -> set[str]:
        """The stages before whose vectors are inputs or targets of other stages, and what these need. They are trained
        once, whatever the seeds: vectors belong to the data, which all trials of a sweep share."""
        if isinstance(self.base, TrialConfig):
            return set()
        by_name = {stage.name: stage for stage in self.base.stages}
        ahead = [source for stage in self.base.stages for source in stage.vectors.values()]
        found: set[str] = set()
        while ahead:
            name = ahead.pop()
            found.add(name)
            ahead += by_name[name].needs()
        return found

    def replace_base(self, changes: Mapping[str, Any]) -> SearchSpace:
        """The space with another value of some fields that it does not vary, e.g. ``{"optim.epochs": 4}``."""
        return dataclasses.replace(self, base=self.base.replace(changes))

    def check(self) -> None:
        """Check every field and every option against the base, and all combinations that are drawn beforehand.

        Raises
        ------
        ConfigError
            With all problems: unknown fields, empty choices, ranges that do not fit, impossible combinations; or a
            class that no worker could import.
        """
        modules_of(self)
        found = self._own_problems()
        for path, domain in self.over.items():
            problem = domain.problem()
            if path.endswith(".kind"):
                place = path.removesuffix(".kind")
                problem = f"a kind alone has no fields: vary {place!r} over configs, as in Choice(TimeConfig(), ...)"
            if problem:
                found.append(f"{path}: {problem}")
                continue
            for value in domain.extremes():
                found += [f"{path} = {brief(value)}: {p}" for p in self._problems_of(path, value)]
        if found:
            raise ConfigError(found)
        primary = sorted({config.task.primary for config in self.configs(self.points())})
        if len(primary) > 1:
            varied = [path for path in self.over if path.split(".")[0] == "task"]
            raise ConfigError(f"{', '.join(varied)} varies the primary metric ({', '.join(primary)}): trials are "
                              "ranked by one metric, so give all values the same task.primary")  # fmt: skip

    def _own_problems(self) -> list[str]:
        least = {"trials": (self.trials, "draw at least one"), "seeds": (self.seeds, "train each at least once")}
        found = [f"{name} is {value}: {fix}" for name, (value, fix) in least.items() if value < 1]
        found += self.scheduler.problems()
        if self.seeding not in ("common", "own"):
            found.append(f"seeding is {self.seeding!r}: 'common' or 'own'")
        for path, domain in self.over.items():
            if _is_input(path) and not isinstance(domain, Choice):
                found.append(f"{path} is varied by a range: every trial would extract a store of its own, use Choice")
            if isinstance(self.search, Grid) and not isinstance(domain, Choice):
                found.append(f"{path} is a range, of which a grid cannot try every value: use Choice, or Random()")
            if isinstance(self.search, Population) and not path.startswith(WHILE_TRAINING):
                found.append(f"{path} cannot change while a population trains: vary {', '.join(WHILE_TRAINING)}")
        if isinstance(self.search, Population):
            found += self.search.problems(self.trial.optim, self.trials, self.seeds, self.scheduler)
            usable = not any(domain.problem() for domain in self.over.values())
            if usable and 0 < (distinct := len(self.draw(self.trials))) < self.trials:
                found.append(f"{self.trials} members, but {distinct} different settings: equal members are one trial")
        return found

    def _problems_of(self, path: str, value: Any) -> list[str]:
        """What a value does to the base, or to each of the options of a field that brings the value's field."""
        above = next((p for p in self.over if path.startswith(f"{p}.")), None)
        found: dict[str, None] = {}
        for option in self.over[above].extremes() if above else [None]:
            try:
                self.trial.replace({above: option, path: value} if above else {path: value})
            except ConfigError as error:
                found |= dict.fromkeys(error.problems)
        return list(found)

    def points(self) -> list[Values]:
        """The settings that are known beforehand: all of a grid, those that are drawn, or what a search starts with."""
        if isinstance(self.search, Grid):
            domains = [d.options for d in self.over.values() if isinstance(d, Choice)]
            return [dict(zip(self.over, values, strict=True)) for values in itertools.product(*domains)]
        if isinstance(self.search, Random | Population):
            return self.draw(self.trials)
        return self.draw(min(self.trials, self.search.startup))

    def draw(self, count: int) -> list[Values]:
        """So many settings of a sequence that grows (:func:`tonearm.sweeps.drawing.draw`); none twice."""
        return draw(self.over, count, derive_seed("space", self.seed, sorted(self.over)))

    def configs(self, points: Sequence[Values], base: TrialConfig | None = None) -> list[TrialConfig]:
        """The trials of some settings.

        Parameters
        ----------
        points
            Of each trial the value of every varied field.
        base
            The trial that is varied, as it is on a data set that is there.

        Raises
        ------
        ConfigError
            If a combination cannot work; all that cannot are named.
        """
        configs, found = [], []
        for i, values in enumerate(points):
            try:
                configs.append(self._config(values, base))
            except ConfigError as error:
                found += [f"settings {i} ({', '.join(f'{k}={brief(v)}' for k, v in values.items())}): {p}"
                          for p in error.problems]  # fmt: skip
        if found:
            raise ConfigError(found)
        return configs

    def _config(self, values: Values, base: TrialConfig | None) -> TrialConfig:
        if isinstance(self.base, Recipe):  # which checks that members fit what stands on them
            last = dataclasses.replace(self.base.stages[-1], config=self.trial.replace(values))
            dataclasses.replace(self.base, stages=(*self.upstream_stages, last))
        return (base or self.trial).replace(values)

    def seeded(self, config: TrialConfig, index: int) -> TrialConfig:
        """A configuration with one of its seeds, the ``index``-th. With seeds of its own these are below a million, and
        the same in every space with this ``seed``: a trial that was trained is found again when a space grows."""
        if self.seeding == "common":
            return config.replace({"seed": config.seed + index})
        own = config.replace({"seed": 0, "dataset": DatasetRef(name=""), "members": ()}).signature()
        return config.replace({"seed": derive_seed("trial", self.seed, own, index) % 10**6})

    def extractions(self, also: Sequence[Values] = ()) -> dict[ClipConfig, list[Representation]]:
        """What must be extracted for the sweep, the stages before it included: by clip the representations.

        Parameters
        ----------
        also
            Settings that are tried beside the space's own.

        Raises
        ------
        ConfigError
            If the space varies the input in more than ``MAX_EXTRACTIONS`` ways.
        """
        points = self.points()
        if not isinstance(self.search, Grid | Random | Population):  # any value may be drawn
            paths = {p: d.options for p, d in self.over.items() if _is_input(p) and isinstance(d, Choice)}
            ways = math.prod(len(options) for options in paths.values())
            if ways > MAX_EXTRACTIONS:
                raise ConfigError(f"the space varies the input in {ways} ways: at most {MAX_EXTRACTIONS} are extracted")
            rest = {p: v for p, v in points[0].items() if p not in paths}
            points = [{**rest, **dict(zip(paths, v, strict=True))} for v in itertools.product(*paths.values())]
        found: dict[ClipConfig, dict[str, Representation]] = {}
        inputs = [(c.clip, list(c.representations.values())) for c in self.configs([*points, *also])]
        inputs += [(s.config.clip, s.representations()) for s in self.upstream_stages if s.data is None]
        for clip, representations in inputs:
            found.setdefault(clip, {}).update({r.store_name(): r for r in representations})
        return {clip: [own[name] for name in sorted(own)] for clip, own in found.items() if own}

    def representations(self) -> list[Representation]:
        """All of :meth:`extractions`, whatever the clip."""
        distinct = {r.store_name(): r for own in self.extractions().values() for r in own}
        return [distinct[name] for name in sorted(distinct)]

    @cached_property
    def signature(self) -> str:
        """Identity of the search: base, stages before it, domains, search, scheduler; not yet of the data.

        More trials or seeds make no other sweep: it grows. (A population is as large as it is.)
        """
        stages = [
            [s.name, s.config.to_dict(run_only=False), dict(s.members), dict(s.vectors)] for s in self.upstream_stages
        ]
        over = [[path, type(d).__name__, [plain(v) for v in d.extremes()]] for path, d in self.over.items()]
        how: list[Any] = [[type(x).__name__, dataclasses.asdict(x)] for x in (self.search, self.scheduler)]
        how += [["seeding", self.seeding]] if self.seeding != "common" else []
        size = [self.trials] if isinstance(self.search, Population) else []
        return digest(self.trial.to_dict(run_only=False), stages, over, how, size, self.seed)


def _is_input(path: str) -> bool:
    return path.split(".")[0] in ("feature", "clip")


def plain(value: Any) -> Any:
    """A value of a field as JSON has it."""
    if isinstance(value, Config):
        return value.to_dict()
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def brief(value: Any) -> str:
    """A value of a field in a sentence."""
    return value.brief() if isinstance(value, Config) else repr(value)


def settings(config: TrialConfig, varied: Iterable[str]) -> list[str]:
    """The values of the fields that a sweep varies, as people read them."""
    values = [config.at(path) for path in varied]
    return [v.brief() if isinstance(v, Config) else f"{v:g}" if isinstance(v, float) else str(v) for v in values]
