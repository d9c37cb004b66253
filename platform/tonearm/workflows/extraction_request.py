"""What an extraction makes: as its options say, or as a search space needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tonearm.core.errors import ConfigError
from tonearm.core.text import command

if TYPE_CHECKING:
    from tonearm.audio.windows import ClipConfig
    from tonearm.features import Representation
    from tonearm.sweeps import SearchSpace


def what_to_extract(
    features: str, space: str, clip: Mapping[str, object], min_seconds: float | None,
    find_space: Callable[[str], SearchSpace],
) -> tuple[list[Representation], ClipConfig, float]:  # fmt: skip
    """Representations, clips and least length: of the options, or of a search space; never half of each.

    Parameters
    ----------
    features
        Representations in one text; "": those of the space.
    space
        Name of a search space, ``demo`` where it is "".
    clip
        Fields of the clip that were given.

    Raises
    ------
    ConfigError
        If both say something, or cannot be read.
    """
    if features and space:
        raise ConfigError(f"--features {features} and --space {space} exclude each other: leave one out")
    if features:
        from tonearm.audio.windows import ClipConfig
        from tonearm.features.presets import parse_features

        return parse_features(features), ClipConfig.from_dict(clip), 1.0 if min_seconds is None else min_seconds
    if clip or min_seconds is not None:
        names = [*clip, *(["min_seconds"] if min_seconds is not None else [])]
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise ConfigError(f"{options}: a search space says this itself; give them with --features")
    chosen = find_space(space or "demo")
    chosen.check()
    if len(chosen.extractions()) > 1:
        raise ConfigError(f"--space {space} varies the clip: {command('sweep', space)} --data FOLDER extracts all")
    return chosen.representations(), chosen.trial.clip, chosen.trial.min_seconds
