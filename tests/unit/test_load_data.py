"""A prepared data set by its name, in a notebook: what its stores hold, and features with their times."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tonearm
from tests.builders import encode, music, sounds_like
from tests.extract_in_process import extract_in_process
from tonearm.core import home
from tonearm.core.errors import ConfigError, StoreError, UnknownNameError
from tonearm.features import Mel
from tonearm.features.store import FeatureStore, prepare_store, store_uri, track_key
from tonearm.features.store_clips import read_clip_configs
from tonearm.features.store_copy import copy_to_node
from tonearm.pipelines import extract

MEL = Mel(n_mels=16, n_fft=512, hop=256)
SIDES = Mel(n_mels=16, n_fft=512, hop=256, channels="mid_side")
NAME = "mel(hop=256, n_fft=512, n_mels=16)"
WHOLE = tonearm.ClipConfig(seconds=1.0, position="all")


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    extract_in_process(monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> tonearm.PreparedData:
    """Ten short songs a label, one of them of four clips whose second is silent."""
    for n, label in enumerate(("high", "low")):
        for i in range(10):
            path = tmp_path / "Music" / label / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(sounds_like(label, 100 * n + i)))
    second = np.concatenate([music(1.0), np.zeros(22050, np.float32), music(2.0, seed=1)])
    (tmp_path / "Music" / "low" / "9.wav").write_bytes(encode(second))
    return tonearm.prepare("folder", root=str(tmp_path / "Music"), features=[MEL, SIDES], clip=WHOLE, seed=3)


def test_a_data_set_is_opened_by_its_name_as_it_was_prepared(data: tonearm.PreparedData) -> None:
    for name in ("music", "Music"):
        again = tonearm.load_data(name)
        assert (again.manifest, again.features, again.clip) == (data.manifest, (SIDES, MEL), WHOLE)
        assert (again.config, again.split_seed, again.grouped, again.fractions) == (
            data.config,
            3,
            True,
            data.fractions,
        )
        assert again.rejects == data.rejects and "data set music: 20 tracks" in repr(again)
    with pytest.raises(ConfigError, match=r"no manifest of a data set 'musik'.*prepared are: music"):
        tonearm.load_data("musik")


def test_features_of_a_track_are_arrays_with_times(data: tonearm.PreparedData) -> None:
    found = tonearm.load_data("music").features_of("low/9.wav")
    assert list(found) == [
        "mel(channels='mid_side', hop=256, n_fft=512, n_mels=16)",
        NAME,
    ]
    clips = found[NAME]
    assert [(c.number, c.start) for c in clips] == [(0, 0.0), (2, 2.0), (3, 3.0)]
    assert clips[1].values.dtype == np.float32 and clips[1].values.shape == (16, 87)
    assert clips[1].times.shape == (87,) and clips[1].times[[0, 1]] == pytest.approx([2.0, 2.0 + 256 / 22050])
    assert repr(clips[1]) == "TrackClip(2, from 2.000 s, (16, 87), 0.0116 s a frame)"
    assert next(iter(found.values()))[0].values.shape == (2, 16, 87)
    assert list(data.features_of("low/9.wav")) == [NAME, next(iter(found))]
    with pytest.raises(UnknownNameError, match=r"unknown track 'low/9.mp3'. Did you mean 'low/9.wav'"):
        data.features_of("low/9.mp3")


def test_other_clips_are_found_and_what_is_not_stored_is_said(data: tonearm.PreparedData) -> None:
    short = tonearm.ClipConfig(seconds=1.0)
    with pytest.raises(ConfigError, match=r"no features of ClipConfig\(seconds=1.0\) are stored .* those of: C"):
        tonearm.load_data("music", clip=short)
    assert data.config is not None
    extract.extract_features(data.manifest.tracks, [MEL], short, home.features_home(), 1.0)
    other = tonearm.load_data("music", clip=short)
    assert (other.features, other.clip) == ((MEL,), short)
    assert [c.start for c in other.features_of("low/9.wav")[NAME]] == [1.5]
    assert tonearm.load_data("music").clip == WHOLE


def test_a_store_can_be_listed_and_says_which_clips_it_holds(data: tonearm.PreparedData) -> None:
    uri = store_uri(home.features_home(), MEL)
    store = FeatureStore(uri)
    assert set(store) == {track_key(t.content, WHOLE) for t in data.manifest.tracks} and len(list(store)) == len(store)
    assert store.clip_configs == (WHOLE,) and "20 tracks; ClipConfig(seconds=1.0, position=all)" in repr(store)
    prepare_store(home.features_home(), MEL, tonearm.ClipConfig())
    assert set(FeatureStore(uri).clip_configs) == {WHOLE, tonearm.ClipConfig()}


def test_a_folder_with_another_name_than_its_store_is_not_read(
    data: tonearm.PreparedData, caplog: pytest.LogCaptureFixture
) -> None:
    store = Path(store_uri(home.features_home(), MEL))
    copy, changed = store.with_name("mel-copy"), store.with_name("mel-changed")
    for folder in (copy, changed):
        shutil.copytree(store, folder)
    other = Mel(n_mels=24, n_fft=512, hop=256)
    (changed / "representation.json").write_text(json.dumps(other.to_dict()))
    again = tonearm.load_data("music")
    assert again.features == (SIDES, MEL)
    assert [np.shape(c.values) for c in again.features_of("low/9.wav")[NAME]] == [(16, 87)] * 3
    assert f"{copy} is not read: it is a copy of {MEL.store_name()}, or of an earlier version" in caplog.text
    assert f"{changed} is not read: it is a copy of {other.store_name()}" in caplog.text


def test_a_store_from_before_clips_were_noted_says_so_and_learns_it(
    data: tonearm.PreparedData, caplog: pytest.LogCaptureFixture
) -> None:
    for config in (MEL, SIDES):
        shutil.rmtree(Path(store_uri(home.features_home(), config)) / "clips")
    store = FeatureStore(store_uri(home.features_home(), MEL))
    assert store.clip_configs == () and "of which clips it does not say" in repr(store) and len(store) == 20
    assert tonearm.load_data("music").features == (SIDES, MEL)  # the manifest knows
    shutil.copytree(store.uri, Path(store.uri).with_name("mel-copy"))
    assert read_clip_configs(store.uri) == ()
    assert data.config is not None
    again = tonearm.prepare(data.config, features=[MEL, SIDES], clip=WHOLE, seed=3)
    assert again.extraction is not None and again.extraction.extracted == 0 and store.clip_configs == (WHOLE,)


def test_a_copy_on_a_node_knows_its_clips_and_a_damaged_note_is_named(tmp_path: Path) -> None:
    remote = prepare_store(f"memory://clips-{tmp_path.name}/features", MEL, WHOLE)
    assert FeatureStore(copy_to_node(remote, str(tmp_path))).clip_configs == (WHOLE,)
    local = prepare_store(str(tmp_path), MEL, WHOLE)
    (file,) = Path(local, "clips").glob("*.json")
    file.write_text("{")
    with pytest.raises(StoreError, match=r"\.json is damaged .* extract again, which writes it anew"):
        read_clip_configs(local)
