"""Sweeps that earlier versions have begun and that this one cannot go on with, since it draws other settings."""

from __future__ import annotations

import logging
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import TonearmError
from tonearm.core.text import command
from tonearm.datasets.manifest import load_manifest
from tonearm.sweeps.ledger import FILE, Ledger
from tonearm.training.trial_places import SINGLE
from tonearm.workflows.sweep_result import DESCRIPTION, MANIFEST, sweep_folder

logger = logging.getLogger(__name__)


def told_of_earlier(space: str, dataset: str) -> str:
    """What people must know when a sweep begins that an earlier version may have begun: which were broken off; "" if
    none.

    Parameters
    ----------
    space, dataset
        Names of the search space and of the data set.
    """
    found = []
    for signature in storage.list_folders(home.trials_home()):
        if signature == SINGLE:
            continue
        try:
            line = _broken_off(signature, space, dataset)
        except (TonearmError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            # No reason to stop a sweep that has nothing to do with it.
            why = next(iter(str(error).strip().splitlines()), "")[:150]
            logger.warning(
                f"  note: the sweep in {sweep_folder(signature)} cannot be read and is passed over "
                f"({type(error).__name__}: {why})"
            )
            continue
        found += [line] if line else []
    if not found:
        return ""
    return (f"an earlier version has begun {', '.join(found)}: settings are drawn in another order now, so this is "
            "another sweep; what it has trained is taken where the same settings are tried")  # fmt: skip


def _broken_off(signature: str, space: str, dataset: str) -> str:
    """A sweep of a space on a data set that an earlier version has begun and not ended, with how to use it; or ""."""
    folder = sweep_folder(signature)
    description, trials = storage.join(folder, DESCRIPTION), storage.join(folder, FILE)
    if not storage.exists(description) or not storage.exists(trials):
        return ""
    name = storage.read_json(description).get("name")
    rows: list[dict[str, Any]] = storage.read_json(trials)
    # Today's sweeps say where each trial lies.
    if name != space or not rows or any(row.get("trial") for row in rows):
        return ""
    if load_manifest(storage.join(folder, MANIFEST)).name != dataset:
        return ""
    ledger = Ledger(folder)
    ended = [p for p in ledger.proposals if ledger.ending(p)]
    if len(ended) == len(rows):
        return ""
    return f"{name}-{signature} ({len(ended)} of {len(rows)} trials ended; {command('select', f'{name}-{signature}')})"
