"""Encoders of the home: what is fetched, files of one's own, and models that hear through them."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces.recipes import RECIPES, ours
from tests.builders import CLASSES, tiny_config, write_recordings
from tests.encoder_files import PATCH, RATE, onnx, statistics_encoder, torchscript
from tests.extract_in_process import extract_in_process
from tonearm.core import home
from tonearm.core.errors import BundleError, ConfigError, JobError
from tonearm.features.frozen import encoders_in
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.presets import as_representation, display_name
from tonearm.features.store import FeatureStore, store_uri
from tonearm.features.summaries import Moments, Summarised
from tonearm.features.weight_files import stored_place
from tonearm.features.weights import KNOWN, register, registered, require_weights
from tonearm.inference import load, predict_tracks
from tonearm.models.mean_kernel import MeanKernelConfig
from tonearm.pipelines.extract import extract_features
from tonearm.training.batches import Batches
from tonearm.training.bundle import load_bundle
from tonearm.training.config import WindowConfig
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.workflows import weights


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(home.HOME, str(tmp_path / "home"))
    monkeypatch.setenv(home.CACHE, str(tmp_path / "cache"))
    return tmp_path / "home"


# --- what is fetched


def test_what_cannot_be_fetched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(JobError, match=r"pip could not fetch musicnn==0.1.0: .*or fetch the wheel elsewhere"):
        weights.weights("musicnn")
    wheel = tmp_path / "musicnn.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr(weights.LICENCE, "ISC")
        out.writestr(f"{weights.CHECKPOINT}.index", b"other")
    with pytest.raises(ConfigError, match=r"musicnn/MSD_musicnn/.index is not that of musicnn==0.1.0"):
        weights.weights("musicnn", str(wheel))
    wheel.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"is not the wheel of musicnn==0.1.0"):
        weights.weights("musicnn", str(wheel))
    with pytest.raises(ConfigError, match="weights musicn: say musicnn, add FILE or list"):
        weights.weights("musicn")


def test_the_recipe_is_refused_with_the_command_that_fetches(tmp_path: Path) -> None:
    config = RECIPES["blocks_pretrained"]().stages[0].config
    with pytest.raises(ConfigError, match="weights of musicnn are not here: fetch them with tonearm weights musicnn"):
        require_weights(config.representations.values())  # type: ignore[union-attr]
    parts = config.feature.named_inputs()  # type: ignore[union-attr]
    assert len(parts) == 17 and parts["musicnn"].at("of.patches") == 5
    assert config.at("model.weights") == "musicnn=16"  # half the kernel
    file = torchscript(tmp_path / "m.pt")
    register(statistics_encoder(file, name="musicnn", file=""), file)
    there = RECIPES["blocks_pretrained"]().stages[0].config
    require_weights(there.representations.values())  # type: ignore[union-attr]
    assert there.signature() != config.signature()


# --- a file of one's own


def add(file: Path | str, **changes: object) -> str:
    given: dict[str, object] = {"name": "mine", "rate": RATE, "patch": PATCH, "outputs": "moments, sizes", **changes}
    return weights.add_encoder(str(file), **given)  # type: ignore[arg-type]


def test_a_file_is_tried_and_kept_under_a_name(tmp_path: Path) -> None:
    said = add(torchscript(tmp_path / "s.pt"), licence="CC BY-NC-SA 4.0", patches=2)
    encoder = registered("mine")[0]
    assert [(o.name, o.dim) for o in encoder.outputs] == [("moments", 2), ("sizes", 10)]
    place = stored_place(encoder.sha256)
    assert "licence: CC BY-NC-SA 4.0" in said and Path(place).exists() and place in said
    assert as_representation("mine").input_spec(30).shape == (1, 12, 2)
    table = weights.list_encoders()
    row = r"mine +0.12 s of the waveform at 8000 Hz +2 +moments 2, sizes 10 +CC BY-NC-SA 4.0 +"
    assert re.search(row + encoder.sha256[:12], table)
    assert "not here: musicnn, fetch it with tonearm weights musicnn" in table
    Path(place).unlink()
    assert "(its file is not there)" in weights.list_encoders()


def test_an_onnx_file_on_a_representation_is_added(tmp_path: Path) -> None:
    file = onnx(tmp_path / "e.onnx", np.ones((PATCH, 7), dtype=np.float32))
    add(file, outputs=["embedding"], licence="MIT")
    assert registered("mine")[0].freq_bins == 7

    class Pools(nn.Module):
        def forward(self, x: Tensor) -> Tensor:  # (patches, frames, rows)
            return x.amax(dim=1)

    mel = "mel(sample_rate=8000, n_fft=512, hop=256, n_mels=20)"
    add(torchscript(tmp_path / "p.pt", Pools()), name="pools", rate=0, of=mel, patch=40, outputs="0")
    pools = registered("pools")[0]
    assert (pools.order, pools.freq_bins, pools.layout) == ("frames_rows", 20, (8000, 1))
    assert "40 frames of mel(sample_rate=8000, hop=256, n_fft=512, n_mels=20" in weights.list_encoders()


class Normed(nn.Module):
    """Each patch by the greatest of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] / x.abs().amax()


