"""Where trials lie: each once, under its config's signature, whoever asked for it."""

from __future__ import annotations

import re
from functools import cached_property

from tonearm.core import storage
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder

SINGLE = "single"
OF_A_SWEEP = re.compile(r"\d{2,}-([0-9a-f]+)")
"""Folders of trials below a sweep's, where earlier versions put them: index and signature."""


class TrialPlaces:
    """The places of trials below a folder.

    Parameters
    ----------
    trials
        Its URI: by convention ``trials`` in the home.
    """

    def __init__(self, trials: str) -> None:
        self.trials = trials

    def place(self, config: TrialConfig | BaselineConfig) -> str:
        """Where a trial lies, below the folder: ``single/time-0548...``; where an earlier version had put it, there."""
        kind = config.model.kind if isinstance(config, TrialConfig) else config.estimator.kind
        signature = config.signature()
        name = f"{kind}-{signature}"
        if name in self._single:
            return f"{SINGLE}/{name}"
        return self._of_sweeps.get(signature, f"{SINGLE}/{name}")

    def folder(self, config: TrialConfig | BaselineConfig) -> TrialFolder:
        """The folder of a trial: the same trial is the same folder, whoever asks for it."""
        return TrialFolder(storage.join(self.trials, self.place(config)))

    @cached_property
    def _single(self) -> set[str]:
        return set(storage.list_folders(storage.join(self.trials, SINGLE)))

    @cached_property
    def _of_sweeps(self) -> dict[str, str]:
        """By signature the trials in sweeps of earlier versions; of several of one trial the one that got furthest."""
        found: dict[str, tuple[int, str]] = {}
        for sweep in storage.list_folders(self.trials):
            if sweep == SINGLE:
                continue
            for name in storage.list_folders(storage.join(self.trials, sweep)):
                if match := OF_A_SWEEP.fullmatch(name):
                    place = f"{sweep}/{name}"
                    folder = TrialFolder(storage.join(self.trials, place))
                    epochs = len(folder.history()) + 1_000_000 * folder.is_completed()
                    if epochs > found.get(match[1], (0, ""))[0]:
                        found[match[1]] = epochs, place
        return {signature: place for signature, (_, place) in found.items()}
