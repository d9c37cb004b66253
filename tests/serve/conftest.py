"""A real server on a tiny model: untrained weights, and summaries of a few recordings, speak the same protocol as
trained ones."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces.recipes import RECIPES
from serve.proxy import VARIABLES as PROXY
from serve.settings import AppArgs
from tests.browser.chromium import running_chromium
from tests.builders import CLASSES, encode, sounds_like, tiny_config, track, write_part, write_recordings
from tonearm.audio.windows import load_clip
from tonearm.core.types import Waveform
from tonearm.ensembles.bundle import save_ensemble
from tonearm.features import extract
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.inference import load
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.training.batches import Batches
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.trial import TrialFolder, run_trial
from tonearm.workflows.index import index_library
from tonearm.workflows.ray_session import PROXY_PATIENCE

LIMIT_BYTES, LIMIT_SECONDS, NEIGHBOURS = 300_000, 20.0, 4
SECONDS = 3.0  # of recordings that are indexed


def write_model(folder: Path) -> str:
    """An ensemble of an untrained network and a solved model of summaries, with a catalogue of nine tracks."""
    config = tiny_config()
    single, bundle = str(folder / "single"), str(folder / "bundle")
    save_bundle(single, Bundle(config, CLASSES, {}, build_network(config, len(CLASSES)).eval()))
    save_ensemble(bundle, [single, solve_blocks(folder)], [1.0, 2.0], {})
    classifier = load(bundle)
    tracks, vectors = [], []
    for label in CLASSES:
        for i in range(3):
            tracks.append(dataclasses.replace(track(f"{label}{i}", label), title=f"{label} {i}", artist="somebody"))
            waveform = Waveform(sounds_like(label, i)[None], 22050)
            vectors.append(classifier.predict_waveform(waveform).embedding)
    CatalogueIndex.build(np.stack(vectors), tracks).save(f"{bundle}/{CATALOGUE}")
    return bundle


def solve_blocks(folder: Path) -> str:
    """The recipe ``blocks`` on fifteen short recordings; the URI of its bundle."""
    config = RECIPES["blocks"]().stages[0].config.replace({"clip.seconds": 2.0})
    assert isinstance(config, TrialConfig)
    tracks, features = write_recordings(folder / "music", 5), list(config.representations.values())
    clips = [load_clip(t.source, config.clip, 22050, min_seconds=config.min_seconds) for t in tracks]
    found = [extract(clip, features) for clip in clips]
    stores = {}
    for name, feature in config.representations.items():
        uri = prepare_store(str(folder / "features"), feature, config.clip)
        write_part(uri, [track_key(t.content, config.clip) for t in tracks], [f[feature.store_name()] for f in found])
        stores[name] = FeatureStore(uri)
    trial = TrialFolder(str(folder / "blocks"))
    list(run_trial(config, Batches(config, tracks, CLASSES, stores), trial))
    return trial.bundle_uri


def write_indexed(folder: Path) -> str:
    """The same model, and music that is indexed for it in the home ``home`` beside it; the bundle's folder."""
    (folder / "music").mkdir()
    for label in CLASSES:
        for i in range(2):
            (folder / "music" / f"{label} {i}.wav").write_bytes(encode(sounds_like(label, i, SECONDS)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(folder / "home"))
        index_library(write_model(folder / "model"), audio=[str(folder / "music")])
    return str(folder / "model" / "bundle")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, a model, and music that is indexed for it."""
    folder = tmp_path_factory.mktemp("served")
    write_indexed(folder)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; for as long as it runs, Playwright's event loop runs in this thread, and no other can."""
    with running_chromium() as found:
        yield found


@pytest.fixture(scope="package")
def server(model: str) -> Iterator[str]:
    """The URL of the server, on a private Ray of these tests."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault(*PROXY_PATIENCE)  # before Ray starts, whose processes read them
    os.environ.update(PROXY)
    import ray

    from serve.launch import start, stop

    folder = tempfile.mkdtemp(prefix="tn", dir="/tmp")  # short: Ray's sockets lie there
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False,
             _temp_dir=folder)  # fmt: skip
    try:
        yield start(
            AppArgs(model=model, max_upload_bytes=LIMIT_BYTES, max_seconds=LIMIT_SECONDS, neighbours=NEIGHBOURS), port=0
        )
    finally:
        stop()
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def broken(server: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a second application, whose catalogue is of another model: it loads, and fails at every request."""
    from ray import serve

    from serve.app import build
    from serve.launch import _wait_until_ready
    from serve.versions import resolve

    folder = str(tmp_path_factory.mktemp("broken") / "bundle")
    shutil.copytree(model, folder)
    CatalogueIndex.build(np.eye(3, 5, dtype=np.float32), [track(f"t{i}") for i in range(3)]).save(f"{folder}/catalogue")
    args = AppArgs(model=folder, name="broken", cpus=0.1, ingresses=1, tokens=False)
    serve.run(build(args), name=args.name, route_prefix="/broken")
    _wait_until_ready(f"{server}/broken", resolve(folder), "broken")
    return f"{server}/broken"
