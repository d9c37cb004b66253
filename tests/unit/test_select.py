"""A selection from the trials to the registry, without Ray: what is chosen, kept and registered."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import encode, sounds_like
from tests.unit.selecting import DIFFERENT, make_manifest, train_sweep, train_trial
from tonearm.core import home, storage
from tonearm.core.errors import AudioError, JobError, StoreError
from tonearm.core.seeding import digest
from tonearm.datasets.content import content_digest
from tonearm.ensembles.bundle import load_ensemble
from tonearm.ensembles.combination import WEIGHTED_MEAN, Combination
from tonearm.inference import load
from tonearm.inference.blocks import BlockPredictor, plan_blocks
from tonearm.statistics.risk_coverage import area_under_risk_coverage
from tonearm.sweeps.results import run_tags
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client, experiment_id
from tonearm.tracking.query import registered
from tonearm.training.bundle import DESCRIPTION
from tonearm.workflows import select as selecting
from tonearm.workflows.choose import Chosen
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.promotion import Candidate, Promotion
from tonearm.workflows.select import select
from tonearm.workflows.selection import Selection
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.trial_library import find_library, keep_manifest, library_of_sweep

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def swept(one_home: Path) -> Sweep:
    """Three trials, of two representations and of clips of two lengths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        return train_sweep(make_manifest(one_home / "music", "different"))


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is now, no Ray is started."""
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))


@pytest.fixture(autouse=True)
def nothing_selected(database: None, swept: Sweep) -> None:
    """No choice of the sweep is written down or registered, whatever tests ran before."""
    api, name = client(), names.model_name(swept.manifest.name)
    if api.search_registered_models(f"name = '{name}'"):
        api.delete_registered_model(name)
    for record in Path(library_of_sweep(swept).folder).glob("selection-*.json"):
        record.unlink()


def choose_all(monkeypatch: pytest.MonkeyPatch, combination: Combination = WEIGHTED_MEAN) -> None:
    """All three trials are chosen: what so few tracks show is the single trial."""
    choose = selecting.choose
    taken: dict[str, Any] = {"ensemble": {0: 1, 1: 2, 2: 1}, "takes_ensemble": True, "combination": combination}
    monkeypatch.setattr(selecting, "choose", lambda *args: dataclasses.replace(choose(*args), **taken))


@pytest.fixture
def as_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_all(monkeypatch)


@pytest.mark.usefixtures("as_ensemble")
def test_members_hear_their_own_clips(swept: Sweep) -> None:
    selection = select(swept)
    assert selection.takes_ensemble and set(selection.members) == {0, 1, 2} and selection.promoted
    model = load(selection.model)
    assert {clip.seconds for clip in model.clips} == {2.0, 1.2} and model.has_catalogue
    test = swept.manifest.of("test")
    heard = [model.predict(t.source) for t in test]
    nearest = [model.recommender.index.search(p.embedding, 1)[0].track["track_id"] for p in heard]
    assert nearest == [t.track_id for t in test], "what is stored and what is heard are one"
    right = [model.classes[np.argmax(p.probabilities)] == t.label for p, t in zip(heard, test, strict=True)]
    assert np.mean(right) == selection.scores.metrics["f1_micro"]


def test_how_members_are_combined_is_registered_and_told(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = Combination("stacking", 1.0, (0.75, 0.5, 0.25), (0.1, 0.0, -0.1))
    choose_all(monkeypatch, stacked)
    selection = select(swept)
    assert load_ensemble(selection.bundle).combination == stacked
    assert "its weight, combined by stacking" in str(selection)
    kept = registered(swept.manifest.name, names.CANDIDATE)
    assert kept is not None and kept.tags[names.COMBINATION] == "stacking"
    model = load(selection.model)
    right = [model.classify(t.source).label == t.label for t in swept.manifest.of("test")]
    assert np.mean(right) == selection.scores.metrics["f1_micro"]


@pytest.mark.usefixtures("as_ensemble")
def test_nothing_is_predicted_twice_and_killed_work_goes_on(
    swept: Sweep, monkeypatch: pytest.MonkeyPatch, one_home: Path
) -> None:
    first = select(swept)
    storage.remove(str(next((one_home / "trials" / "a1" / "champion").glob("selection-*.json"))))
    (block,) = plan_blocks(swept.results[1].folder.bundle_uri, swept.manifest.tracks, home.predictions_home())
    storage.remove(block.uri)  # as if the job had been killed before it
    predicted: list[str] = []
    predict = BlockPredictor.predict

    def noted(self: BlockPredictor, member: str, uri: str, tracks: Sequence[Sequence[str]]) -> tuple[int, int]:
        predicted.extend([uri] * (len(tracks) == len(swept.manifest.tracks)))  # and not the test tracks alone
        return predict(self, member, uri, tracks)

    monkeypatch.setattr(BlockPredictor, "predict", noted)
    again = select(swept)
    assert predicted == [block.uri] and again.scores == first.scores
    assert select(swept) == again and len(predicted) == 1


def test_the_choice_is_explained_and_registered_with_its_figures(swept: Sweep) -> None:
    selection = select(swept, most_members=4)
    assert not selection.takes_ensemble and len(selection.members) == 1
    run = swept.open()
    page = f"http://127.0.0.1:5000/#/experiments/{experiment_id(swept.manifest.name)}/runs/{run.run_id}"
    assert f"\n  in MLflow, while tonearm mlflow runs: {page}?workflowType=machine_learning" in str(selection)
    assert f"chosen: trial {selection.single_trial:02d} alone: " in str(selection)
    kept = registered(swept.manifest.name, names.CANDIDATE)
    assert kept is not None and kept.tags[names.CHOICE] == selection.choice
    assert float(kept.tags[names.VALIDATION]) == pytest.approx(selection.held_out.metrics["f1_micro"], abs=1e-5)
    assert kept.tags[names.PROMOTION].startswith(("Promoted: ", "Not promoted: "))
    version = client().get_model_version(names.model_name(swept.manifest.name), kept.version)
    assert version.description == kept.tags[names.PROMOTION]


def test_calibration_and_cost_are_told_and_drawn(swept: Sweep) -> None:
    selection = select(swept, most_members=2)
    assert selection.calibration is not None and all(0 <= error <= 1 for error in selection.calibration)
    assert "\n  expected calibration error on test: " in str(selection)
    run = swept.open()
    logged = client().get_run(run.run_id).data.metrics
    without, error = selection.calibration
    assert logged[f"{names.HELD_OUT}calibration_error"] == pytest.approx(error)
    assert logged[f"{names.HELD_OUT}calibration_error_without_temperature"] == pytest.approx(without)
    assert storage.exists(storage.join(home.reports_home(swept.manifest.name), "score_by_cost.png"))
    assert select(swept, most_members=2) == selection, "as it was written down"
    values = selection.to_dict()
    del values["calibration"], values["combination"]  # as earlier versions wrote it
    earlier = Selection.from_dict(values, selection.sweep, selection.dataset, selection.headline)
    assert earlier.calibration is None and "calibration" not in str(earlier) and earlier.combination == "mean"


def test_what_is_registered_knows_its_training_tracks_and_how_often_it_doubts(swept: Sweep) -> None:
    selection = select(swept)
    model = load(selection.model)
    known = model.heard_tracks
    assert known is not None and len(known.vectors) == len(swept.manifest.of("train"))
    answers = [model.classify(t.source) for t in swept.manifest.of("test")]
    shares = known.heard(np.stack([a.embedding for a in answers]))
    assert [a.heard for a in answers] == pytest.approx(shares.tolist())
    logged = client().get_run(swept.open().run_id).data.metrics
    assert logged[f"{names.HELD_OUT}doubted"] == pytest.approx(np.mean([bool(a.doubt) for a in answers]))
    wrong = [float(a.label != t.label) for a, t in zip(answers, swept.manifest.of("test"), strict=True)]
    sure = np.array([a.sure for a in answers], float)
    assert logged[f"{names.HELD_OUT}aurc"] == pytest.approx(area_under_risk_coverage(sure, np.array(wrong)), abs=1e-4)


def test_a_choice_is_promoted_by_its_own_figures_after_a_kill(
    swept: Sweep, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """What another choice of the same trials has written, before it was killed, is not taken for it."""
    seen: list[Candidate] = []
    decide = selecting.decide_promotion

    def noted(candidate: Candidate, *others: object) -> Promotion:
        seen.append(candidate)
        return decide(candidate, *others)  # type: ignore[arg-type]

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(selecting, "decide_promotion", noted)
    plain = select(swept, promotion=False, most_members=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        request.getfixturevalue("as_ensemble")
        patch.setattr(selecting, "register_candidate", killed)
        select(swept, most_members=3)
    again = select(swept, promotion=False, most_members=1)
    assert again.version == plain.version and len(load_ensemble(again.bundle).members) == len(again.members) == 1
    assert [c.version for c in seen] == [plain.version] * 2
    for one, other in zip(seen[0].predictions, seen[1].predictions, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trial_that_is_trained_meanwhile_is_not_registered(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    choose, changed = selecting.choose, list[tuple[str, bytes]]()

    def meanwhile(*args: object) -> Chosen:
        found = choose(*args)  # type: ignore[arg-type]
        uri = storage.join(found.single_trial.folder.bundle_uri, DESCRIPTION)
        changed.append((uri, storage.read_bytes(uri)))
        values = storage.read_json(uri)
        values["metrics"]["epoch"] += 1
        storage.write_json(uri, values)
        return dataclasses.replace(found, takes_ensemble=False)

    monkeypatch.setattr(selecting, "choose", meanwhile)
    before = registered(swept.manifest.name, names.CANDIDATE)
    with pytest.raises(JobError, match=r"was trained further while it was chosen.*tonearm select some-a1"):
        select(swept, most_members=7)
    storage.write_bytes(*changed[0])
    assert registered(swept.manifest.name, names.CANDIDATE) == before


def test_folds_of_several_trainings_have_places_of_their_own(swept: Sweep) -> None:
    keep_manifest(swept.manifest)
    runs, trial = [], swept.results[0]
    for training in ("time_mel-1111", "freq_mel-2222"):
        whole = RunWriter.open("folds", training, tags={names.TRAINING: training})
        fold = RunWriter.open("folds", "seed 0 fold 1/5", whole.run_id, tags={names.FOLD: "1/5", names.SEED: "0"})
        RunWriter.open("folds", trial.name, fold.run_id, tags=run_tags(trial.config, trial.folder.uri)).end()
        runs += [fold.run_id]
    one, other = map(find_library, runs)
    assert (one.name, other.name) == ("time_mel-1111", "freq_mel-2222")
    assert one.folder.endswith("selections/time_mel-1111-seed-0-fold-1-5") and one.folder != other.folder
    assert find_library("time_mel-1111").folder not in (one.folder, other.folder)
    with pytest.raises(JobError, match=r"name of 2 runs, of freq_mel-2222, time_mel-1111: name one by its id"):
        find_library("seed 0 fold 1/5")


@pytest.mark.parametrize("rendered", [True, False])
def test_audio_that_has_changed_is_not_predicted_as_what_it_was(swept: Sweep, tmp_path: Path, rendered: bool) -> None:
    source, uri = tmp_path / "a.wav", str(tmp_path / "block.npz")
    source.write_bytes(encode(sounds_like("flute", 7)))
    content = digest(source.read_bytes(), size=16) if rendered else content_digest(source)
    member, predictor = swept.results[0].folder.bundle_uri, BlockPredictor(str(tmp_path / "features"), str(tmp_path))
    assert predictor.predict(member, uri, [(content, str(source))]) == (1, 1)
    again = str(tmp_path / "again.npz")
    source.write_bytes(encode(sounds_like("bass", 7)))
    with pytest.raises(AudioError, match=r"changed: .*a\.wav holds other audio .* prepare it again"):
        predictor.predict(member, again, [(content, str(source))])
    source.unlink()
    with pytest.raises(AudioError, match=r"missing: .*a\.wav cannot be read: No such file"):
        predictor.predict(member, again, [(content, str(source))])
    assert not storage.exists(again)


def test_a_damaged_block_says_what_to_do(swept: Sweep, tmp_path: Path) -> None:
    (block,) = plan_blocks(swept.results[0].folder.bundle_uri, swept.manifest.tracks[:2], str(tmp_path))
    buffer = io.BytesIO()
    np.savez(buffer, probabilities=np.zeros((2, 3)), embeddings=np.zeros((2, 4)))
    whole = buffer.getvalue()
    storage.write_bytes(block.uri, whole)
    assert len(block.read()) == 2
    npy = io.BytesIO()
    np.save(npy, np.zeros(3))
    rows = io.BytesIO()
    np.savez(rows, probabilities=np.zeros((1, 3)), embeddings=np.zeros((1, 4)))
    flipped = whole[:100] + b"\xff" * 40 + whole[140:]
    for damaged in (b"", b"no block", whole[:90], flipped, npy.getvalue(), rows.getvalue()):
        storage.write_bytes(block.uri, damaged)
        with pytest.raises(StoreError, match=r"npz is damaged .* delete it, then it is predicted again"):
            block.read()


def test_what_was_trained_alone_is_selected_like_a_sweep(swept: Sweep) -> None:
    manifest = dataclasses.replace(swept.manifest, name="alone")
    trials = [train_trial(manifest, {**DIFFERENT[0], "seed": seed}, seed) for seed in (0, 1)]
    run = RunWriter.open("alone", "time_mel-0548", tags={names.TRAINING: "time_mel-0548"})
    for r in trials:
        RunWriter.open("alone", r.name, run.run_id, tags={**run_tags(r.config, r.folder.uri)}).end()
    run.end()
    with pytest.raises(JobError, match=r"was not kept .* which trains nothing that is finished"):
        select("time_mel-05")
    keep_manifest(manifest)
    selection = select("time_mel-05")
    assert selection.promoted and selection.sweep == "time_mel-0548" and set(selection.members) <= {0, 1}
    model = load(selection.model)
    near = model.recommend(Path(manifest.tracks[0].source).read_bytes() + bytes(2), 1).neighbours
    assert near[0].track["track_id"] == manifest.tracks[0].track_id
    assert select("time_mel-0548") == selection
    alone = RunWriter.open("alone", "an estimator", tags={names.TRAINING: "svm-0001"})
    alone.end()
    with pytest.raises(JobError, match="holds no network that takes audio alone"):
        select("svm-0001")
