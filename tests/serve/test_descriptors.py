"""Networks that read descriptors are selected, registered, and answer over HTTP as they were trained."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serve.in_process import serve_in_process
from tests.unit.selecting import make_manifest, train_sweep
from tonearm.features.presets import as_representation
from tonearm.inference import load
from tonearm.models import ModelConfig
from tonearm.training.config import WindowConfig
from tonearm.workflows import select as selecting
from tonearm.workflows.choose import Chosen
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.select import select

DESCRIPTORS = {
    "feature": as_representation("descriptors"), "model": ModelConfig.from_dict({"kind": "tabular_mlp"}),
    "window": WindowConfig(train_per_track=1, per_track=1), "optim.epochs": 4, "optim.lr": 3e-2,
}  # fmt: skip
KERNEL = {**DESCRIPTORS, "model": ModelConfig.from_dict({"kind": "mean_kernel"}), "optim.epochs": 1}
UNKNOWN = bytes(2)  # behind a file: its bytes are no longer those of a row, which is never recommended to itself
MEL = {"optim.lr": 1e-2, "optim.epochs": 3}

pytestmark = pytest.mark.usefixtures("database")


def test_descriptors_are_selected_served_and_heard_as_they_were_stored(
    one_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = selecting.choose

    def all_of_them(*args: Any) -> Chosen:  # what so few tracks show is the single trial
        return dataclasses.replace(choose(*args), ensemble={0: 1, 1: 2, 2: 1}, takes_ensemble=True)

    monkeypatch.setattr(selecting, "choose", all_of_them)
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))
    swept = train_sweep(make_manifest(one_home / "music", "described", 6), [DESCRIPTORS, KERNEL, MEL], "d1")
    selection = select(swept)
    assert selection.promoted and set(selection.members) == {0, 1, 2}
    ask = serve_in_process(selection.model, monkeypatch)
    model, tracks = load(selection.model), swept.manifest.of("test")
    for track in tracks:
        heard = ask("POST", "/v1/recommend?k=1", files={"audio": Path(track.source).read_bytes() + UNKNOWN})
        assert heard["neighbours"][0]["track_id"] == track.track_id, "what is stored and what is heard are one"
        own = {p["label"]: p["probability"] for p in heard["probabilities"]}
        np.testing.assert_allclose(list(model.classify(track.source).probabilities.values()), list(own.values()))
    alone = load(swept.results[1].folder.bundle_uri)
    wanted = swept.results[1].folder.predictions("test")
    source = {t.track_id: t.source for t in tracks}
    heard_alone = [alone.predict(source[i]).probabilities for i in wanted.track_ids]
    np.testing.assert_allclose(heard_alone, wanted.probabilities, atol=1e-5)
