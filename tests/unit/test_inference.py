"""From audio to an answer: serving gives what training saw, for models, ensembles and catalogues."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jobs import predict
from tests.builders import CLASSES, encode, sounds_like, tiny_config, tone, write_part, write_recordings
from tonearm.audio.windows import load_clip, load_clips
from tonearm.core import storage
from tonearm.core.errors import AudioError, BundleError, DatasetError, StoreError
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble, save_ensemble
from tonearm.ensembles.combination import fit_combination
from tonearm.features import extract
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.inference import Classifier, load, load_recommender, predict_tracks
from tonearm.inference.answers import AnswerTable, FilePredictor
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.tasks import SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.training.windows import clip_windows
from tonearm.workflows.classify import classify

CONFIGS = [
    tiny_config({"optim.lr": 1e-2, "optim.epochs": 3}),
    tiny_config({"optim.lr": 1e-2, "optim.epochs": 2, "feature.n_fft": 1024, "feature.normalisation": "track",
                 "task.pooling": "mean_logit", "window.per_track": 3}),
]  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """Recordings, their stored features, and two finished trials on them with different representations."""

    tracks: list[Track]
    features: str
    folders: list[TrialFolder]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("inference")
    tracks = write_recordings(root / "music")
    folders = []
    for i, config in enumerate(CONFIGS):
        uri = prepare_store(str(root / "features"), config.feature)
        write_part(uri, [track_key(t.content, config.clip) for t in tracks], [spectrogram(t, config) for t in tracks])
        folders.append(TrialFolder(str(root / f"trial{i}")))
        list(run_trial(config, Batches(config, tracks, CLASSES, FeatureStore(uri)), folders[-1]))
    return Trained(tracks, str(root / "features"), folders)


def spectrogram(track: Track, config: TrialConfig) -> np.ndarray:
    """As extraction computes it."""
    waveform = load_clip(track.source, config.clip, config.feature.sample_rate, min_seconds=config.min_seconds)
    return extract(waveform, [config.feature])[config.feature.store_name()]


@pytest.fixture
def ensemble(trained: Trained, tmp_path: Path) -> str:
    uri = str(tmp_path / "ensemble")
    save_ensemble(uri, [f.bundle_uri for f in trained.folders], [2.0, 1.0], {})
    return uri


@pytest.mark.parametrize("trial", [0, 1])
def test_serving_gives_training_s_validation_predictions(trained: Trained, trial: int) -> None:
    folder = trained.folders[trial]
    classifier, wanted = load(folder.bundle_uri), folder.validation()
    source_of = {t.track_id: t.source for t in trained.tracks}
    served = [classifier.predict(Path(source_of[i]).read_bytes()) for i in wanted.track_ids]
    np.testing.assert_allclose([p.probabilities for p in served], wanted.probabilities, atol=1e-5)
    assert all(p.labels == wanted.classes == CLASSES for p in served)


@pytest.mark.parametrize("which", ["single", "ensemble"])
def test_stored_features_and_audio_give_the_same_answer(trained: Trained, ensemble: str, which: str) -> None:
    classifier = load(ensemble if which == "ensemble" else trained.folders[0].bundle_uri)
    chosen = trained.tracks[::4]
    stored = predict_tracks(classifier, chosen, trained.features, "unused")
    for track, from_store in zip(chosen, stored, strict=True):
        served = classifier.predict(track.source)
        np.testing.assert_allclose(served.probabilities, from_store.probabilities, atol=1e-5)
        np.testing.assert_allclose(served.embedding, from_store.embedding, atol=1e-5)
        assert served.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(served.embedding) == pytest.approx(1, abs=1e-5)
        assert served.probabilities.dtype == served.embedding.dtype == np.float32


def test_ensemble_is_the_weighted_mean_of_its_members(trained: Trained, ensemble: str) -> None:
    source = trained.tracks[5].source
    members = [load(f.bundle_uri).predict(source) for f in trained.folders]
    whole = load(ensemble).predict(source)
    mean = (2 * members[0].probabilities + members[1].probabilities) / 3
    np.testing.assert_allclose(whole.probabilities, mean, atol=1e-6)
    other = load(ensemble).predict(trained.tracks[0].source)
    cosines = [m.embedding @ load(f.bundle_uri).predict(trained.tracks[0].source).embedding
               for m, f in zip(members, trained.folders, strict=True)]  # fmt: skip
    assert whole.embedding @ other.embedding == pytest.approx((2 * cosines[0] + cosines[1]) / 3, abs=1e-5)


@pytest.mark.parametrize("kind", ["geometric", "rank", "stacking"])
def test_members_are_combined_alike_for_a_file_a_store_and_a_table(trained: Trained, tmp_path: Path, kind: str) -> None:
    """Python, prediction of files by workers, and training's own code give one answer."""
    members = [f.bundle_uri for f in trained.folders]
    validation = [f.validation() for f in trained.folders]
    own = [v.probabilities for v in validation]
    combination = fit_combination(kind, SingleLabel(), own, [2.0, 1.0], validation[0].target)
    save_ensemble(str(tmp_path / "ensemble"), members, [2.0, 1.0], {}, (), combination)
    model = load(str(tmp_path / "ensemble"))
    source_of = {t.track_id: t for t in trained.tracks}
    asked = [source_of[i] for i in validation[0].track_ids[:3]]
    wanted = combination.combine(SingleLabel(), own, [2.0, 1.0])[:3]
    served = [model.predict(t.source).probabilities for t in asked]
    np.testing.assert_allclose(served, wanted, atol=1e-5)
    np.testing.assert_allclose([p.probabilities for p in predict_tracks(model, asked, trained.features, "x")], wanted,
                               atol=1e-5)  # fmt: skip
    worker = FilePredictor(members, [2.0, 1.0], [1.0, 1.0], json.loads(json.dumps(combination.to_dict())),
                           str(tmp_path / "answers"), str(tmp_path / "none"), str(tmp_path), "attempt")  # fmt: skip
    worker({"files": [json.dumps([[t.content, t.source, t.stamp] for t in asked])]})
    table = AnswerTable(str(tmp_path), members, model.ensemble.identity())
    assert table.uri != AnswerTable(str(tmp_path), members, [[2.0, 1.0], [1.0, 1.0]]).uri, "of the weighted mean"
    table.uri = str(tmp_path / "answers")
    found = table.read([t.content for t in asked])
    np.testing.assert_allclose([found[t.content].probabilities for t in asked], wanted, atol=1e-5)


