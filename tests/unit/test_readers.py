"""Stored representations, one or several: which windows are drawn, which stand for a track, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.builders import tiny_config, track, write_part
from tests.unit.toy_problems import SQUARES, AnyInput
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.datasets.metadata import Metadata
from tonearm.features import Mel
from tonearm.features.metadata import ArtistsFeature, CompositeFeature, NamedFeature
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.models.base import WINDOWS_AT_ONCE, Inputs, Network, one_input
from tonearm.training.batches import Batches
from tonearm.training.config import TrialConfig
from tonearm.training.logits import predict_split

FINE = Mel(n_mels=32, n_fft=512, hop=256, frames=None, normalisation="none")
COARSE = FINE.replace({"n_mels": 20})
BOTH = CompositeFeature(inputs=(NamedFeature(name="fine", feature=FINE), NamedFeature(name="coarse", feature=COARSE)))
#: Frames of the clips of each track; a window has 40.
CLIPS = {"t0": (60,), "t1": (60, 50, 44), "t2": (48, 60, 52), "t3": (60,), "t4": (41,)}


def config_of(changes: Mapping[str, Any]) -> TrialConfig:
    base = {"model": AnyInput(), "task": SQUARES, "clip.position": "all", "feature": FINE}
    return tiny_config({**base, **changes})


def batches_of(root: Path, config: TrialConfig, clips: Mapping[str, Sequence[int]] = CLIPS) -> Batches:
    """Every value says where it is from: the first row its frame, the second its clip, the third its track."""
    tracks = [track(i, split="validation") for i in clips] + [track(f"x{i}", split="train") for i in clips]
    stores = {}
    for name, feature in config.representations.items():
        uri, keys, arrays = prepare_store(str(root), feature), [], []
        for t in tracks:
            for clip, frames in enumerate(clips[t.track_id.removeprefix("x")]):
                values = np.zeros((feature.freq_bins, frames), dtype=np.float32)
                values[0], values[1], values[2] = np.arange(frames), clip, int(t.track_id.lstrip("xt"))
                keys.append(track_key(t.content, config.clip))
                arrays.append(values)
        write_part(uri, keys, arrays)
        stores[name] = FeatureStore(uri)
    metadata = Metadata([t.track_id for t in tracks], {"y": np.arange(float(len(tracks)))})
    return Batches(config, tracks, ["y"], stores, metadata)


def places(windows: Tensor) -> list[tuple[int, int, int]]:
    """Track, clip and first frame of each window, all of whose frames must follow upon one another."""
    assert windows.shape[1] == 1 and windows.shape[3] == 40
    assert torch.equal(windows[:, 0, 0] - windows[:, 0, 0, :1], torch.arange(40.0).expand(len(windows), 40))
    assert (windows[:, 0, 1:3] == windows[:, 0, 1:3, :1]).all()
    return [(int(w[2, 0]), int(w[1, 0]), int(w[0, 0])) for w in windows[:, 0]]


# --- training


@pytest.mark.parametrize("feature", [FINE, BOTH], ids=["one", "two"])
def test_windows_are_drawn_of_all_clips_and_places_of_the_example_s_track(feature: Any, tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({"feature": feature, "window.train_per_track": 60}))
    drawn = []
    for batch in batches.train(1):
        windows = batch.inputs if isinstance(batch.inputs, Tensor) else batch.inputs["fine"]
        own = places(windows)
        assert [f"xt{t}" for t, _, _ in own] == list(batch.track_ids)
        drawn += own
    wanted = {(int(i[1:]), clip, start) for i, clips in CLIPS.items() for clip, frames in enumerate(clips)
              for start in range(frames - 40 + 1)}  # fmt: skip
    assert set(drawn) <= wanted and len(set(drawn)) > 0.8 * len(wanted)
    for t in (0, 4):  # each possible place of these tracks; the last one included
        assert {p for p in drawn if p[0] == t} >= {p for p in wanted if p[0] == t and p[2] in (0, 1)}
    clips = [clip for t, clip, _ in drawn if t == 1]
    assert all(abs(clips.count(c) - 20) < 15 for c in range(3))


def test_both_representations_give_the_same_clip_and_time(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({"feature": BOTH, "window.train_per_track": 9}))
    for batch in batches.train(1):
        assert isinstance(batch.inputs, dict) and list(batch.inputs) == ["fine", "coarse"]
        assert batch.inputs["fine"].shape[2] == 32 and batch.inputs["coarse"].shape[2] == 20
        assert places(batch.inputs["fine"]) == places(batch.inputs["coarse"])
    for inputs, _ in batches.evaluation("validation"):
        assert isinstance(inputs, dict) and places(inputs["fine"]) == places(inputs["coarse"])


def test_order_of_the_inputs_changes_no_window(tmp_path: Path) -> None:
    turned = CompositeFeature(inputs=BOTH.inputs[::-1])
    one, other = (batches_of(tmp_path / n, config_of({"feature": f})) for n, f in (("a", BOTH), ("b", turned)))
    for a, b in zip(one.train(3), other.train(3), strict=True):
        assert isinstance(a.inputs, dict) and isinstance(b.inputs, dict) and a.track_ids == b.track_ids
        assert torch.equal(a.inputs["fine"], b.inputs["fine"]) and torch.equal(a.inputs["coarse"], b.inputs["coarse"])


def test_each_input_has_its_own_normalisation_and_scaling(tmp_path: Path) -> None:
    scaled = COARSE.replace({"normalisation": "training"})
    both = CompositeFeature(
        inputs=(NamedFeature(name="fine", feature=FINE), NamedFeature(name="coarse", feature=scaled))
    )
    batches = batches_of(tmp_path, config_of({"feature": both}), {"t0": (60,), "t1": (60,)})
    mean = (np.arange(60).mean() + 0 + 0.5) / 20  # rows of frames, of clips, and of track numbers 0 and 1, in 20
    square = (np.square(np.arange(60)).mean() + 0 + 0.5) / 20
    found = batches.fitted["coarse"]
    assert found is not None and (found.mean, found.deviation) == (  # type: ignore[union-attr]
        pytest.approx(mean, rel=1e-4), pytest.approx(np.sqrt(square - mean**2), rel=1e-4),
    )  # fmt: skip
    (inputs, _), *_ = batches.evaluation("validation")
    assert isinstance(inputs, dict)
    wanted = (inputs["fine"][:, :, :20] - mean) / np.sqrt(square - mean**2)
    torch.testing.assert_close(inputs["coarse"], wanted.float(), rtol=1e-3, atol=1e-3)


# --- evaluation


def test_tracks_of_equally_many_windows_are_taken_together_in_their_order(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({"window.per_track": 2}))
    found = [(places(inputs), each) for inputs, each in batches.evaluation("validation")]  # type: ignore[arg-type]
    assert found == [
        ([(0, 0, 0), (0, 0, 20)], 2),
        ([(1, 0, 0), (1, 0, 20), (1, 1, 0), (1, 1, 10), (1, 2, 0), (1, 2, 4),
          (2, 0, 0), (2, 0, 8), (2, 1, 0), (2, 1, 20), (2, 2, 0), (2, 2, 12)], 6),
        ([(3, 0, 0), (3, 0, 20), (4, 0, 0), (4, 0, 1)], 2),
    ]  # fmt: skip


def test_many_tracks_are_taken_some_at_a_time(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({"window.per_track": 3}), {f"t{i:02d}": (60,) for i in range(50)})
    found = [(places(inputs), each) for inputs, each in batches.evaluation("validation")]  # type: ignore[arg-type]
    assert [t for windows, _ in found for t, _, _ in windows] == [t for t in range(50) for _ in range(3)]
    assert {each for _, each in found} == {3}
    assert len(found) > 1 and all(len(windows) < WINDOWS_AT_ONCE + 3 for windows, _ in found)


class FirstFrame(Network):
    """Its output is the window's first frame."""

    embedding_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def embed(self, x: Inputs) -> Tensor:
        return one_input(x)[:, 0, 0, :1]

    def forward(self, x: Inputs) -> Tensor:
        return self.embed(x) * self.weight


