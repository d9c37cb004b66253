"""Training a trial anew: what lies in its folder is removed, in an order in which a kill does no harm."""

from __future__ import annotations

from tonearm.core import storage
from tonearm.training.baselines import BaselineConfig
from tonearm.training.config import TrialConfig
from tonearm.training.trained_code import code_of
from tonearm.training.trial import CODE_FILE, ENDED, LOCK, TrialFolder

STATE = "state.pt"


def begin_anew(folder: TrialFolder, config: TrialConfig | BaselineConfig, whatever_code: bool = False) -> bool:
    """Empty the folder of a trial that was begun, if other code than this did so, or whatever code it was.

    Nobody else writes there meanwhile: who trains it now is waited for. Every sweep that has this trial has it anew.

    Returns
    -------
    Whether it begins anew.
    """
    if not _is_meant(folder, config, whatever_code):
        return False
    with folder.lock():
        if not _is_meant(folder, config, whatever_code):  # by whom it waited for
            return False
        # First it is not finished any more, and last its state goes and what code that was: after a kill between it
        # goes on from its state as it was, and the next call empties it.
        storage.remove(storage.join(folder.uri, ENDED))
        for uri, *_ in storage.list_below(folder.uri):
            name = uri.rpartition("/")[2]
            if name not in (STATE, CODE_FILE, LOCK) and not name.startswith("."):  # these are being written: the lock
                storage.remove(uri)
        for name in (STATE, CODE_FILE):
            storage.remove(storage.join(folder.uri, name))
    return True


def _is_meant(folder: TrialFolder, config: TrialConfig | BaselineConfig, whatever_code: bool) -> bool:
    begun = folder.ended() is not None or storage.exists(storage.join(folder.uri, STATE))
    return begun and (whatever_code or folder.code() != [code_of(config)])