def test_answers_are_the_same_again(trained: Trained, ensemble: str) -> None:
    source = trained.tracks[0].source
    first, again = load(ensemble).predict(source), load(ensemble).predict(source)
    assert np.array_equal(first.probabilities, again.probabilities)
    assert np.array_equal(first.embedding, again.embedding)


def test_encoding_hardly_changes_the_answer(trained: Trained) -> None:
    classifier, samples = load(trained.folders[0].bundle_uri), sounds_like("flute", 99, 3.0)
    wav = classifier.predict(encode(samples, subtype="FLOAT")).probabilities
    np.testing.assert_allclose(classifier.predict(encode(samples, container="FLAC")).probabilities, wav, atol=0.1)


def test_a_recording_that_says_nothing_to_a_network_has_no_direction(trained: Trained, ensemble: str) -> None:
    """Zeros, which resemble nothing, and no NaN."""
    classifier = load(ensemble)
    for member in classifier.ensemble.members:
        for weights in member.network.parameters():
            weights.detach().zero_()
    answer = classifier.predict(Path(trained.tracks[0].source).read_bytes())
    assert not answer.embedding.any() and answer.probabilities == pytest.approx(1 / len(CLASSES))


def test_bad_audio_is_refused_with_its_reason(trained: Trained) -> None:
    classifier = load(trained.folders[0].bundle_uri)
    shortest = CONFIGS[0].min_seconds
    for data, reason in (
        (b"no audio", "undecodable"),
        (b"", "empty"),
        (encode(tone(440, shortest - 0.01)), "too_short"),
        (encode(np.zeros(22050)), "silent"),
    ):
        with pytest.raises(AudioError) as caught:
            classifier.predict(data)
        assert caught.value.reason == reason
    assert classifier.predict(encode(tone(440, shortest + 0.001))).labels == CLASSES


def test_track_without_features_is_named(trained: Trained) -> None:
    classifier = load(trained.folders[0].bundle_uri)
    unknown = Track(track_id="x", source="x", content="never extracted", label="bass", group="x")
    with pytest.raises(StoreError, match="is not in the store"):
        predict_tracks(classifier, [unknown], trained.features, "unused")


def test_models_load_from_any_uri(trained: Trained, tmp_path: Path) -> None:
    remote = f"memory://{uuid.uuid4().hex}/bundle"
    for name in ("weights.safetensors", "bundle.json"):
        local = storage.join(trained.folders[0].bundle_uri, name)
        storage.write_bytes(storage.join(remote, name), storage.read_bytes(local))
    source = trained.tracks[0].source
    wanted = load(trained.folders[0].bundle_uri).predict(source).probabilities
    assert np.array_equal(load(remote).predict(source).probabilities, wanted)
    for uri in ("", str(tmp_path / "nowhere")):
        with pytest.raises(BundleError, match=r"no model (named|at)"):
            load(uri)


