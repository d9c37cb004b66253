"""A selection from the trials to the registry, without Ray: what is chosen, kept, promoted and rolled back."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.builders import encode, sounds_like
from tests.unit.selecting import DIFFERENT, make_manifest, train_sweep, train_trial
from tonearm.core import home, storage
from tonearm.core.errors import AudioError, JobError, StoreError, TrackingError
from tonearm.core.seeding import digest
from tonearm.datasets.content import content_digest
from tonearm.datasets.manifest import Manifest, Track
from tonearm.inference import load
from tonearm.inference.blocks import BlockPredictor, plan_blocks
from tonearm.sweeps.results import run_tags
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.query import RegisteredVersion, registered
from tonearm.workflows import promotion
from tonearm.workflows import select as selecting
from tonearm.workflows.champion import predict_as_champion
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.promotion import Promotion, undo_promotion
from tonearm.workflows.recommend import evaluate_recommender
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.trial_library import keep_manifest, library_of_sweep

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def swept(one_home: Path) -> Sweep:
    """Three trials, of two representations and of clips of two lengths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        return train_sweep(make_manifest(one_home / "music", "different"))


@pytest.fixture
def as_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three trials are chosen: what so few tracks show is the single trial."""
    choose = selecting.choose

    def all_of_them(*args: object) -> object:
        found = choose(*args)  # type: ignore[arg-type]
        return dataclasses.replace(found, ensemble={0: 1, 1: 2, 2: 1}, takes_ensemble=True)

    monkeypatch.setattr(selecting, "choose", all_of_them)


def champion_of(swept: Sweep) -> RegisteredVersion:
    """That of the sweep's data; one is made if no test before did."""
    if registered(swept.manifest.name, names.CHAMPION) is None:
        select(swept, promotion=True)
    found = registered(swept.manifest.name, names.CHAMPION)
    assert found is not None
    return found


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


@pytest.mark.usefixtures("as_ensemble")
def test_nothing_is_predicted_twice_and_killed_work_goes_on(
    swept: Sweep, monkeypatch: pytest.MonkeyPatch, one_home: Path
) -> None:
    first = select(swept)
    storage.remove(str(next((one_home / "trials" / "a1" / "champion").glob("selection-*.json"))))
    block, *_ = sorted((one_home / "predictions").glob("*/*.npz"))
    block.unlink()  # as if the job had been killed before it
    predicted: list[str] = []
    predict = BlockPredictor.predict

    def noted(self: BlockPredictor, member: str, uri: str, tracks: Sequence[Sequence[str]]) -> tuple[int, int]:
        predicted.extend([uri] * (len(tracks) == len(swept.manifest.tracks)))  # and not the test tracks alone
        return predict(self, member, uri, tracks)

    monkeypatch.setattr(BlockPredictor, "predict", noted)
    again = select(swept)
    assert predicted == [str(block)] and again.scores == first.scores
    assert select(swept) == again and len(predicted) == 1


def test_the_choice_is_explained_and_registered_with_its_figures(swept: Sweep) -> None:
    selection = select(swept, most_members=4)
    assert not selection.takes_ensemble and len(selection.members) == 1
    assert f"chosen: trial {selection.single_trial:02d} alone: " in str(selection)
    kept = registered(swept.manifest.name, names.CANDIDATE)
    assert kept is not None and kept.tags[names.CHOICE] == selection.choice
    assert float(kept.tags[names.VALIDATION]) == pytest.approx(selection.held_out.metrics["f1_micro"], abs=1e-5)
    assert kept.tags[names.PROMOTION].startswith(("Promoted: ", "Not promoted: "))
    version = client().get_model_version(names.model_name(swept.manifest.name), kept.version)
    assert version.description == kept.tags[names.PROMOTION]


def test_a_champion_is_scored_on_todays_tracks_that_it_did_not_learn_from(swept: Sweep, tmp_path: Path) -> None:
    """A recording was added to each split, and one that it was trained on is a test track now."""
    champion = champion_of(swept)
    old = list(swept.manifest.tracks)
    learned = next(i for i, t in enumerate(old) if t.split == "train")
    old[learned] = dataclasses.replace(old[learned], split="test")
    added = []
    for split in ("train", "validation", "test"):
        path = tmp_path / f"{split}.wav"
        path.write_bytes(encode(sounds_like("flute", 999 + len(split))))
        added.append(Track(track_id=f"new/{split}", source=str(path), content=digest(path.read_bytes(), size=16),
                           label="flute", group=f"artist:{split}", split=split))  # type: ignore[arg-type]  # fmt: skip
    today = Manifest(swept.manifest.name, "sound", (*old, *added))
    tracks = [*today.of("validation"), *today.of("test")]
    task = swept.results[0].config.task
    found = predict_as_champion(champion, today, tracks, task, swept.results[0].folder.validation().classes)
    left_out = {old[learned].track_id, "new/validation"}  # epochs were chosen on the latter, and not the champion's
    assert {t.track_id for t in tracks} - {t.track_id for t in found.tracks} == left_out
    assert all(p.shape == (len(found.tracks), 3) for p in found.predictions) and len(found.predictions) >= 1


