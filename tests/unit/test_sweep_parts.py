"""Parts of a sweep that need no Ray: estimates, settings of earlier runs, and identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import SPACES
from tests.builders import tiny_config, toy_batches, toy_tracks
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest
from tonearm.models.simple import SimpleConfig
from tonearm.models.time_freq import TimeConfig
from tonearm.sweeps import Asha, Choice, Full, LogUniform, SearchSpace, Uniform
from tonearm.sweeps.estimate import (
    DatasetCounts,
    dataset_counts,
    estimate_stores,
    expected_epoch_fraction,
    training_seconds,
)
from tonearm.sweeps.results import configuration_signature, run_tags
from tonearm.sweeps.warm_start import values_in
from tonearm.tracking import names
from tonearm.workflows.sweep import stage_device
from tonearm.workflows.sweep_data import check_extraction_size

MANIFEST = Manifest("toy", "sound", tuple(toy_tracks()))


@pytest.mark.parametrize(("gpus", "sees", "device", "told"), [
    (0.0, True, "cpu", 0), (0.5, True, "cuda", 0), (0.5, False, "cpu", 1),
])  # fmt: skip
def test_stages_on_the_cpu_are_told_where_gpus_were_asked_for(
    gpus: float, sees: bool, device: str, told: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)
    with caplog.at_level("INFO", "tonearm"):
        assert stage_device(gpus, SPACES["embedding_mel"]()) == device
        assert stage_device(gpus, SPACES["demo"]()) == device, "it builds on nothing"
    assert len(caplog.messages) == told and all("(artist_table)" in line for line in caplog.messages)


# --- estimates


def test_halving_saves_what_it_does_not_train() -> None:
    assert expected_epoch_fraction(Full(), 32) == 1.0
    # Of 27 epochs: 27 trials for 1, 9 for 2 more, 3 for 6 more, the last two for 18 more.
    assert expected_epoch_fraction(Asha(grace=1 / 27), 27) == pytest.approx((27 + 9 * 2 + 3 * 6 + 2 * 18) / 27**2)
    assert expected_epoch_fraction(Asha(), 2) == pytest.approx(1.0)


def test_stores_need_what_their_shape_says_and_no_more_than_is_missing(tmp_path: Path) -> None:
    config = tiny_config()
    toy_batches(tmp_path, config)
    (there,) = estimate_stores([config.representation], config.clip, str(tmp_path), MANIFEST.tracks)
    assert (there.missing, there.bytes) == (0, 0)
    other = config.replace({"feature.n_fft": 1024}).representation
    (absent,) = estimate_stores([other], config.clip, str(tmp_path), MANIFEST.tracks)
    shape = other.input_spec(2.0)
    assert absent.bytes_per_track == 2 * shape.freq_bins * shape.frames and absent.missing == len(MANIFEST.tracks)
    (unknown,) = estimate_stores([other], config.clip, str(tmp_path), None)
    assert unknown.missing is None and unknown.bytes == 0


def test_too_many_features_are_refused_with_the_sizes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tonearm")
    config = tiny_config()
    with pytest.raises(ConfigError, match=r"would extract 0\.0003 GB of features \(mel\(.*0\.0003 GB\), allowed"):
        check_extraction_size(
            estimate_stores([config.representation], config.clip, str(tmp_path), MANIFEST.tracks), 1e-9
        )
    assert "to extract: 1 representation(s) of 27 tracks" in caplog.text


def test_time_grows_with_epochs_and_trials() -> None:
    one = tiny_config({"optim.epochs": 1})
    counts = dataset_counts(one, MANIFEST, None)
    assert counts == DatasetCounts(18, 9, 3) and dataset_counts(one, None, None) is None
    assert dataset_counts(one, None, MANIFEST.tracks) == DatasetCounts(16, 5, 3)
    once = training_seconds([one], counts)
    many = training_seconds([one.replace({"optim.epochs": 200})] * 5, counts)
    assert once > 0 and many > 20 * once  # 1000 epochs against one


# --- earlier runs


def space(over: dict[str, Any]) -> SearchSpace:
    return SearchSpace(base=tiny_config(), over=over)


def test_settings_of_a_config_are_found_if_they_lie_in_the_space() -> None:
    ours = space({"optim.lr": LogUniform(1e-4, 1e-2), "optim.clip_norm": Choice(None, 1.0)})
    assert values_in(ours, tiny_config()) == {"optim.lr": 5e-3, "optim.clip_norm": None}
    assert values_in(ours, tiny_config({"optim.lr": 0.1})) is None
    assert values_in(ours, tiny_config({"optim.clip_norm": 2.0})) is None


def test_settings_within_a_varied_model_are_told_from_the_model() -> None:
    simple, time = SimpleConfig(variant="chroma", width=1), TimeConfig(divisors="4,8", widths="8,8")
    ours = space({"model": Choice(simple, time), "model.dropout": Uniform(0.0, 0.5)})
    config = tiny_config({"model": time.replace({"dropout": 0.3})})
    assert values_in(ours, config) == {"model": time, "model.dropout": 0.3}
    assert values_in(ours, config.replace({"model.widths": "4,4"})) is None
    other = space({"model.width": Choice(1, 2)})
    assert values_in(other, config) is None  # Time has no such field


# --- identities


def test_runs_of_one_configuration_differ_by_seed_fold_and_members_only() -> None:
    config = tiny_config()
    same = [config, config.replace({"seed": 3}), config.replace({"dataset.fold": "2/5", "dataset.data_signature": "f"})]
    assert len({configuration_signature(c) for c in same}) == 1
    assert configuration_signature(config) != configuration_signature(config.replace({"optim.lr": 1e-4}))
    tags = run_tags(same[2], "/somewhere")
    assert tags[names.FOLD] == "2/5" and tags[names.FOLDER] == "/somewhere" and tags[names.SEED] == "0"
    assert tags[names.CONFIG] == same[2].signature() != tags[names.CONFIGURATION]
