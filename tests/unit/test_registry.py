"""Registered models: candidates and champions, in an SQLite database of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from tests.builders import CLASSES, encode, music, tiny_config
from tonearm.core import storage
from tonearm.core.errors import TrackingError
from tonearm.ensembles.bundle import save_ensemble
from tonearm.inference import PYFUNC_CODE, load
from tonearm.inference.made_catalogues import catalogue_uri
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.model_files import run_of
from tonearm.tracking.query import champion_uri, download_model, last_promoted, registered
from tonearm.tracking.register import example_audio, promote, register_candidate, roll_back
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.workflows.map import map_catalogue
from tonearm.workflows.prepared_names import manifest_uri
from tonearm.workflows.promotion import undo_promotion

pytestmark = pytest.mark.usefixtures("database")


def saved_ensemble(folder: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    config = tiny_config()
    save_bundle(str(folder / "member"), Bundle(config, CLASSES, {}, build_network(config, 3)))
    save_ensemble(str(folder / "ensemble"), [str(folder / "member")], [1.0], {"dataset": "toy"})
    return str(folder / "ensemble")


def champion_of(bundle: str, run_id: str, dataset: str) -> str:
    """A version that is registered and promoted."""
    version = register_candidate(bundle, run_id, dataset, CLASSES, PYFUNC_CODE)
    promote(dataset, version)
    return version


def test_absent_models_are_errors() -> None:
    with pytest.raises(TrackingError, match=r"no usable models:/tonearm-absent@champion"):
        load(champion_uri("absent"))
    with pytest.raises(TrackingError, match="no usable"):
        download_model("models:/tonearm-absent/3")


def test_champion_answers_through_mlflow_and_through_us(tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    with pytest.raises(TrackingError, match="no model has been promoted yet"):
        last_promoted()
    audio = encode(music(2.5))
    bundles = [saved_ensemble(tmp_path / str(i), i) for i in range(2)]
    run = RunWriter.open("models", "sweep")
    version = champion_of(bundles[0], run.run_id, "toy")
    assert version == "1" and last_promoted() == "tonearm-toy"

    wanted = load(bundles[0]).predict(audio)
    ours = load(champion_uri("toy")).predict(audio)
    np.testing.assert_allclose(ours.probabilities, wanted.probabilities, atol=1e-6)
    frame = pd.DataFrame({"audio": [audio, example_audio()]})
    answer = mlflow.pyfunc.load_model(champion_uri("toy")).predict(frame)
    assert list(answer.columns) == ["label", *CLASSES] and len(answer) == 2
    assert answer["label"][0] == wanted.top(1)[0][0]
    np.testing.assert_allclose(answer.loc[0, list(CLASSES)].astype(float), wanted.probabilities, atol=1e-6)

    champion = registered("toy", names.CHAMPION)
    assert champion is not None and (champion.version, champion.run_id) == ("1", run.run_id)
    assert registered("absent", names.CHAMPION) is None and registered("toy", "absent") is None
    assert champion_of(bundles[1], run.run_id, "toy") == "2"
    now = load(champion_uri("toy")).predict(audio).probabilities
    np.testing.assert_allclose(now, load(bundles[1]).predict(audio).probabilities, atol=1e-6)
    old = load("models:/tonearm-toy/1").predict(audio).probabilities
    np.testing.assert_allclose(old, wanted.probabilities, atol=1e-6)


def test_a_candidate_answers_before_it_is_promoted(tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    audio = encode(music(2.5))
    bundles = [saved_ensemble(tmp_path / str(i), i) for i in range(2)]
    wanted = [load(b).predict(audio).probabilities for b in bundles]
    assert not np.allclose(wanted[0], wanted[1])
    runs = [RunWriter.open("candidates", f"sweep-{i}").run_id for i in range(2)]
    tags = {"tonearm.validation": "0.91", names.DATA: "abc"}
    versions = [register_candidate(b, r, "two", CLASSES, PYFUNC_CODE, tags) for b, r in zip(bundles, runs, strict=True)]
    with pytest.raises(TrackingError, match="no usable"):
        load(champion_uri("two"))
    promote("two", versions[0])

    for alias, index in (("candidate", 1), ("champion", 0)):
        uri = f"models:/tonearm-two@{alias}"
        np.testing.assert_allclose(load(uri).predict(audio).probabilities, wanted[index], atol=1e-6)
        answer = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"audio": [audio]}))
        np.testing.assert_allclose(answer.loc[0, list(CLASSES)].astype(float), wanted[index], atol=1e-6)
    model = mlflow.models.get_model_info("models:/tonearm-two@candidate")
    assert model.signature is not None and model.signature.inputs.input_names() == ["audio"]
    assert model.saved_input_example_info is not None
    version = client().get_model_version("tonearm-two", versions[1])
    assert {k: version.tags[k] for k in tags} == tags and names.PROMOTED_AT not in version.tags
    with pytest.raises(TrackingError, match="tonearm-two version 9 cannot be promoted"):
        promote("two", "9")


def test_the_last_promoted_is_known_when_an_old_version_is_champion_again(tmp_path: Path) -> None:
    bundle = saved_ensemble(tmp_path)
    run = RunWriter.open("promoted", "sweep").run_id
    first, second = (champion_of(bundle, run, "old") for _ in range(2))
    champion_of(bundle, run, "new")
    assert last_promoted() == "tonearm-new"
    assert second != first
    promote("old", first)  # moves an alias only: no time of MLflow's own changes
    assert last_promoted() == "tonearm-old"


def test_champions_of_an_earlier_version_are_known_by_the_times_of_their_promotion() -> None:
    api, name = client(), names.model_name("earlier")
    api.create_registered_model(name)
    times = {"1": "2026-02-01T00:00:00.000+00:00", "2": "2026-01-01T00:00:00.000+00:00", "3": ""}
    for time in (*times.values(), "2026-03-01T00:00:00.000+00:00"):
        api.create_model_version(name, source="runs:/none", tags={names.PROMOTED_AT: time} if time else {})
    api.set_registered_model_alias(name, names.CHAMPION, "4")
    assert [roll_back("earlier"), roll_back("earlier")] == [("4", "1"), ("1", "2")]
    with pytest.raises(TrackingError, match="version 2 is the first that was its champion"):
        roll_back("earlier")


def test_killed_while_it_is_promoted_a_version_that_never_was_champion_is_not_gone_back_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, name = client(), names.model_name("killed")
    api.create_registered_model(name)
    for _ in range(3):
        api.create_model_version(name, source="runs:/none")
    promote("killed", "1")
    for call in ("set_registered_model_alias", "set_registered_model_tag", "set_model_version_tag"):

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(MlflowClient, call, killed)
            promote("killed", "2")
    promote("killed", "3")
    assert roll_back("killed") == ("3", "2"), "it was the champion: its alias was set"
    assert roll_back("killed") == ("2", "1")


def test_a_data_set_without_a_champion_is_not_taken_for_a_run_that_begins_so() -> None:
    RunWriter.open("others", "bare-3f2a").end()
    api = client()
    api.create_registered_model(names.model_name("bare"))
    api.create_model_version(names.model_name("bare"), source="runs:/none")
    api.set_registered_model_alias(names.model_name("bare"), names.CANDIDATE, "1")
    with pytest.raises(TrackingError, match="the data set bare has no champion yet"):
        undo_promotion("bare")
    storage.write_bytes(manifest_uri("bare-3"), b"")
    with pytest.raises(TrackingError, match="the data set bare-3 has no champion yet"):
        undo_promotion("bare-3")


def test_the_map_of_a_registered_models_catalogue_is_kept_with_its_run(tmp_path: Path) -> None:
    run = RunWriter.open("models", "mapped")
    champion_of(saved_ensemble(tmp_path), run.run_id, "mapped")
    digest = load(champion_uri("mapped")).digest
    rows = [{"track_id": name} for name in "abc"]
    change_catalogue(catalogue_uri(digest, "three"), Space(digest, 4), rows, np.eye(4, dtype=np.float32)[:3])
    made = map_catalogue(champion_uri("mapped"))
    assert made.run == run.run_id and f"in MLflow: run {run.run_id}" in str(made)
    assert {file.path for file in client().list_artifacts(run.run_id, "map")} == {"map/map.html", "map/map.csv"}
    with pytest.raises(TrackingError, match="models:/tonearm-mapped/9 is not known"):
        run_of("models:/tonearm-mapped/9")
