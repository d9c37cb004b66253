"""Augmentation of training windows: gain, circular shift, mixup and masks, in this order. Off by default.

All chance comes from a seed that the caller derives of trial, epoch and step (:func:`step_seed`), and each operation
has a stream of its own: what is drawn depends neither on what was drawn before nor on the other operations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tonearm.core.config import Config
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.core.types import FloatArray, InputSpec

MOST_GAIN_DB = 60.0


class AugmentConfig(Config):
    """What is done to training windows; evaluation and serving never augment.

    Attributes
    ----------
    time_masks
        Masks along time an example, >= 0; 0 is off. (SpecAugment: Park et al., Interspeech 2019.)
    time_mask_share
        The widest of these as a share of the window's frames, within 0..1; widths are uniform from none to this.
    freq_masks
        Masks along frequency an example, >= 0; 0 is off.
    freq_mask_share
        The widest of these as a share of the rows, within 0..1.
    gain_db
        Decibels, 0..60: each example's level is moved by a uniform draw from -gain_db..+gain_db. It is applied to
        the stored values, which are then normalised by the statistics of the *unmoved* clip, so that the network
        sees a level shift; statistics of the moved clip would undo it exactly.
    shift_share
        Each example is rotated along time by up to this share of the window, either way, within 0..1; from 0.5 on
        every rotation is possible.
    mixup_alpha
        Pairs of examples and their losses are mixed with a weight from Beta(alpha, alpha), 0..100; 0 is off.
        (Zhang et al., ICLR 2018.) What the network takes is mixed: decibels, not sound pressures.
    """

    time_masks: int = 0
    time_mask_share: float = 0.1
    freq_masks: int = 0
    freq_mask_share: float = 0.1
    gain_db: float = 0.0
    shift_share: float = 0.0
    mixup_alpha: float = 0.0

    def problems(self) -> list[str]:
        found = []
        for axis in ("time", "freq"):
            masks, share = getattr(self, f"{axis}_masks"), getattr(self, f"{axis}_mask_share")
            if masks < 0:
                found.append(f"augment.{axis}_masks is {masks}: it must be at least 0, which is off")
            if not 0 < share < 1:
                found.append(
                    f"augment.{axis}_mask_share is {share}: a mask must be wider than nothing and narrower than the "
                    f"window, so it must be within 0 and 1; switch masks off by {axis}_masks=0"
                )
            elif masks * share >= 1:
                found.append(
                    f"augment.{axis}_masks {masks} of up to {share} of the window each could hide all of it: "
                    "their product must be below 1"
                )
        for name, most in (("gain_db", MOST_GAIN_DB), ("shift_share", 1.0), ("mixup_alpha", 100.0)):
            if not 0 <= getattr(self, name) <= most:
                found.append(
                    f"augment.{name} is {getattr(self, name)}: it must be within 0, which is off, and {most:g}"
                )
        return found

    def problems_with(self, inputs: InputSpec, unit: str) -> list[str]:
        """What cannot work for windows of this shape whose stored values have this unit."""
        found = []
        for name, on, share, size in (
            ("time_mask_share", self.time_masks > 0, self.time_mask_share, inputs.frames),
            ("freq_mask_share", self.freq_masks > 0, self.freq_mask_share, inputs.freq_bins),
            ("shift_share", self.shift_share > 0, self.shift_share, inputs.frames),
        ):
            if on and math.floor(share * size) < 1:
                along = "rows" if name.startswith("freq") else "frames"
                found.append(
                    f"augment.{name} {share} of {size} {along} is less than one, so nothing would ever change: "
                    "widen it or switch it off"
                )
        if self.gain_db > 0 and unit not in ("dB", "amplitude"):
            found.append(
                f"augment.gain_db is {self.gain_db:g}, but the representation's values are of unit {unit!r}, to which "
                "no decibels can be added: set it to 0, or choose a representation in dB or amplitudes"
            )
        return found

    @property
    def enabled(self) -> bool:
        """Whether anything is done at all."""
        return any((self.time_masks, self.freq_masks, self.gain_db, self.shift_share, self.mixup_alpha))


@dataclass(frozen=True)
class Mix:
    """How a batch was mixed: example i is ``weight`` of itself and ``1 - weight`` of example ``partners[i]``.

    Attributes
    ----------
    partners
        int64 (batch,), a permutation; an example may be its own partner.
    weight
        One for the whole batch, 0..1.
    """

    partners: torch.Tensor
    weight: float


def step_seed(seed: int, epoch: int, step: int) -> int:
    """The seed of one batch: of a trial's seed, its epoch and the step within it."""
    return derive_seed("augment", seed, epoch, step)


