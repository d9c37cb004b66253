"""The artist recommender end to end: trained, every kind of row placed, and an unknown artist's bare recording asked
with, in Python and of the served application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs import index, train
from search_spaces.recipes import RECIPES
from tests.builders import encode, music
from tests.commands import run_job
from tests.extract_in_process import extract_in_process
from tests.integration.test_recipes import settings
from tests.serve.in_process import serve_in_process
from tests.tiny_data import SECONDS, Recording, make_recordings, write_artists, write_table
from tonearm.core.unit_length import unit_length
from tonearm.datasets.manifest import load_manifest
from tonearm.inference import load, made_catalogues
from tonearm.recommend.cold_start import CHANCE, FOLDED_IN, HELD_OUT, POPULAR
from tonearm.tracking.log import client
from tonearm.training.predictions import read_predictions
from tonearm.workflows.home_catalogues import KNOWN, list_catalogues
from tonearm.workflows.known_artists import NAME
from tonearm.workflows.prepared_names import manifest_uri
from tonearm.workflows.select import select
from tonearm.workflows.trial_library import find_library

pytestmark = pytest.mark.integration

NOBODYS = encode(music(SECONDS, seed=77, low=700.0), container="MP3")


class Single(Recording):
    """A recording whose artist has no other, so that several are of the test split."""

    @property
    def artist(self) -> str:
        return f"Artist {self.number}"


@pytest.fixture(scope="module")
def trained(one_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URI of the model, and what the command printed."""
    root = tmp_path_factory.mktemp("artists")
    recordings = [Single(r.number, r.label, r.data) for r in make_recordings()]
    write_artists(root, recordings)
    on = [{"playlist": f"{r.label} {r.number % 3}", "track": r.path} for r in recordings]
    write_table(root / "playlists.csv", on)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.setenv("TONEARM_CACHE", str(root / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(one_home)
        extract_in_process(patch)
        changes = [text for change in settings(RECIPES["artist_recommender"]()) for text in ("--set", change)]
        code, told = run_job(train.main, "--recipe", "artist_recommender", "--data", str(root), *changes)
        assert code == 0, told
        served = re.search(r"serve it: .* --model (\S+)", told)
        assert served, told
        yield served[1], told


@pytest.fixture(autouse=True)
def at_once(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_catalogues, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)  # what a replica sets would stay for other tests


def test_the_model_hears_a_recording_as_it_did_in_training(trained: tuple[str, str]) -> None:
    uri, _ = trained
    model = load(uri)
    tested = read_predictions(f"{Path(uri).parent}/test.parquet")
    tracks = {t.track_id: t for t in load_manifest(manifest_uri("artists")).tracks}
    assert tested.track_ids and {t.split for t in tracks.values()} == {"train", "validation", "test"}
    for track_id, wanted in zip(tested.track_ids, tested.probabilities, strict=True):
        found = model.predict(tracks[track_id].source)
        np.testing.assert_allclose(found.probabilities, wanted, atol=1e-5)
        np.testing.assert_allclose(found.embedding, unit_length(wanted), atol=1e-5)


def test_recommendations_for_artists_of_the_test_split_are_reported(trained: tuple[str, str]) -> None:
    _, told = trained
    table = told[told.index("10 known artists for an unknown one") :]
    for system in ("mel_time", "recommendation", "artist_recommender", FOLDED_IN, POPULAR, CHANCE):
        assert re.search(rf"^  {system} +\d\.\d+ \[", table, re.MULTILINE), told
    assert f"({HELD_OUT})" in table
    (run,) = (r for r in client().search_runs([e.experiment_id for e in client().search_experiments()])
              if f"recommend/cold_start/{CHANCE}/hit_rate" in r.data.metrics)  # fmt: skip
    assert run.info.run_name.startswith("artist_recommender-")


def test_tracks_albums_and_artists_are_placed_and_a_bare_recording_is_answered(
    trained: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, _ = trained
    rows = {"track": 20, "album": 20, "artist": 20}
    for kind, count in rows.items():
        code, told = run_job(index.main, "--dataset", "artists", "--model", uri, "--kind", kind)
        assert code == 0 and f"{count} {kind}s in the space of" in told, told
    model = load(uri)
    found = model.recommend(NOBODYS, k=5)
    assert len(found.results) == 5
    vector = model.predict(NOBODYS).embedding
    cosines = np.stack([model.predict(str(r.track["source"])).embedding for r in found.results]) @ vector
    np.testing.assert_allclose([r.similarity for r in found.results], cosines, atol=2e-3)  # of float16
    assert (np.diff(cosines) < 2e-3).all()

    ask = serve_in_process(uri, monkeypatch)
    answer = ask("POST", "/v1/recommend", files={"audio": ("x.mp3", NOBODYS)}, data={"k": "5"})
    assert answer["task"] == "embedding"
    assert [n["track_id"] for n in answer["neighbours"]] == [r.track["track_id"] for r in found.results]
    np.testing.assert_allclose(unit_length(np.array(answer["vector"])), vector, atol=1e-4)

    monkeypatch.setenv("TONEARM_CATALOGUE", "artists-artists")
    of_artists = serve_in_process(uri, monkeypatch)("POST", "/v1/recommend", files={"audio": ("x.mp3", NOBODYS)})
    assert {n["artist"] for n in of_artists["neighbours"]} < {f"Artist {i}" for i in range(20)}


def test_artists_of_the_table_are_recommended_too_who_have_no_recording(
    trained: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, told = trained
    assert f"it recommends from these artists with TONEARM_CATALOGUE={NAME}: " in told
    (kept,) = [c for c in list_catalogues([], []) if c.name == NAME]
    assert kept.model and kept.state == KNOWN, "it is cleaned away when its model is"
    monkeypatch.setenv("TONEARM_CATALOGUE", NAME)
    model = load(uri)
    found = model.recommend(NOBODYS, k=22)
    artists = {f"Artist {i}" for i in range(20)} - {"Artist 10"}  # the third by name, who is related to nobody
    assert {r.track["artist"] for r in found.results} == {*artists, *(f"Unheard {i}" for i in range(3))}
    assert {r.track.get("year") for r in found.results} - {None} <= {1960 + 5 * i for i in range(22)}
    served = serve_in_process(uri, monkeypatch)("POST", "/v1/recommend", files={"audio": ("x.mp3", NOBODYS)})
    assert [n["artist"] for n in served["neighbours"]] == [r.track["artist"] for r in found.results][:5]


def test_tracks_may_have_vectors_of_their_own_from_playlists(
    trained: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_in_process(monkeypatch)
    root = str(Path(load_manifest(manifest_uri("artists")).tracks[0].source).parents[1])
    changes = [text for change in settings(RECIPES["lyrics"]()) for text in ("--set", change)]
    options = [text for o in ("relations_from=playlists", "level=track", "min_shared=1") for text in ("--option", o)]
    code, told = run_job(train.main, "--recipe", "lyrics", "--data", root, "--name", "own", *changes, *options)
    assert code == 0 and "20 of 20 tracks have relations" in told, told
    manifest = load_manifest(manifest_uri("track-relations"))
    assert len(manifest.tracks) == 20 and {t.group for t in manifest.tracks} == {f"track:{t.track_id}" for t in
                                                                               manifest.tracks}  # fmt: skip
    assert "artist_table, mean Jaccard overlap" in told and re.search(r"lyrics +\d\.\d+ \[", told)


def test_what_is_registered_places_recordings_in_the_artists_space(
    trained: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, told = trained
    training = re.search(r"select (artist_recommender-\w+)", told)
    assert training, told
    extract_in_process(monkeypatch)
    library = find_library(training[1])
    assert [r.folder.bundle_uri for r in library.results] == [uri], "and no network of it, such as mel_time"
    assert library.notes == ("chosen from its last stage, cold_start, alone: the others are members of it",)
    selected = select(training[1], promotion=True)
    np.testing.assert_allclose(load(selected.bundle).predict(NOBODYS).embedding, load(uri).predict(NOBODYS).embedding,
                               atol=1e-6)  # fmt: skip
