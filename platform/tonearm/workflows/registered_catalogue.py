"""The catalogue that a model is registered with: what it says of the tracks, and what extraction has measured of them,
so that neighbours have reasons and sliders something to shift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core.types import Prediction
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble
from tonearm.recommend.catalogue_rows import track_row
from tonearm.recommend.index import CatalogueIndex
from tonearm.workflows.measured_descriptors import stored_descriptors


def registered_catalogue(
    ensemble: Ensemble, tracks: Sequence[Track], predicted: Sequence[Prediction], clips: Sequence[ClipConfig]
) -> CatalogueIndex:
    """Index tracks by what a model predicts of them.

    Parameters
    ----------
    predicted
        One of each track.
    clips
        By which descriptors may have been measured. Nothing is measured here.
    """
    measured = stored_descriptors([t.content for t in tracks], clips)
    answers = [ensemble.task.read(p.probabilities, ensemble.classes) for p in predicted]
    said = [track_row(t, a, measured.get(t.content, {})) for t, a in zip(tracks, answers, strict=True)]
    return CatalogueIndex.build(np.stack([p.embedding for p in predicted]), tracks, said)
