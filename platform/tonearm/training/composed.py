"""Trials of networks that consist of trained ones alone: they take over what these are and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.features.metadata import CompositeFeature, NamedFeature, TableFeature
from tonearm.models.cold_start import JOINED, ColdStartConfig, PartConfig
from tonearm.models.tower import NUMBERS, RecommendationConfig
from tonearm.tasks.embedding import Embedding
from tonearm.training.config import TrialConfig

AnyConfig = TypeVar("AnyConfig", bound=Config)


def composed(config: AnyConfig, members: Mapping[str, TrialConfig]) -> AnyConfig:
    """The config with models, inputs and window of its members, by their names; any other config as it is.

    Raises
    ------
    ConfigError
        If no single network can be made of them: all that is wrong.
    """
    if not isinstance(config, TrialConfig) or not isinstance(config.model, ColdStartConfig) or JOINED not in members:
        return config
    heard = {name: own for name, own in members.items() if name != JOINED}
    joined = members[JOINED]
    found = _problems(heard, joined)
    if found or not isinstance(joined.model, RecommendationConfig):
        raise ConfigError(found)
    reads: dict[str, str] = {}
    features: dict[str, NamedFeature] = {}
    for name, own in heard.items():
        same = (n for n, other in features.items() if other.feature == own.feature)
        reads[name] = next(same, own.feature.kind if own.feature.kind not in features else name)
        features[reads[name]] = NamedFeature(name=reads[name], feature=own.feature)
    absent = tuple(name for name in joined.feature.named_inputs() if name not in heard)
    parts = tuple(PartConfig(name=n, reads=reads[n], model=own.built_model) for n, own in heard.items())
    model = ColdStartConfig(parts=parts, joined=joined.model, absent=absent)
    window = next(iter(heard.values())).window
    return config.replace({"feature": CompositeFeature(inputs=tuple(features.values())), "model": model,
                           "window": window})  # fmt: skip


def _problems(heard: Mapping[str, TrialConfig], joined: TrialConfig) -> list[str]:
    found = []
    if not isinstance(joined.model, RecommendationConfig):
        found.append(f"{JOINED} trains a {joined.model.kind}: what joins vectors is a recommendation")
    inputs = joined.feature.named_inputs()
    found += [f"{JOINED} takes no input {name!r}" for name in heard if name not in inputs]
    found += [f"{JOINED}: its input {name!r} has the scaling {f.scaling!r}: of predicted vectors the directions count, "
              "set it to 'unit'" for name, f in inputs.items()
              if isinstance(f, TableFeature) and name not in NUMBERS and f.scaling != "unit"]  # fmt: skip
    for name, own in {**heard, JOINED: joined}.items():
        if not isinstance(own.task, Embedding) or own.task.loss_kind != "cosine":
            found.append(
                f"{name} learns {own.task.brief()}: a place is a direction, set its task.loss_kind to 'cosine'"
            )
    windows = {own.window for own in heard.values()}
    if len(windows) > 1:
        found.append(f"the networks of audio hear windows of {sorted(w.brief_length() for w in windows)}, or differ in "
                     "their number: give all of them the same")  # fmt: skip
    return found
