"""Windows of one time at any hop, and inputs of one frame beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, toy_spectrogram, toy_tracks, write_part
from tonearm.core.errors import ConfigError
from tonearm.core.seeding import derive_seed
from tonearm.features import Chroma, Mel, Mfcc
from tonearm.features.metadata import CompositeFeature, NamedFeature
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.features.summaries import Moments, Summarised
from tonearm.models.mean_kernel import MeanKernelConfig
from tonearm.training.batches import Batches
from tonearm.training.config import TrialConfig, WindowConfig


@pytest.mark.parametrize(("hop", "frames"), [(256, 172), (512, 86), (1024, 43)])
def test_a_window_in_seconds_lasts_as_long_at_any_hop(hop: int, frames: int) -> None:
    config = tiny_config({"window.seconds": 2.0, "feature.n_fft": 1024, "feature.hop": hop, "clip.seconds": 4.0})
    assert config.inputs.frames == config.window.frames_of(config.representation) == frames  # type: ignore[union-attr]
    assert frames * hop / 22050 == pytest.approx(2.0, abs=0.02)
    assert config.min_seconds == 2.0


def test_ten_seconds_are_the_frames_of_our_recipes() -> None:
    assert WindowConfig(seconds=10.0).frames_of(Mel()) == WindowConfig().frames == 215
    assert "seconds" not in WindowConfig().to_dict() and WindowConfig(seconds=10.0).to_dict()["seconds"] == 10.0


def test_what_was_set_last_counts() -> None:
    lasting = tiny_config({"window.seconds": 1.0})
    assert lasting.window == tiny_config({"window.frames": 77, "window.seconds": 1.0}).window
    assert lasting.replace({"window.frames": 50}).window == tiny_config({"window.frames": 50}).window
    assert lasting.replace({"window.per_track": 4}).window.seconds == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window.seconds": 0.0}, "window.seconds is 0"),
        ({"window.seconds": float("inf")}, "window.seconds is inf"),
        ({"window.seconds": 3.0}, "window.seconds 3 is longer than the 173 frames of a clip of 2 s"),
        ({"window.frames": 300}, "window.frames 300 is longer than the 173 frames"),
    ],
)
def test_windows_that_cannot_be_taken(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tiny_config(changes)


def several(*features: tuple[str, Mel | Summarised | Chroma]) -> TrialConfig:
    base = tiny_config()
    inputs = CompositeFeature(inputs=tuple(NamedFeature(name=name, feature=f) for name, f in features))
    return TrialConfig(dataset=base.dataset, feature=inputs, model=MeanKernelConfig(), task=base.task, clip=base.clip,
                       window=base.window)  # fmt: skip


def test_inputs_of_one_frame_may_have_any_hop_and_others_may_not() -> None:
    summed = Summarised(of=Mfcc(n_mels=40, n_fft=1024, hop=512), summary=Moments())
    mel = tiny_config().feature
    assert isinstance(mel, Mel)
    config = several(("mel", mel), ("summed", summed))
    assert config.inputs["mel"].frames == 40 and config.inputs["summed"].shape == (1, 24, 1)  # type: ignore[index]
    with pytest.raises(ConfigError, match="differ in hop"):
        several(("mel", mel), ("chroma", Chroma(hop=512)))


def test_what_is_whole_is_given_whole_beside_any_window(tmp_path: Path) -> None:
    mel = tiny_config().feature
    assert isinstance(mel, Mel)
    summed, tracks = Summarised(of=mel, summary=Moments()), toy_tracks()
    for first in ((("mel", mel), ("summed", summed)), (("summed", summed), ("mel", mel))):
        config = several(*first)
        stores = {}
        for name, feature in first:
            root = tmp_path / first[0][0] / name
            uri = prepare_store(str(root), feature)
            arrays = [toy_spectrogram(t.label, derive_seed(t.track_id)) for t in tracks]
            values = arrays if name == "mel" else [summed.derive(x) for x in arrays]
            write_part(uri, [track_key(t.content, config.clip) for t in tracks], values)
            stores[name] = FeatureStore(uri)
        batches = Batches(config, tracks, CLASSES, stores)
        batch = next(batches.train(1, 18))
        assert isinstance(batch.inputs, dict) and batch.inputs["mel"].shape == (18, 1, 32, 40)
        expected = {t.track_id: stores["summed"].read(track_key(t.content, config.clip)).values for t in tracks}
        for track_id, values in zip(batch.track_ids, batch.inputs["summed"], strict=True):
            np.testing.assert_array_equal(values[0].numpy(), expected[track_id].astype(np.float32))
        (inputs, each), *_ = batches.evaluation("validation")
        assert isinstance(inputs, dict) and each == 2 and len(inputs["mel"]) == len(inputs["summed"])
        assert torch.equal(inputs["summed"][0], inputs["summed"][1])
        assert not torch.equal(inputs["mel"][0], inputs["mel"][1])
