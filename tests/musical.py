"""A model that tells music from what is none, and sounds that are none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from tests.builders import encode, sounds_like, track, write_part
from tests.unit.test_explain import blocks_config
from tonearm.audio.windows import load_clip
from tonearm.core.types import FloatArray
from tonearm.ensembles.bundle import save_ensemble
from tonearm.features import extract
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.inference import Model, load
from tonearm.recommend.doubt import HeardTracks
from tonearm.training.batches import Batches
from tonearm.training.trial import TrialFolder, run_trial


def musical_model(root: Path) -> Model:
    """A mean kernel on 48 pieces in two registers, with the training tracks that it knows."""
    config, tracks, stores = blocks_config(), [], {}
    for i in range(60):
        label, path = ("bass", "flute")[i % 2], root / f"{i}.wav"
        path.write_bytes(encode(sounds_like(label, i, 2.0)))
        split = "validation" if i >= 54 else "test" if i >= 48 else "train"
        own = track(f"t{i}", label, split=split)  # type: ignore[arg-type]
        tracks.append(dataclasses.replace(own, source=str(path)))
    clips = [load_clip(t.source, config.clip, 22050, min_seconds=config.min_seconds) for t in tracks]
    for name, feature in config.representations.items():
        uri = prepare_store(str(root / "features"), feature, config.clip)
        found = [extract(clip, [feature])[feature.store_name()] for clip in clips]
        write_part(uri, [track_key(t.content, config.clip) for t in tracks], found)
        stores[name] = FeatureStore(uri)
    trial = TrialFolder(str(root / "trial"))
    list(run_trial(config, Batches(config, tracks, ("bass", "flute"), stores), trial))
    save_ensemble(str(root / "bundle"), [trial.bundle_uri], [1.0], {})
    model = load(str(root / "bundle"))
    heard = [model.predict(t.source).embedding for t in tracks if t.split == "train"]
    HeardTracks.of(np.stack(heard), [t.group for t in tracks if t.split == "train"]).save(model.folder)
    return load(model.folder)


def strange() -> dict[str, FloatArray]:
    """What is no music, 2 s each."""
    time, noise = np.arange(2 * 22050) / 22050, np.random.default_rng(0).normal(0, 1, 2 * 22050)
    clicks = 1e-4 * noise
    clicks[::5512] += 0.8
    sounds = {f"tone of {f} Hz": 0.3 * np.sin(2 * np.pi * f * time) for f in (110, 1000, 3000)}
    sounds |= {"noise": 0.2 * noise, "hiss of an empty tape": 1e-3 * noise, "clicks": clicks}
    sounds["siren"] = 0.3 * np.sin(2 * np.pi * (500 * time + 300 * time**2))
    return {name: samples.astype(np.float32) for name, samples in sounds.items()}