def draw_gains(config: AugmentConfig, examples: int, seed: int) -> npt.NDArray[np.float64]:
    """A gain for each example in dB, shape (examples,): uniform in -gain_db..+gain_db; zeros where gain is off."""
    return _stream("gain", seed).uniform(-config.gain_db, config.gain_db, examples)


def apply_gain(values: FloatArray, gain: float, unit: str) -> FloatArray:
    """Move the level of unnormalised values.

    Parameters
    ----------
    values
        float32 of any shape.
    gain
        dB.
    unit
        Of the values: ``"dB"``, to which the gain is added, or ``"amplitude"``, multiplied by 10^(gain/20).

    Raises
    ------
    ConfigError
        For any other unit.
    """
    if unit == "dB":
        return values + np.float32(gain)
    if unit == "amplitude":
        return values * np.float32(10 ** (gain / 20))
    raise ConfigError(f"a gain of {gain:g} dB has no meaning for values of unit {unit!r}: only for dB and amplitudes")


def augment(inputs: torch.Tensor, config: AugmentConfig, seed: int) -> tuple[torch.Tensor, Mix | None]:
    """Shift, mix and mask normalised windows; the gain comes before normalisation, see :func:`apply_gain`.

    Masks come last: on a mixture they hide both of its parts, as a mask before it would not.

    Parameters
    ----------
    inputs
        float32 of shape (batch, channels, freq_bins, frames); not changed.
    config
        What is done.
    seed
        Of this batch, see :func:`step_seed`.

    Returns
    -------
    The windows, of the same shape and type, and how they were mixed, or None if mixup is off.
    """
    mix = None
    if config.shift_share:
        inputs = shift(inputs, config.shift_share, seed)
    if config.mixup_alpha:
        inputs, mix = mixup(inputs, config.mixup_alpha, seed)
    if config.time_masks or config.freq_masks:
        inputs = mask(inputs, config, seed)
    return inputs, mix


def shift(inputs: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """Rotate each example along time, all its channels by the same, by up to ``share`` of the frames either way."""
    limit = math.floor(share * inputs.shape[-1])
    by = _stream("shift", seed).integers(-limit, limit, len(inputs), endpoint=True)
    return torch.stack([torch.roll(x, int(b), dims=-1) for x, b in zip(inputs, by, strict=True)])


def mixup(inputs: torch.Tensor, alpha: float, seed: int) -> tuple[torch.Tensor, Mix]:
    """Mix each example with another one of the batch (Zhang et al. 2018: one weight a batch, Beta(alpha, alpha))."""
    rng = _stream("mixup", seed)
    weight = float(rng.beta(alpha, alpha))
    partners = torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)
    return weight * inputs + (1 - weight) * inputs[partners], Mix(partners, weight)


def mask(inputs: torch.Tensor, config: AugmentConfig, seed: int) -> torch.Tensor:
    """Hide stretches of time and of frequency, drawn for each example, the same in all its channels.

    What is hidden becomes the mean of its channel in this window. That is what the zero of Park et al. stands for,
    whose inputs are normalised to mean zero; unlike zero it is also neutral where nothing is normalised (0 dB would
    be a loud stripe).

    Starts and widths are drawn as torchaudio's ``mask_along_axis_iid`` draws them after the same seed.
    """
    batch, _, rows, frames = inputs.shape
    hidden = torch.zeros(batch, rows, frames, dtype=torch.bool)
    generator = torch.Generator()
    for axis, masks, share, size in (
        (2, config.time_masks, config.time_mask_share, frames),
        (1, config.freq_masks, config.freq_mask_share, rows),
    ):
        generator.manual_seed(derive_seed("mask", axis, seed))
        # Widths are drawn below a limit and the last line would never be hidden: both are given one more.
        widest, lines = math.floor(share * size) + 1, torch.arange(size)
        for _ in range(masks):
            width = torch.rand(batch, generator=generator) * widest
            first = (torch.rand(batch, generator=generator) * (size + 1 - width)).long()[:, None]
            covered = (lines >= first) & (lines < first + width.long()[:, None])
            hidden |= covered[:, None, :] if axis == 2 else covered[:, :, None]
    mean = inputs.mean(dim=(-2, -1), keepdim=True)
    return torch.where(hidden[:, None].to(inputs.device), mean, inputs)


def _stream(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(name, seed))
