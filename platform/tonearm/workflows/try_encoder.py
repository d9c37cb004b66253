"""Trying an encoder before it is kept: what it gives of noise must be usable as a representation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.features.encoders import describe_outputs, load_encoder, pooled, run_named
from tonearm.features.frozen import EncoderOutput, Frozen
from tonearm.features.normalisation import LARGEST_HALF

CLOSE = 1e-3  # of a patch alone and in a batch, relative
SAME = 1e-5  # of the same batch twice
#: Of an encoder's numbers, what float16 holds with room for louder patches, and with some digits.
LARGEST, SMALLEST = LARGEST_HALF / 4, 1e-4


def tried_outputs(draft: Frozen, file: Path, wanted: Sequence[str]) -> list[EncoderOutput]:
    """The outputs that are wanted with their sizes, which the file is asked for.

    Parameters
    ----------
    draft
        The encoder but for its outputs.
    wanted
        Their names.

    Raises
    ------
    ConfigError
        If the file cannot be run, does not take the encoder's patches, lacks an output, or gives one that is of no use.
    """
    noise = np.random.default_rng(0).normal(0, 0.1, (1, draft.of.freq_bins, draft.patch)).astype(np.float32)
    two = np.concatenate([draft.ordered(noise), draft.ordered(2 * noise[..., ::-1])])
    run = load_encoder(str(file), draft.sha256, "cpu")
    both = run_named(draft.name, run, np.ascontiguousarray(two))
    unknown = [name for name in wanted if name not in both]
    if unknown or not wanted:
        raise ConfigError(f"outputs {', '.join(unknown) or 'are not named'}: it has {describe_outputs(both)}")
    again = run_named(draft.name, run, np.ascontiguousarray(two))
    alone = run_named(draft.name, run, np.ascontiguousarray(two[:1]))
    for name in wanted:
        _require_useful(name, both[name], again[name])
    return [EncoderOutput(name=name, dim=_dim(name, both[name], alone[name])) for name in wanted]


def _require_useful(name: str, found: FloatArray, again: FloatArray) -> None:
    """Check that an output can be stored in float16, says something, and is the same when it is asked again."""
    largest = float(np.abs(found).max(initial=0.0))
    if not np.isfinite(largest):
        raise ConfigError(f"output {name!r} of noise is not finite: an encoder gives numbers of whatever it hears")
    if found.shape != again.shape or not np.allclose(found, again, rtol=SAME, atol=SAME * largest):
        raise ConfigError(f"output {name!r} of the same patches is another when it is asked again: an encoder draws "
                          "nothing at random, and remembers nothing")  # fmt: skip
    if largest > LARGEST or np.ptp(found) < SMALLEST:
        raise ConfigError(
            f"output {name!r} is {found.min():.3g} to {found.max():.3g} of noise: numbers are kept in float16, which "
            f"wants them within {LARGEST:g} and to differ by {SMALLEST:g} or more. Scale them inside the network"
        )


def _dim(name: str, both: FloatArray, alone: FloatArray) -> int:
    """How many numbers an output gives of a patch, from what it is of two patches and of the first alone."""
    rows, first = pooled(both), pooled(alone)
    if rows.ndim != 2 or len(rows) != 2 or first.shape != (1, rows.shape[1]):
        raise ConfigError(f"output {name!r} has shape {both.shape} for 2 patches, {alone.shape} for one: an encoder "
                          "gives (patches, dim) or (patches, steps, dim)")  # fmt: skip
    if not np.allclose(rows[:1], first, rtol=CLOSE, atol=CLOSE * max(1.0, float(np.abs(first).max()))):
        raise ConfigError(f"output {name!r} of a patch depends on the others of its batch: an encoder hears each alone")
    return int(rows.shape[1])
