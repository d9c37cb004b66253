"""What training left, without a catalogue: it is served, it can get a catalogue, and every error names what works."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import torch

from tests.builders import encode, sounds_like
from tests.serve.in_process import serve_in_process
from tests.unit.test_inference import CLASSES, Trained, trained
from tonearm.core.errors import BundleError, JobError
from tonearm.datasets.manifest import Manifest
from tonearm.inference import load
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.workflows.recommend import evaluate_recommender
from tonearm.workflows.sweep_result import find_sweep

__all__ = ["trained"]  # a fixture


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)  # what a replica sets would stay for other tests


def test_it_is_served_and_says_how_to_recommend(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = trained.folders[0].bundle_uri
    asked = serve_in_process(bundle, monkeypatch)
    song = encode(sounds_like("flute", 3, 3.0))
    answer = asked("POST", "/v1/classify", content=song)
    assert answer["label"] in CLASSES and "neighbours" not in answer
    with pytest.raises(httpx.HTTPStatusError) as refused:
        asked("POST", "/v1/recommend", content=song)
    problem = refused.value.response.json()
    assert (problem["status"], problem["error"]) == (409, "no_catalogue")
    assert "tonearm index --audio FOLDER --model" in problem["detail"]
    assert asked("GET", "/healthz")["tracks"] == 0


def test_a_catalogue_is_made_and_kept(trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(Path(trained.features).parent))
    manifest = Manifest("toy", "sound", trained.tracks)
    bundle = trained.folders[1].bundle_uri
    measured = evaluate_recommender(manifest, bundle)
    assert measured.tracks == len(trained.tracks) and not load(bundle).has_catalogue
    with pytest.raises(BundleError, match=r"tonearm index --audio FOLDER --model "):
        _ = load(bundle).recommender
    assert evaluate_recommender(manifest, bundle, save=True) == measured and load(bundle).has_catalogue
    asked, audio = serve_in_process(bundle, monkeypatch), Path(trained.tracks[0].source).read_bytes()
    itself, other = (
        asked("POST", "/v1/recommend?k=3", content=data)["neighbours"] for data in (audio, audio + bytes(2))
    )
    assert other[0]["track_id"] == trained.tracks[0].track_id not in {n["track_id"] for n in itself}, "by its bytes"


@pytest.mark.usefixtures("database")
def test_selecting_from_a_training_says_what_serves_it(trained: Trained) -> None:
    run = RunWriter.open("trained", "time_mel-0548")
    RunWriter.open("trained", "time-1", run.run_id, tags={names.FOLDER: trained.folders[0].uri})
    RunWriter.open("trained", "compared")
    wanted = f"is no sweep: it was trained alone, .* tonearm serve --model {trained.folders[0].bundle_uri}"
    with pytest.raises(JobError, match=wanted):
        find_sweep("time_mel-0548")
    with pytest.raises(JobError, match=r"is no sweep: name one, .* tonearm ls"):
        find_sweep("compared")
