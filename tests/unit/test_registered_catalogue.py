"""A model is registered with what it says of its tracks and what was measured of them: neighbours have reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.selecting import make_manifest, train_sweep
from tonearm.inference import load
from tonearm.workflows.measured_descriptors import measured_descriptors
from tonearm.workflows.select import select

pytestmark = pytest.mark.usefixtures("database")
ONE = {"optim.lr": 1e-2, "optim.epochs": 4}


def test_neighbours_of_a_registered_model_have_reasons(one_home: Path) -> None:
    manifest = make_manifest(one_home / "music", "reasons", 6)
    sweep = train_sweep(manifest, [ONE], "reasons")
    wanted, unmeasured = {t.content: t.source for t in manifest.tracks[1:]}, manifest.tracks[0]
    measured = measured_descriptors(wanted, [sweep.results[0].config.clip])
    model = load(select(sweep).model)
    rows = {row["track_id"]: row for row in (model.library.row(i) for i in range(len(model.library)))}
    assert set(rows) == {t.track_id for t in manifest.tracks}
    assert "loudness" not in rows[unmeasured.track_id] and rows[unmeasured.track_id]["predicted"]
    for track in manifest.tracks[1:]:
        row, said = rows[track.track_id], model.predict(track.source)
        assert row["predicted"][0] == said.labels[int(np.argmax(said.probabilities))] and len(row["probabilities"]) == 3
        assert row["loudness"] == measured[track.content]["loudness"] and row["label"] == track.label
    because = [r.because for r in model.recommend(manifest.tracks[3].source, k=5).results]
    assert any("heard as" in one for one in because) and any("LUFS" in one for one in because), because
