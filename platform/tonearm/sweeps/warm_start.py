"""Settings of earlier runs, for a sweep to begin with."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest
from tonearm.sweeps.domains import Choice, holds
from tonearm.sweeps.sampling import Observation
from tonearm.sweeps.space import SearchSpace, Values
from tonearm.tracking import names
from tonearm.tracking.query import artifact_bytes, find_runs, leaves_of
from tonearm.training.config import TrialConfig


def earlier_runs(space: SearchSpace, manifest: Manifest, texts: Sequence[str]) -> tuple[Observation, ...]:
    """The settings of finished runs that lie in the space, the best first.

    Runs on the same data, judged by the same metric, come with their scores, from which a model-based search learns;
    of others only the settings count.

    Parameters
    ----------
    texts
        Runs or sweeps, as :func:`tonearm.tracking.query.find_runs` takes them.

    Raises
    ------
    ConfigError
        If none of the runs has settings that lie in the space.
    """
    found: list[tuple[float, Observation]] = []
    seen = 0
    task = space.trial.task
    best = f"best_{task.primary}"
    runs = [leaf for text in texts for run in find_runs(text) for leaf in leaves_of(run.run_id) or [run]]
    for run in runs:
        data = artifact_bytes(run.run_id, "config.json")
        if data is None or best not in run.metrics:
            continue
        description = json.loads(data)
        if "model" not in description:
            continue  # a baseline
        seen += 1
        values = values_in(space, TrialConfig.from_dict(description))
        if values is None:
            continue
        same_data = run.tags.get(names.DATA) == manifest.signature()
        score, better = run.metrics[best], run.metrics[best] * (1 if task.maximise else -1)
        found.append((better, Observation(values, score if same_data else None, not same_data)))
    if texts and not found:
        raise ConfigError(
            f"none of the {seen} finished trainings of {', '.join(texts)} has settings within this space "
            f"({', '.join(space.over)}) and a {best}: leave --warm-start out, or name others"
        )
    ordered = sorted(found, key=lambda pair: (-pair[0], str(pair[1].values)))
    return tuple(observation for _, observation in ordered)


def values_in(space: SearchSpace, config: TrialConfig) -> Values | None:
    """The values of the varied fields that make this config, as far as these go; None if one is not in its domain."""
    values: Values = {}
    for path, domain in space.over.items():
        try:
            value = config.at(path)
        except ConfigError:
            return None
        if isinstance(domain, Choice):
            value = next((o for o in domain.options if _same(o, value, path, space, config)), None)
            if value is None and None not in domain.options:
                return None
        elif not holds(domain, value):
            return None
        values[path] = value
    return values


def _same(option: object, value: object, path: str, space: SearchSpace, config: TrialConfig) -> bool:
    """Whether an option is the value, but for the fields within it that are varied, too."""
    if not isinstance(option, Config):
        return option == value
    within = {p[len(path) + 1 :]: config.at(p) for p in space.over if p.startswith(f"{path}.")}
    try:
        return option.replace(within) == value
    except ConfigError:
        return False
