"""Bundles of models of every kind of input: they come back with all that was fitted and predict the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_batches, toy_tracks, track, write_part
from tests.unit.model_examples import SMALL_MEMBER, SMALL_TOWER
from tests.unit.toy_problems import table_batches, table_config
from tonearm.core.errors import BundleError
from tonearm.datasets.manifest import Manifest
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.vocabulary import Vocabulary
from tonearm.features import Chroma, Cqt, Mel, Mfcc, StftHalved
from tonearm.features.base import Feature, Representation
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TableScaling,
    TokensFeature,
)
from tonearm.features.normalisation import TrainingStatistics
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.models import ModelConfig
from tonearm.tasks import Relations
from tonearm.training.batches import Batches, Examples
from tonearm.training.bundle import Bundle, build_network, load_bundle, save_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.examples import make_examples
from tonearm.training.logits import predict_split

Made = tuple[TrialConfig, Examples]
TRACKS = toy_tracks(3)
IDS = [t.track_id for t in TRACKS]
RNG = np.random.default_rng(3)
SPEC = {"hop": 256, "frames": None, "normalisation": "training"}
HEARD = {
    "stft_halved": StftHalved(n_fft=256, **SPEC), "mel": Mel(n_fft=512, n_mels=20, **SPEC),
    "cqt": Cqt(n_bins=18, bins_per_octave=6, **SPEC), "mfcc": Mfcc(n_fft=512, n_mels=20, n_mfcc=6, **SPEC),
    "chroma": Chroma(n_bins=24, bins_per_octave=12, **{**SPEC, "normalisation": "none"}),
}  # fmt: skip
VECTORS = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc", "year")


def model(kind: str, **fields: Any) -> dict[str, Any]:
    return {"model": ModelConfig.from_dict({"kind": kind, **fields})}


def one_spectrogram(root: Path) -> Made:
    config = tiny_config({"feature.normalisation": "training"})
    return config, toy_batches(root, config, TRACKS)


def several_spectrograms(root: Path) -> Made:
    feature = CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in HEARD.items()))
    fields = {"time": SMALL_MEMBER, "freq": SMALL_MEMBER, "rnn": {"widths": "5"}, "hidden": "8"}
    config = tiny_config({"feature": feature, **model("genre_ensemble", **fields)})
    stores = {}
    for name, own in HEARD.items():
        uri = prepare_store(str(root), own)
        arrays = [RNG.normal(len(name), 3, (own.freq_bins, 60)).astype(np.float32) for _ in TRACKS]
        write_part(uri, [track_key(t.content, config.clip) for t in TRACKS], arrays)
        stores[name] = FeatureStore(uri)
    return config, Batches(config, TRACKS, CLASSES, stores)


def one_table(root: Path) -> Made:
    config = table_config({"feature.scaling": "minmax"})
    return config, table_batches(config)


def several_tables(root: Path) -> Made:
    columns = {n: RNG.normal(2, 5, (len(IDS), 1 if n == "year" else 3)) for n in VECTORS}
    columns["year"] = np.where(np.arange(len(IDS)) % 4 == 0, np.nan, columns["year"][:, 0])
    parts = [NamedFeature(name=n, feature=TableFeature(columns=(n,), width=3, scaling="unit")) for n in VECTORS[:-1]]
    parts.append(NamedFeature(name="year", feature=TableFeature(columns=("year",), missing="keep")))
    feature = CompositeFeature(inputs=tuple(parts))
    config = tiny_config({"feature": feature, **model("recommendation", **SMALL_TOWER)})
    return config, Batches(config, TRACKS, CLASSES, metadata=Metadata(IDS, columns))


def words(root: Path) -> Made:
    feature = TokensFeature(vocabulary=9, length=6)
    config = tiny_config({"feature": feature, **model("lyrics", widths="4,5,6", word_dim=3)})
    texts = np.array([" ".join(RNG.choice(list("abcdefghijklm"), 6)) for _ in IDS], dtype=object)
    return config, Batches(config, TRACKS, CLASSES, metadata=Metadata(IDS, {"lyrics": texts}))


def pictures(root: Path) -> Made:
    file = root / "many.bin"
    file.write_bytes(RNG.integers(0, 256, (len(IDS), 2 + 3 * 32 * 32), dtype=np.uint8).tobytes())
    config = tiny_config({"feature": PictureFeature(size=32), **model("simple", width=1)})
    places = np.array([f"{file}#{i}" for i in range(len(IDS))], dtype=object)
    return config, Batches(config, TRACKS, CLASSES, metadata=Metadata(IDS, {"picture": places}))


def related_artists(root: Path) -> Made:
    artists = [track(n, "", split="train") for n in "abcd"]
    metadata = Metadata(list("abcd"), {"related": [[1, -1], [0, 2], [3, -1], [-1, -1]]})
    config = tiny_config(
        {"feature": ArtistsFeature(artists=4), **model("artist_table"), "task": Relations(dimension=3)}
    )
    return config, make_examples(config, Manifest("d", "artist", tuple(artists), metadata=metadata), "", "")


KINDS = (one_spectrogram, several_spectrograms, one_table, several_tables, words, pictures, related_artists)
#: What the training split says of each input.
FITTED: dict[str, dict[str, type | None]] = {
    "one_spectrogram": {"": TrainingStatistics},
    "several_spectrograms": dict.fromkeys(HEARD, TrainingStatistics),
    "one_table": {"": TableScaling},
    "several_tables": dict.fromkeys(VECTORS, TableScaling),
    "words": {"": Vocabulary},
    "pictures": {"": type(None)},
    "related_artists": {},
}


@pytest.mark.parametrize("make", KINDS, ids=lambda k: k.__name__)
def test_bundle_comes_back_with_all_that_was_fitted_and_predicts_the_same(
    make: Callable[[Path], Made], tmp_path: Path
) -> None:
    config, examples = make(tmp_path)
    torch.manual_seed(0)
    network = build_network(config, len(examples.classes)).train()
    for batch in examples.train(1, 4, 2):
        network(batch.inputs)  # moves batch normalisation's figures
    before = predict_split(network, config.task, examples, "validation")
    uri = str(tmp_path / "bundle")
    save_bundle(uri, Bundle(config, examples.classes, {"epoch": 1}, network, examples.fitted))
    again = load_bundle(uri)
    assert (again.config, again.classes) == (config, examples.classes)
    assert again.fitted == examples.fitted
    assert {name: type(found) for name, found in again.fitted.items()} == FITTED[make.__name__]
    after = predict_split(again.network, config.task, examples, "validation")
    assert np.array_equal(after, before) and len(np.unique(after.round(9))) > 2
    other = build_network(config, len(examples.classes))
    assert not np.allclose(predict_split(other, config.task, examples, "validation"), before)


def test_every_kind_of_input_has_its_bundle() -> None:
    given = {kind for kind in Feature.registry if not issubclass(Feature.registry[kind], Representation)}
    assert given == {"table", "tokens", "picture", "artists", "several"}  # a new one needs its line in KINDS


def test_table_s_scaling_is_kept_to_the_last_digit(tmp_path: Path) -> None:
    config, examples = one_table(tmp_path)
    awkward = TableScaling((0.1 + 0.2, -1e-17, 3.0), (1 / 3, 2.0**-40, 7.0), (1e20 / 3, -0.0, 5.0))
    bundle = Bundle(config, examples.classes, {}, build_network(config, 3), {"": awkward})
    save_bundle(str(tmp_path / "b"), bundle)
    assert load_bundle(str(tmp_path / "b")).fitted == {"": awkward}
    assert bundle.scaling is None  # which is a representation's


def test_bundle_that_lacks_a_scaling_it_needs_is_refused(tmp_path: Path) -> None:
    for make, name in ((one_spectrogram, ""), (several_spectrograms, "cqt")):
        root = tmp_path / make.__name__
        root.mkdir()
        config, examples = make(root)
        save_bundle(str(root / "b"), Bundle(config, examples.classes, {}, build_network(config, 3), examples.fitted))
        path = root / "b" / "bundle.json"
        values = json.loads(path.read_text())
        for damage in (None, {"shift": [0.0], "scale": [1.0], "mean": [0.0]}):
            path.write_text(json.dumps({**values, "fitted": {**values["fitted"], name: damage}}))
            with pytest.raises(BundleError, match="lacks the training split's mean and deviation"):
                load_bundle(str(root / "b"))
        assert load_bundle_of(values, path) == examples.fitted


@pytest.mark.parametrize(
    ("make", "damage", "message"),
    [
        (words, {"words": ["a", "a"]}, "the word 'a' occurs twice"),
        (words, {"words": ["a", 3]}, "3 is no text"),
        (words, {"words": "abc"}, "its words are 'abc', no list"),
        (words, {"words": {"a": 1}}, "no list"),
        (words, {"words": list("abcdefghij")}, "input '' lacks a vocabulary of at most 9 words"),
        (words, {"mean": 0.0, "deviation": 1.0}, "lacks a vocabulary"),
        (words, None, "lacks a vocabulary"),
        (words, {}, "lacks a vocabulary"),
        (one_table, None, "lacks the training split's scaling of its 3 columns"),
        (one_table, {"words": ["a"]}, "lacks the training split's scaling"),
        (one_table, {"shift": [], "scale": [], "mean": []}, "lacks the training split's scaling"),
        (one_table, {"shift": [0], "scale": [1], "mean": [0]}, "lacks the training split's scaling"),
    ],
)
def test_what_was_fitted_must_be_there_and_fit(
    make: Callable[[Path], Made], damage: object, message: str, tmp_path: Path
) -> None:
    config, examples = make(tmp_path)
    save_bundle(str(tmp_path / "b"), Bundle(config, examples.classes, {}, build_network(config, 3), examples.fitted))
    path = tmp_path / "b" / "bundle.json"
    values = json.loads(path.read_text())
    for fitted in ({"": damage}, {} if damage is None else {"": damage}):
        path.write_text(json.dumps({**values, "fitted": fitted}))
        with pytest.raises(BundleError, match=f"is damaged: .*{message}"):
            load_bundle(str(tmp_path / "b"))


def load_bundle_of(values: dict[str, Any], path: Path) -> Any:
    path.write_text(json.dumps(values))
    return load_bundle(str(path.parent)).fitted
