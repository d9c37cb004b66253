"""What a model is: its bundles, and a digest of them that its catalogues are named by."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.ensembles.bundle import DESCRIPTION as ENSEMBLE
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.blocks import bundle_digest


def member_uris(folder: str, ensemble: Ensemble) -> list[str]:
    """URIs of a model's bundles, a network each."""
    if not storage.exists(storage.join(folder, ENSEMBLE)):
        return [folder]
    return [storage.join(folder, f"members/{i:02d}") for i in range(len(ensemble.members))]


def model_digest(members: Sequence[str], ensemble: Ensemble) -> str:
    """What a model's space is named by: its bundles, and how they are combined."""
    return digest([bundle_digest(m) for m in members], *ensemble.identity())
