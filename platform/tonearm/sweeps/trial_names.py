"""What people call a trial, everywhere: ``02 time n_fft=4096 lr=0.0016``; nothing is found by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tonearm.core.config import Config
from tonearm.tracking import names
from tonearm.training.config import TrialConfig

MAX_VALUE_LENGTH = 40  # characters
MAX_NAME_LENGTH = 90
LEADING_PREFIXES = ("model", "estimator")


def trial_name(index: int, config: TrialConfig, varied: Iterable[str]) -> str:
    """A trial's index, its model, the varied fields in their short names, and its seed, if that is not 0."""
    flat = list(config.flatten())
    paths = sorted(varied, key=lambda path: (not path.startswith(LEADING_PREFIXES), _place(path, flat), path))
    short = short_names(dict.fromkeys((*paths, "seed")))  # of all that may be varied: the same names in all trials
    values = {path: _whole(config, path, paths) for path in paths if path not in ("model.kind", "seed")}
    leading = values.pop("model", config.model.kind)
    seed = {"seed": config.seed} if config.seed else {}
    return name_of_fields([f"{index:02d}", field_text(leading)], {**values, **seed}, short)


def name_of_fields(leading: Sequence[str], values: Mapping[str, Any], short: Mapping[str, str] | None = None) -> str:
    """Words, then ``short name=value`` of each field; cut before the field that would make it too long.

    Being cut, it may be the same for different values: nothing may be told apart by it.

    Parameters
    ----------
    short
        The fields' short names, where others are varied besides; default: those of these fields alone.
    """
    short = short_names(values) if short is None else short
    words = [*leading, *(f"{short[path]}={field_text(value)}" for path, value in values.items())]
    name = words[0] if words else ""
    for i, word in enumerate(words[1:], 1):
        if len(name) + len(word) + 1 > MAX_NAME_LENGTH:
            return f"{name} … {len(words) - i} more"
        name += f" {word}"
    return name


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Of each path its last part, or as much of its end as makes it unique; ``model.kind`` is ``model``."""
    own = {p: p.removesuffix(".kind").split(".") for p in paths}
    short = {}
    for path, parts in own.items():
        length = 1
        while length < len(parts) and sum(q[-length:] == parts[-length:] for q in own.values()) > 1:
            length += 1
        short[path] = ".".join(parts[-length:])
    return short


def field_text(value: Any) -> str:
    """A field's value for people, short; without the quotes that no search could hold."""
    if isinstance(value, Config):
        text = value.brief().replace(", ", ",")
    elif isinstance(value, list | tuple):
        text = ",".join(field_text(v) for v in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text.replace("'", "").replace('"', "")
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"


def tuned_numbers(config: TrialConfig, varied: Collection[str]) -> dict[str, float]:
    """The varied fields that are numbers, by the names of MLflow's metrics for them: ``tuned.lr``."""
    short = short_names(dict.fromkeys((*varied, "seed")))
    values = {path: config.at(path) for path in short}
    numbers = {path: v for path, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {f"{names.TUNED}{short[path]}": float(v) for path, v in numbers.items() if path in varied}


def _whole(config: TrialConfig, path: str, varied: Sequence[str]) -> Any:
    """A field's value; of a config of which fields are varied, too, its kind only."""
    value = config.at(path)
    inner = any(other.startswith(f"{path}.") for other in varied)
    return value.kind if inner and isinstance(value, Config) else value


def _place(path: str, flat: Sequence[str]) -> int:
    """Where a field stands in its config."""
    return next((i for i, p in enumerate(flat) if p == path or p.startswith(f"{path}.")), len(flat))
