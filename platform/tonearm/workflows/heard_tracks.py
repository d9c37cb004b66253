"""What a selected model needs to doubt itself: its training tracks in its embedding, and how that works out on test."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from tonearm.core.types import Prediction
from tonearm.datasets.manifest import Track
from tonearm.recommend.doubt import UNHEARD, HeardTracks
from tonearm.statistics.risk_coverage import area_under_risk_coverage
from tonearm.tasks import SingleLabel
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.workflows.held_out import HeldOutTracks

logger = logging.getLogger(__name__)


def keep_heard_tracks(
    bundle: str, tracks: Sequence[Track], predicted: Sequence[Prediction], held: HeldOutTracks, parent: RunWriter
) -> None:
    """Write the training tracks into a bundle, and log which share of the test tracks is doubted (false alarms, since
    all of these are music of the data set), and how well the largest probability knows which answers are wrong.

    Parameters
    ----------
    tracks, predicted
        All of the data set, and what the model predicts of them.
    """
    trained = [i for i, t in enumerate(tracks) if t.split == "train"]
    if len({tracks[i].group for i in trained}) < 2:
        logger.info("  note: all training tracks are of one group: what was never heard is not told from them")
        return
    vectors = np.stack([predicted[i].embedding for i in trained])
    heard = HeardTracks.of(vectors, [tracks[i].group for i in trained])
    heard.save(bundle)
    of = {t.track_id: p for t, p in zip(tracks, predicted, strict=True)}
    test = [of[t.track_id] for t in held.test]
    alarms = float((heard.heard(np.stack([p.embedding for p in test])) < UNHEARD).mean())
    figures = {"doubted": alarms}
    said = f"  of {len(test)} test tracks {alarms:.1%} sound like no training track"
    if isinstance(held.task, SingleLabel):
        probabilities = np.stack([p.probabilities for p in test])
        wrong = 1 - held.task.track_scores(probabilities, held.test_target)
        figures["aurc"] = area_under_risk_coverage(probabilities.max(axis=1), wrong)
        said += f"; error {wrong.mean():.3f}, of the surest answers, whatever their share, {figures['aurc']:.3f}"
    logger.info(said)
    parent.metrics({f"{names.HELD_OUT}{name}": value for name, value in figures.items()})