def test_predictions_pool_each_track_s_own_windows(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({"window.per_track": 2}))
    predictions = predict_split(FirstFrame().train(), SQUARES, batches, "validation")
    wanted = [(0 + 20) / 2, (20 + 10 + 4) / 6, (8 + 20 + 12) / 6, 10, 0.5]
    assert predictions.shape == (5, 1) and predictions[:, 0].tolist() == pytest.approx(wanted)
    assert batches.ids("validation") == list(CLIPS)


def test_targets_groups_and_ids_are_in_the_order_of_the_windows(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, config_of({}))
    assert batches.ids("train") == [f"x{i}" for i in CLIPS] and batches.ids("test") == []
    assert batches.groups("validation") == [f"track:{i}" for i in CLIPS]
    assert batches.targets("validation").tolist() == [[0], [1], [2], [3], [4]]
    assert batches.targets("train").tolist() == [[5], [6], [7], [8], [9]]


# --- what cannot be


def test_representations_of_other_times_are_refused() -> None:
    for changes in ({"hop": 128}, {"sample_rate": 44100}, {"frames": 100}):
        other = CompositeFeature(inputs=(BOTH.inputs[0], NamedFeature(name="coarse", feature=COARSE.replace(changes))))
        with pytest.raises(ConfigError, match="the representations differ in hop, sample rate or frames: windows"):
            config_of({"feature": other})


def test_input_that_is_too_short_for_a_window_is_named() -> None:
    short = CompositeFeature(
        inputs=(BOTH.inputs[0], NamedFeature(name="coarse", feature=COARSE.replace({"frames": 30})))
    )
    with pytest.raises(ConfigError, match=r"window\.frames 40 is longer than the 30 frames .* at hop 256 of coarse"):
        config_of({"feature": short})


def test_augmentation_of_several_inputs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"augment is set, but several is no single representation of audio"):
        config_of({"feature": BOTH, "augment.gain_db": 3.0})


def test_input_without_store_or_reader_is_named(tmp_path: Path) -> None:
    whole = batches_of(tmp_path, config_of({"feature": BOTH}))
    stores = {"fine": whole.readers["fine"].store}
    with pytest.raises(TrainingError, match=r"the representation mel\(.*n_mels=20.*\) has no store: extract it first"):
        Batches(whole.config, [], ["y"], stores)
    with pytest.raises(TrainingError, match="there is no reader for an input of kind 'artists'"):
        Batches(config_of({"feature": ArtistsFeature()}), [], ["y"])


def test_trial_that_hears_nothing_has_no_representation() -> None:
    config = config_of({"feature": CompositeFeature(inputs=(NamedFeature(name="who", feature=ArtistsFeature()),))})
    assert config.min_seconds == 0.0 and config.representations == {}
    with pytest.raises(ConfigError, match=r"the trial's input is 'several', here one representation of audio"):
        _ = config.representation
    both = config_of({"feature": BOTH})
    assert both.min_seconds == pytest.approx(39 * 256 / 22050) and set(both.representations) == {"fine", "coarse"}
