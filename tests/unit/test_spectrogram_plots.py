"""The page of spectrograms."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import pytest

from tests.builders import music
from tonearm.core.types import Waveform
from tonearm.features import extract
from tonearm.features.computed import ComputedClip
from tonearm.features.plots import spectrogram_page
from tonearm.features.presets import PRESETS
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store


@pytest.mark.parametrize("names", [("mel",), tuple(PRESETS)], ids=["one", "all"])
def test_every_representation_has_a_picture(names: tuple[str, ...], tmp_path: Path) -> None:
    stores = {}
    for name in names:
        config = PRESETS[name]
        mono = music(2.0, config.sample_rate)
        samples = mono[None] if config.planes == 1 else mono[None].repeat(2, axis=0)
        values = extract(Waveform(samples, config.sample_rate), [name])[name]
        uri = prepare_store(str(tmp_path), config)
        writer = ShardWriter(uri)
        writer.add("a", ComputedClip(values, values))
        writer.close()
        stores[name] = FeatureStore(uri)
    page = spectrogram_page(stores, [("a", "A title"), ("a", "日本語 $_$ \\ _")])
    picture = matplotlib.image.imread(io.BytesIO(page), format="png")
    assert picture.shape[0] > 400 and picture.shape[1] > 300 * len(names)
    assert picture[..., :3].std() > 0.1