def test_model_of_whole_tracks_answers_alike_from_audio_and_features(trained: Trained, tmp_path: Path) -> None:
    config = CONFIGS[0].replace({"clip.seconds": 0.7, "clip.position": "all", "clip.hop": 0.4, "clip.tail": "pad",
                                 "optim.epochs": 1})  # fmt: skip
    uri, layout = prepare_store(str(tmp_path / "features"), config.feature), config.feature.layout
    for t in trained.tracks:
        clips = [c.waveforms[layout] for c in load_clips(t.source, config.clip, [layout], config.min_seconds)]
        arrays = [extract(c, [config.feature])[config.feature.store_name()] for c in clips]
        write_part(uri, [track_key(t.content, config.clip)] * len(clips), arrays)
    folder, batches = TrialFolder(str(tmp_path / "trial")), Batches(config, trained.tracks, CLASSES, FeatureStore(uri))
    list(run_trial(config, batches, folder))
    classifier, first = load(folder.bundle_uri), trained.tracks[0]
    reader = batches.readers[""]
    assert [len(reader.stored(t)) for t in trained.tracks] == [3] * len(trained.tracks)
    assert clip_windows(reader.stored(first), config, config.representation, reader.fitted).shape == (
        3 * config.window.per_track,
        *config.inputs.shape,
    )
    chosen = trained.tracks[::4]
    for track, stored in zip(chosen, predict_tracks(classifier, chosen, str(tmp_path / "features"), ""), strict=True):
        np.testing.assert_allclose(classifier.predict(track.source).probabilities, stored.probabilities, atol=1e-5)
    (name,) = classifier.features
    alone = classifier.predict_stored({name: reader.stored(first)[:1]})
    apart = np.log(alone.probabilities) - np.log(classifier.predict(first.source).probabilities)
    assert np.abs(apart).max() > 1e-2  # on the scale of logits: probabilities of such easy classes are near 0 and 1


# --- neighbours


def with_catalogue(uri: str, trained: Trained) -> Classifier:
    classifier = load(uri)
    vectors = np.stack([p.embedding for p in predict_tracks(classifier, trained.tracks, trained.features, "unused")])
    CatalogueIndex.build(vectors, trained.tracks).save(storage.join(uri, CATALOGUE))
    return classifier


def test_recording_of_the_catalogue_is_its_own_neighbour(trained: Trained, ensemble: str) -> None:
    with_catalogue(ensemble, trained)
    recommender = load_recommender(ensemble)
    for track in trained.tracks[::5]:
        prediction, found = recommender.recommend(Path(track.source).read_bytes(), k=3)
        assert len(found) == 3 and found[0].track["track_id"] == track.track_id
        assert found[0].similarity == pytest.approx(1, abs=1e-4)
        assert [n.similarity for n in found] == sorted((n.similarity for n in found), reverse=True)
        assert prediction.labels == CLASSES


def test_who_reads_features_leaves_a_network_where_it_is(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    member = load_bundle(trained.folders[0].bundle_uri)
    monkeypatch.setattr(member.network, "to", lambda *_: pytest.fail("a card would lose it"))
    Classifier(Ensemble((member,), (1.0,), {}, (1.0,)))


def test_model_without_catalogue_recommends_nothing(trained: Trained) -> None:
    with pytest.raises(BundleError, match="has no catalogue to recommend from"):
        load_recommender(trained.folders[0].bundle_uri)


def test_a_folder_is_classified_and_what_is_set_aside_in_it_is_told(trained: Trained, tmp_path: Path) -> None:
    folder, (one, other, *_) = tmp_path / "new", trained.tracks
    for place, source in (("a.wav", one), ("deep/er/b.wav", other), (".hidden/c.wav", one), ("@eaDir/d.wav", one)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(Path(source.source).read_bytes())
    for name, data in (("bad.mp3", b"no audio" * 9), ("empty.wav", b""), ("x.wma", b"x"), ("._a.wav", b"x")):
        (folder / name).write_bytes(data)
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone.wav").symlink_to("nowhere.wav")
    app = typer.Typer()
    app.command()(predict.main)
    result = CliRunner().invoke(app, [str(folder), one.source, "--model", trained.folders[0].bundle_uri])
    assert result.exit_code == 1
    rows = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert rows == [f"{folder}/a.wav", f"{folder}/deep/er/b.wav", one.source]
    assert "set aside: 3 of 6 (undecodable 1, empty 1, missing 1)" in result.stderr
    assert f"note: {folder}: 1 file(s) of kinds that are not read: .wma 1" in result.stderr
    assert "2 hidden or system folder(s) not looked at, e.g. '.hidden'" in result.stderr
    for name in ("bad.mp3", "empty.wav", "gone.wav"):
        assert f"not classified: {folder / name}: " in result.stderr
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no audio below"):
        classify([str(tmp_path / "empty")], model=trained.folders[0].bundle_uri)