def test_costs_are_measured_where_features_were_deleted(
    swept: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "features_home", lambda: str(tmp_path))
    library = library_of_sweep(swept)
    first, last = selecting._costs(library, [swept.results[0], swept.results[2]])
    assert first > 0 and last > 0


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


def test_a_champion_that_cannot_hear_a_track_is_compared_on_the_others(swept: Sweep, tmp_path: Path) -> None:
    champion = champion_of(swept)
    samples, rate = soundfile.read(swept.manifest.tracks[0].source)
    short, gone = tmp_path / "short.wav", tmp_path / "vanished.wav"
    soundfile.write(short, samples[: round(0.3 * rate)], rate)
    soundfile.write(gone, 0.5 * samples, rate)
    added = [Track(track_id=f"new/{path.stem}", source=str(path), content=digest(path.read_bytes(), size=16),
                   label="flute", group=f"artist:{path.stem}", split="test") for path in (short, gone)]  # fmt: skip
    gone.unlink()
    today = Manifest(swept.manifest.name, "sound", (*swept.manifest.tracks, *added))
    tracks = [*today.of("validation"), *today.of("test")]
    task, classes = swept.results[0].config.task, swept.results[0].folder.validation().classes
    for _ in range(2):  # also when it is written down
        found = predict_as_champion(champion, today, tracks, task, classes)
        assert {t.track_id for t in tracks} - {t.track_id for t in found.tracks} == {"new/short", "new/vanished"}
        assert found.unusable.startswith("2 of ") and "e.g. new/short: too_short: 0.30 s of audio" in found.unusable
    soundfile.write(gone, 0.5 * samples, rate)  # it may be back the next time
    found = predict_as_champion(champion, today, tracks, task, classes)
    assert found.unusable.startswith("1 of ") and "new/vanished" in {t.track_id for t in found.tracks}
    with pytest.raises(AudioError, match=r"too_short: .*0\.30 s"):
        predict_blocks([swept.results[0].folder.bundle_uri], added)


def test_a_library_that_grows_is_recommended_from_by_the_champion_that_stays(swept: Sweep, tmp_path: Path) -> None:
    champion_of(swept)
    samples, rate = soundfile.read(swept.manifest.tracks[0].source)
    soundfile.write(tmp_path / "new.wav", 0.5 * samples, rate)
    content = digest((tmp_path / "new.wav").read_bytes(), size=16)
    new = Track(track_id="new/new", source=str(tmp_path / "new.wav"), content=content, label="flute",
                group="artist:new", split="test")  # fmt: skip
    today = Manifest(swept.manifest.name, "sound", (*swept.manifest.tracks, new))
    assert evaluate_recommender(today).tracks == len(today.tracks)


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
    assert model.recommend(manifest.tracks[0].source, 1).neighbours[0].track["track_id"] == manifest.tracks[0].track_id
    assert select("time_mel-0548") == selection
    alone = RunWriter.open("alone", "an estimator", tags={names.TRAINING: "svm-0001"})
    alone.end()
    with pytest.raises(JobError, match="holds no network that takes audio alone"):
        select("svm-0001")


def test_rolling_back_goes_back_one_by_one(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, before = swept.manifest.name, champion_of(swept)
    second = select(swept, promotion=True, most_members=1)
    third = select(swept, promotion=True, most_members=2)
    assert second.promoted and third.promoted and third.why.startswith("as was asked for, although ")
    versions = [before.version, second.version, third.version]
    assert len(set(versions)) == 3
    for now, left, named in ((versions[1], versions[2], ""), (versions[0], versions[1], "some-a1")):
        said = undo_promotion(named)
        assert said == f"tonearm-different: version {now} is the champion again, version {left} no longer"
        champion = registered(dataset, names.CHAMPION)
        assert champion is not None and champion.version == now
        assert "was rolled back at" in champion.tags[names.PROMOTION]
    monkeypatch.setattr(promotion, "judge", lambda *_: Promotion(True, "it is better"))
    again = select(swept, most_members=2)
    assert not again.promoted and again.why == "it was rolled back, although it is better"
    for record in Path(again.bundle).parent.glob("selection-*.json"):
        record.unlink()  # so that the same is registered anew
    newer = select(swept, most_members=2)
    assert newer.version != again.version and not newer.promoted
    assert re.fullmatch(r"version \d+, which is the same choice, was rolled back, although it is better", newer.why)
    assert select(swept, most_members=2, promotion=True).promoted and undo_promotion(dataset)
    with pytest.raises(TrackingError, match=f"cannot be rolled back: version {versions[0]} is the first"):
        undo_promotion(dataset)
    with pytest.raises(TrackingError, match="no run whose id or name is or begins with 'absent'"):
        undo_promotion("absent")
