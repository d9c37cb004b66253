"""What speaks for an answer: parts that sum to it, and name what a model was made to go by."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, encode, sounds_like, tiny_config, write_part, write_recordings
from tonearm.audio.windows import load_clip
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.types import FloatArray, Prediction
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble, save_ensemble
from tonearm.ensembles.combination import Combination
from tonearm.features import extract
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.store import FeatureStore, StoredClip, prepare_store, track_key
from tonearm.features.summaries import Moments, Profile, Summarised
from tonearm.inference import Explanation, Model, load
from tonearm.inference.explain import member_shares
from tonearm.models.mean_kernel import MeanKernelConfig
from tonearm.tasks import Embedding, MultiLabel, Regression, SingleLabel
from tonearm.training.batches import Batches
from tonearm.training.bundle import Bundle, build_network, load_bundle, save_bundle
from tonearm.training.config import OptimConfig, TrialConfig, WindowConfig
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.training.windows import clip_windows, window_times

TRACKS = 4 * len(CLASSES)  # of the training split


def blocks_config() -> TrialConfig:
    """A mean kernel of two inputs."""
    base = tiny_config()
    parts = {"timbre": Summarised(of=base.feature, summary=Moments()), "level": Summarised(of=base.feature,
             summary=Profile())}  # fmt: skip
    return TrialConfig(
        dataset=base.dataset, model=MeanKernelConfig(), task=SingleLabel(), clip=base.clip,
        feature=CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in parts.items())),
        window=WindowConfig(train_per_track=1, per_track=1), optim=OptimConfig(epochs=1),
    )  # fmt: skip


def solve(root: Path, tracks: list[Track], mute: str = "") -> str:
    """A solved trial; ``mute`` names the input that is noise, the same whatever a track sounds like."""
    config, stores, rng = blocks_config(), {}, np.random.default_rng(0)
    for name, feature in config.representations.items():
        uri = prepare_store(str(root / f"features{mute}"), feature, config.clip)
        values = []
        for track in tracks:
            waveform = load_clip(track.source, config.clip, 22050, min_seconds=config.min_seconds)
            found = extract(waveform, [feature])[feature.store_name()]
            values.append(rng.normal(0, 1, found.shape).astype(np.float32) if name == mute else found)
        write_part(uri, [track_key(t.content, config.clip) for t in tracks], values)
        stores[name] = FeatureStore(uri)
    folder = TrialFolder(str(root / f"blocks{mute}"))
    list(run_trial(config, Batches(config, tracks, CLASSES, stores), folder))
    return folder.bundle_uri


def save_network(root: Path, changes: dict[str, Any], classes: tuple[str, ...] = CLASSES) -> str:
    """A network with the weights that it begins with."""
    config = tiny_config({"window.per_track": 3, **changes})
    torch.manual_seed(3)
    name = str(root / f"network-{config.signature()}")
    save_bundle(name, Bundle(config, classes, {}, build_network(config, len(classes)).eval()))
    return name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def clean(root: Path) -> list[Track]:
    return write_recordings(root / "music")


@pytest.fixture(scope="module")
def tracks(clean: list[Track]) -> list[Track]:
    """One in four of the training tracks has another label than it sounds like, so that no model is quite sure."""
    wrong = {f"{a}/3": b for a, b in zip(CLASSES, (*CLASSES[1:], CLASSES[0]), strict=True)}
    return [dataclasses.replace(t, label=wrong.get(t.track_id, t.label)) for t in clean]


@pytest.fixture(scope="module")
def blocks(root: Path, tracks: list[Track]) -> str:
    return solve(root, tracks)


@pytest.fixture(scope="module")
def network(root: Path) -> str:
    return save_network(root, {"feature.normalisation": "track"})


@pytest.fixture(scope="module")
def ensemble(root: Path, blocks: str, network: str) -> Model:
    uri = str(root / "ensemble")
    save_ensemble(uri, [network, blocks], [1.0, 3.0], {}, [2.0, 0.1])
    return load(uri)


def song(label: str = "flute", seed: int = 5, seconds: float = 2.0) -> bytes:
    return encode(sounds_like(label, seed, seconds))


def log_odds(prediction: Prediction, found: Explanation) -> float:
    of = dict(zip(prediction.labels, prediction.probabilities, strict=True))
    return float(np.log(of[found.label] / of[found.against or ""]))


def test_parts_of_a_mean_kernel_sum_to_its_answer(blocks: str) -> None:
    model = load(blocks)
    for label in CLASSES:
        answer = model.classify(song(label))
        found = model.explain(song(label))
        assert found == answer.explanation and found.label == answer.label == label
        (member,) = found.members
        whole = log_odds(answer.prediction, found)
        assert member.log_odds == pytest.approx(whole, abs=1e-4)
        assert sum(p.log_odds for p in member.inputs) + member.rest == pytest.approx(whole, abs=1e-4)
        assert sum(t.log_odds for t in member.tracks) + member.rest == pytest.approx(whole, abs=1e-4)
        assert [p.name for p in member.inputs] == ["timbre", "level"]
        assert member.share == pytest.approx(found.difference, abs=1e-6)


@pytest.mark.parametrize(("mute", "speaks"), [("level", "timbre"), ("timbre", "level")])
def test_the_input_that_alone_tells_classes_apart_is_named(
    root: Path, clean: list[Track], mute: str, speaks: str
) -> None:
    model = load(solve(root, clean, mute))
    for label in CLASSES:
        found = model.explain(song(label), label)
        of = {p.name: p.log_odds for p in found.members[0].inputs}
        assert of[speaks] > 3 * abs(of[mute])
        assert found.sentence.startswith(f"{label} rather than {found.against}: {speaks} +")


def test_a_mean_kernel_hears_several_windows_of_a_track_at_once(root: Path, blocks: str) -> None:
    bundle = load_bundle(blocks)
    several = str(root / "several")
    save_bundle(several, dataclasses.replace(bundle, config=bundle.config.replace({"window.per_track": 3})))
    ((one,), (other,)) = (load(uri).explain(song()).members for uri in (blocks, several))
    assert other == one and [(w.start, w.end) for w in other.windows] == [(0.0, 2.0)]


def test_what_is_like_nothing_that_it_knows_is_said_to_be(blocks: str) -> None:
    found = load(blocks).explain(song())
    assert "; most like flute/" in found.sentence
    far = [dataclasses.replace(t, likeness=t.likeness / 250) for t in found.members[0].tracks]
    member = dataclasses.replace(found.members[0], tracks=tuple(far))
    said = dataclasses.replace(found, members=(member,)).sentence
    assert said.endswith("; like none of the training tracks") and "most like" not in said


def test_training_tracks_are_named_and_one_of_them_is_most_like_itself(blocks: str, tracks: list[Track]) -> None:
    known = {t.track_id: t for t in tracks if t.split == "train"}
    for track in list(known.values())[::4]:
        (member,) = load(blocks).explain(track.source).members
        assert {t.track_id for t in member.tracks} == set(known) and len(member.tracks) == TRACKS
        first, *others = member.tracks
        assert first.track_id == track.track_id and first.likeness == pytest.approx(1.0, abs=1e-3)
        assert [t.likeness for t in others] == sorted((t.likeness for t in others), reverse=True)
        assert others[0].track_id.partition("/")[0] == track.label


def test_landmarks_are_a_bundle_s_and_not_those_of_an_old_one(blocks: str, tmp_path: Path) -> None:
    bundle = load_bundle(blocks)
    assert len(bundle.landmarks) == TRACKS
    old = str(tmp_path / "old")
    save_bundle(old, dataclasses.replace(bundle, landmarks=()))
    (member,) = load(old).explain(song()).members
    assert member.tracks[0].track_id.startswith("training track ")
    save_bundle(old, dataclasses.replace(bundle, landmarks=bundle.landmarks[1:]))
    with pytest.raises(BundleError, match=f"names {TRACKS - 1} landmarks, its network has {TRACKS}"):
        load(old)


def test_windows_speak_by_their_own_logits_at_their_times(network: str, root: Path) -> None:
    model = load(network)
    answer, (member,) = model.classify(song()), model.explain(song()).members
    starts = [w.start for w in member.windows]
    assert starts[0] == 0 and starts == sorted(starts) and len(starts) == 3
    assert all(w.end - w.start == pytest.approx(40 * 256 / 22050) for w in member.windows)
    assert member.windows[-1].end <= 2.0 + 512 / 22050
    assert np.mean([w.log_odds for w in member.windows]) == pytest.approx(member.log_odds)
    by_logit = load(save_network(root, {"feature.normalisation": "track", "task.pooling": "mean_logit"}))
    said = by_logit.explain(song(), *(p for p, _ in answer.prediction.top(2)))
    assert [w.log_odds for w in said.members[0].windows] == pytest.approx([w.log_odds for w in member.windows])
    whole = log_odds(by_logit.predict(song()), said)
    assert said.members[0].log_odds == pytest.approx(whole, abs=1e-4)


def test_a_window_that_sounds_otherwise_speaks_against(tracks: list[Track], root: Path) -> None:
    """Half of a clip is of another class: its windows say so."""
    base = tiny_config({"optim.lr": 1e-2, "optim.epochs": 6})
    uri = prepare_store(str(root / "mel"), base.feature)
    waveforms = [load_clip(t.source, base.clip, 22050, min_seconds=base.min_seconds) for t in tracks]
    spectrograms = [extract(w, [base.feature])[base.feature.store_name()] for w in waveforms]
    write_part(uri, [track_key(t.content, base.clip) for t in tracks], spectrograms)
    folder = TrialFolder(str(root / "trained"))
    list(run_trial(base, Batches(base, tracks, CLASSES, FeatureStore(uri)), folder))
    halves = np.concatenate([sounds_like("noise", 9, 1.0), sounds_like("bass", 9, 1.0)])
    (member,) = load(folder.bundle_uri).explain(encode(halves), "noise", "bass").members
    first, last = member.windows
    assert first.log_odds > 0 > last.log_odds and first.end < 1.0 < last.start


def test_members_share_the_answer_by_their_weights(ensemble: Model, network: str, blocks: str) -> None:
    answer = ensemble.classify(song("bass"))
    found = answer.explanation
    assert found is not None and [m.name for m in found.members] == ["simple", "mean_kernel"]
    of = answer.probabilities
    assert found.difference == pytest.approx(of[found.label] - of[found.against or ""], abs=1e-6)
    assert sum(m.share for m in found.members) == pytest.approx(found.difference, abs=1e-6)
    first, second = found.members
    assert not first.inputs and not first.tracks and len(first.windows) == 3
    alone = load(blocks).explain(song("bass"), found.label, found.against or "").members[0]
    assert second.log_odds == pytest.approx(alone.log_odds / 0.1, abs=1e-4), "calibrated by its temperature"
    assert "mean_kernel adds" in found.sentence and answer.why == found.sentence
    assert str(found).startswith(f"{found.label} rather than {found.against}: {found.difference:+.3f}")
    assert "any recording" in str(found) and "training track" in str(found) and "window" in str(found)
    assert answer.why in str(answer)


@pytest.mark.parametrize(
    "combination",
    [Combination("mean", 0.5), Combination("geometric"), Combination("rank"),
     Combination("stacking", 1.0, (1.2, 0.4), (0.5, 0.0, -0.5))],
    ids=lambda c: c.kind,
)  # fmt: skip
def test_members_share_the_answer_however_they_are_combined(ensemble: Model, combination: Combination) -> None:
    model = Model(dataclasses.replace(ensemble.ensemble, combination=combination), "", ensemble.folder)
    found = model.explain(song("bass"))
    assert sum(m.share for m in found.members) + found.rest == pytest.approx(found.difference, abs=1e-6)
    assert (abs(found.rest) > 0.1) == (combination.kind == "stacking"), "its intercepts speak whatever members say"


def test_who_knows_nothing_has_no_share() -> None:
    config = tiny_config()
    one = Bundle(config, CLASSES, {}, build_network(config, len(CLASSES)))
    several = Ensemble((one, one, one), (2.0, 1.0, 1.0), {}, (1.0,) * 3, Combination("geometric"))
    nothing, sure = np.full(3, 1 / 3, np.float32), np.float32([0.8, 0.1, 0.1])
    rest, shares = member_shares(several, [nothing, sure, sure], np.float32([1, -1, 0]))
    assert rest == pytest.approx(0, abs=1e-6) and shares[0] == pytest.approx(0, abs=1e-6)
    assert shares[1] == pytest.approx(shares[2], abs=0.02) and min(shares[1:]) > 0.1


def test_any_two_classes_can_be_compared(blocks: str) -> None:
    model = load(blocks)
    forth, back = (model.explain(song("bass"), *pair) for pair in (("noise", "flute"), ("flute", "noise")))
    assert forth.difference == -back.difference
    assert [p.log_odds for p in forth.members[0].inputs] == pytest.approx([-p.log_odds for p in back.members[0].inputs])
    assert model.explain(song("bass"), "noise").against == "bass"
    assert model.explain(song("bass"), against="bass").label in ("flute", "noise")
    for wrong, said in ((("polka", ""), "knows no 'polka': bass, flute, noise"), (("bass", "bass"), "no other class")):
        with pytest.raises(ConfigError, match=said):
            model.explain(song("bass"), *wrong)


def test_labels_that_do_not_exclude_each_other_and_numbers(root: Path, tracks: list[Track]) -> None:
    labels = load(save_network(root, {"task": MultiLabel()}))
    found, answer = labels.explain(song()), labels.classify(song())
    assert found.against is None and found.label == answer.label
    assert found.difference == pytest.approx(answer.probabilities[answer.label])
    with pytest.raises(ConfigError, match="leave it out"):
        labels.explain(song(), "bass", "noise")
    numbers = load(save_network(root, {"task": Regression(target="tempo", squash="none")}, ("tempo",)))
    told = numbers.explain(song())
    assert told.label == "tempo" and told.difference == pytest.approx(numbers.classify(song()).probabilities["tempo"])
    vector = load(save_network(root, {"task": Embedding(target="v")}, ("0", "1", "2")))
    assert vector.classify(song()).explanation is None and vector.classify(song()).why == ""
    with pytest.raises(ConfigError, match="'embedding' gives a vector"):
        vector.explain(song())


def test_times_are_those_of_the_windows_that_a_network_gets() -> None:
    config = tiny_config({"window.per_track": 4})
    values: FloatArray = np.tile(np.arange(150, dtype=np.float32), (32, 1))
    clips = [StoredClip(values.astype(np.float16), None, i, 100.0 * i) for i in range(2)]  # type: ignore[arg-type]
    plain = config.replace({"feature.normalisation": "none"})
    windows = clip_windows(clips, plain, plain.representation, None)
    times = window_times(clips, plain, plain.representation)
    assert len(times) == len(windows) == 8
    for i, ((start, end), window) in enumerate(zip(times, windows, strict=True)):
        first = window[0, 0, 0]  # the number of its first frame
        assert start == pytest.approx(100.0 * (i // 4) + first * 256 / 22050)
        assert end - start == pytest.approx(40 * 256 / 22050)
    whole = blocks_config().representations["timbre"]
    assert window_times(clips, blocks_config(), whole) == [(0.0, 2.0), (100.0, 102.0)]