class Whole(nn.Module):
    """One vector of a whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=0)


class Scaled(nn.Module):
    """Numbers of any size, all between two values."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * x[:, :3].abs().clamp(max=1)


class Drawn(nn.Module):
    """Another answer each time."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] + 0.001 * torch.rand(1)


class Logarithm(nn.Module):
    """Of no number below zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3].clamp(max=0).log()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mel"}, "the name 'mel': mel is something else in --features"),
        (
            {"name": "level"},
            "the name 'level': level is something else",
        ),
        ({"name": "waveform"}, "the name 'waveform': waveform is something else"),
        ({"name": "moments"}, "the name 'moments': moments is something else"),
        ({"name": "musicnn"}, "the name 'musicnn': musicnn is something else"),
        ({"name": "onset"}, "the name 'onset': onset_moments is something else"),
        ({"name": "a" * 65}, "give small letters, digits and _, a letter first, 64 at most"),
        ({"module": Scaled(0.0, 1e5), "outputs": "0"}, r"output '0' is .* to .*e\+04 of noise: .* Scale them inside"),
        ({"module": Scaled(0.0, 1e-8), "outputs": "0"}, r"output '0' is .* to .*e-09 of noise: .* differ by 0.0001"),
        ({"module": Scaled(3.0, 3.0), "outputs": "0"}, r"output '0' is 3 to 3 of noise"),
        ({"module": Drawn(), "outputs": "0"}, "output '0' of the same patches is another when it is asked again"),
        ({"module": Logarithm(), "outputs": "0"}, "output '0' of noise is not finite"),
        ({"licence_file": "nowhere.txt"}, "nowhere.txt: no such file; give the licence's text"),
        ({"outputs": ""}, r"outputs are not named: it has moments \(2,\), sizes \(10, 1\)"),
        ({"outputs": "embedding"}, r"outputs embedding: it has moments \(2,\), sizes"),
        ({"patch": 50}, r"mine cannot take a batch of shape \(2, 50\)"),
        ({"patch": 0}, "an encoder needs a name .* how much of that at once"),
        ({"rate": 0}, "an encoder needs a name .* a waveform's sample rate"),
        ({"of": "mel", "rate": 16000}, "--rate is 16000, mel has 22050 Hz: leave one of them out"),
        ({"of": "mel", "rate": 0, "patch": 3, "order": "samples"}, "order is 'samples', but mel has 256 rows"),
        ({"order": "rows"}, "'rows' is none of 'samples', 'frames_rows'"),
        ({"name": "My own"}, "the name 'My own': give small letters"),
        ({"module": Normed(), "outputs": "0"}, "output '0' of a patch depends on the others of its batch"),
        ({"module": Whole(), "outputs": "0"}, r"output '0' has shape \(1000,\) for 2 patches"),
        ({"file": "nowhere.pt"}, "nowhere.pt: no such file; give a TorchScript or ONNX file"),
    ],
)
def test_what_does_not_fit_is_not_kept(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    module = changes.pop("module", None)
    file = changes.pop("file", None) or torchscript(tmp_path / "s.pt", module)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        add(file, **changes)  # type: ignore[arg-type]
    assert not list((tmp_path / "home").glob("weights/*"))


def test_another_file_under_a_name_is_told(tmp_path: Path) -> None:
    assert "replaces" not in add(torchscript(tmp_path / "s.pt")) + add(tmp_path / "s.pt", patches=3)
    earlier = registered("mine")[0].sha256
    said = add(torchscript(tmp_path / "o.pt", Scaled(0.0, 2.0)), outputs="0")
    assert f"it replaces that of sha256 {earlier[:12]}" in said and stored_place(earlier) in said
    assert Path(stored_place(earlier)).exists() and registered("mine")[0].sha256 != earlier


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("list", "", {"name": "x", "rate": 3}), "weights list takes no --name, --rate: leave it out"),
        (("list", "a.pt", {}), "weights list takes no a.pt"),
        (("musicnn", "a.whl", {"licence_file": "x"}), "weights musicnn takes no --licence-file"),
        (("musicnn", "", {"patches": 3}), "weights musicnn takes no --patches"),
    ],
)
def test_what_does_not_apply_is_refused(given: tuple[str, str, dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        weights.weights(given[0], given[1], **given[2])
    assert "no encoder yet" in weights.weights("list", "", name="", rate=0, patches=None)


def test_the_demo_listens_through_musicnn_where_its_file_is_there(tmp_path: Path) -> None:
    assert ours.small_collection().stages[0].name == "blocks"
    file = torchscript(tmp_path / "m.pt")
    register(statistics_encoder(file, name="musicnn", file=""), file)
    assert ours.small_collection().stages[0].name == "blocks_pretrained"
    Path(stored_place(registered("musicnn")[0].sha256)).unlink()  # its description stays
    assert ours.small_collection().stages[0].name == "blocks"


def test_registered_names_are_representations(tmp_path: Path) -> None:
    encoder = statistics_encoder(tmp_path / "s.pt", file="")
    register(encoder, tmp_path / "s.pt")
    pooled = Summarised(of=encoder, summary=Moments())
    assert as_representation("statistics") == encoder and as_representation("statistics_moments") == pooled
    assert [display_name(f) for f in (encoder, pooled)] == ["statistics", "statistics_moments"]
    for name in ("statistics(patches=7)", "summary(of=statistics(patches=7), summary=moments)"):
        changed = as_representation(name)
        assert encoders_in(changed) == [encoder.replace({"patches": 7})]
        assert display_name(changed) == name and as_representation(display_name(changed)) == changed
    assert as_representation("musicnn") == KNOWN["musicnn"] and KNOWN["musicnn"].freq_bins == 1706
    with pytest.raises(ConfigError, match=r"Did you mean 'statistics'\?"):
        as_representation("statistic")
    with pytest.raises(ConfigError, match="the name 'My Encoder'"):
        register(encoder.replace({"name": "My Encoder"}), tmp_path / "s.pt")


# --- models that hear through an encoder


def test_a_model_hears_in_serving_what_it_learned_from_and_refuses_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract_in_process(monkeypatch)
    (tmp_path / "isc.txt").write_text("Permission to use, copy, … is hereby granted", encoding="utf-8")
    add(torchscript(tmp_path / "s.pt"), licence="ISC", licence_file=str(tmp_path / "isc.txt"), patches=4)
    encoder = as_representation("mine")
    pooled = Summarised(of=as_representation("mel(n_mels=16, n_fft=512, hop=256)"), summary=Moments())
    parts = {"mine": as_representation("mine_moments"), "mel": pooled}
    feature = CompositeFeature(inputs=tuple(NamedFeature(name=n, feature=f) for n, f in parts.items()))
    config = tiny_config({"feature": feature, "model": MeanKernelConfig(weights="mine=2"), "optim.epochs": 1,
                          "window": WindowConfig(train_per_track=1, per_track=1)})  # fmt: skip
    tracks, features = write_recordings(tmp_path / "music"), str(tmp_path / "features")
    report = extract_features(tracks, [*parts.values(), encoder], config.clip, features, 1.0)
    assert not report.rejects
    stores = {name: FeatureStore(store_uri(features, f)) for name, f in parts.items()}
    folder = TrialFolder(str(tmp_path / "trial"))
    list(run_trial(config, Batches(config, tracks, CLASSES, stores), folder))
    model = load(folder.bundle_uri)
    chosen = tracks[::3]
    for track, from_store in zip(chosen, predict_tracks(model, chosen, features, "unused"), strict=True):
        served = model.predict(track.source)
        np.testing.assert_allclose(served.probabilities, from_store.probabilities, atol=1e-5)
        np.testing.assert_allclose(served.embedding, from_store.embedding, atol=1e-5)
    kept = json.loads((Path(folder.bundle_uri) / "bundle.json").read_text())
    (own,) = encoders_in(Summarised.from_dict(kept["config"]["feature"]["inputs"][0]["feature"]))
    assert own == encoder and own.licence == "ISC"
    text = {"mine": "Permission to use, copy, … is hereby granted"}  # which the licence wants beside copies
    assert kept["licences"] == text and load_bundle(folder.bundle_uri).licences == text

    place = Path(stored_place(own.sha256))
    place.write_bytes(torchscript(tmp_path / "other.pt", Whole()).read_bytes())
    with pytest.raises(BundleError) as refused:
        load(folder.bundle_uri)
    for told in (f"the model at {folder.bundle_uri} hears through a frozen encoder", own.sha256, str(place),
                 "licence: ISC", "is another, of sha256"):  # fmt: skip
        assert told in str(refused.value)
    place.unlink()
    with pytest.raises(BundleError, match=r"the weights of mine \(licence: ISC\) are not here"):
        load(folder.bundle_uri)
    with pytest.raises(ConfigError, match="the weights of mine"):
        extract_features(tracks, [dataclasses.replace(encoder, patches=3)], config.clip, features, 1.0)
