"""What tests of the page share: a catalogue that can be heard, a recording, and the ways of asking by the page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.chromium import until
from tests.builders import CLASSES, encode, sounds_like
from tonearm.core.types import Waveform
from tonearm.inference import load
from tonearm.recommend import CatalogueIndex

EACH, SECONDS = 4, 3.0
VERDICT = "#verdict"


def write_catalogue(model: str, folder: Path) -> str:
    """A copy of a model with a catalogue of recordings that can be heard and were measured; its folder."""
    bundle, music = folder / "bundle", folder / "music"
    shutil.copytree(model, bundle)
    music.mkdir()
    classifier, rows, vectors = load(str(bundle)), list[dict[str, Any]](), []
    for label in CLASSES:
        for i in range(EACH):
            samples = sounds_like(label, i, SECONDS)
            file = music / f"{label}{i}.wav"
            file.write_bytes(encode(samples))
            rows.append({"track_id": file.stem, "source": str(file), "title": f"Song of {label} {i}", "label": label,
                         "artist": f"Artist {i}", "year": 1900 + 7 * len(rows), "tempo": 80.0 + 5 * len(rows),
                         "loudness": -20.0 + len(rows)})  # fmt: skip
            vectors.append(classifier.predict_waveform(Waveform(samples[None], 22050)).embedding)
    unit = np.stack(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    shutil.rmtree(bundle / "catalogue")
    CatalogueIndex(unit.astype(np.float32), rows).save(str(bundle / "catalogue"))
    return str(bundle)


def recording(label: str = "flute") -> dict[str, Any]:
    return {"name": f"my {label}.wav", "mimeType": "audio/wav", "buffer": encode(sounds_like(label, 7, SECONDS))}


def ask(page: Any, name: str = "my flute.wav") -> None:
    """Send a recording, and wait for all that is said of it."""
    page.set_input_files("#file", recording() | {"name": name})
    page.wait_for_selector(VERDICT)
    page.wait_for_selector(".attributes")


def refreshed(page: Any, act: Callable[[], Any]) -> list[str]:
    """Titles of the neighbours, once an act has had them asked for again; the recording is not sent again for that."""
    with page.expect_response(lambda response: response.url.endswith("/v1/recommend")) as answered:
        act()
    assert answered.value.ok, answered.value.text()
    assert len(answered.value.request.post_data_buffer) < 500 and "recording" in answered.value.request.post_data_json
    until(page, "!document.querySelector('.neighbours').hasAttribute('aria-busy')")
    return list(page.locator(".neighbour h4").all_text_contents())
