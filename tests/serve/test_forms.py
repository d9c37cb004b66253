"""An answer has the form of the model's task: over HTTP, in Python and in a table it says the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from serve.ingress import api
from tests.builders import encode, music, tiny_config, track
from tests.serve.in_process import serve_in_process
from tonearm.inference import load
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, SingleLabel, Task
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.workflows.predict_files import predict_files

FORMS: dict[str, tuple[Task, tuple[str, ...]]] = {
    "single_label": (SingleLabel(), ("bass", "flute")),
    "multi_label": (MultiLabel(threshold=0.25), ("dark", "fast", "loud")),
    "playlists": (Playlists(), ("focus", "sleep")),
    "regression": (Regression(target="tempo,mood", squash="none", units="BPM,"), ("tempo", "mood")),
    "embedding": (Embedding(target="artist"), tuple(f"artist[{i}]" for i in range(8))),
}
AUDIO = encode(music(3.0))


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """An untrained network of a task, with a catalogue of three tracks."""

    def write(form: str) -> str:
        folder = tmp_path_factory.mktemp(form)
        task, names = FORMS[form]
        torch.manual_seed(1)
        config = tiny_config({"task": task})
        save_bundle(str(folder), Bundle(config, names, {}, build_network(config, len(names)).eval()))
        dim = len(load(folder).predict(AUDIO).embedding)
        catalogue = CatalogueIndex.build(np.eye(3, dim, dtype=np.float32), [track(f"t{i}") for i in range(3)])
        catalogue.save(f"{folder}/{CATALOGUE}")
        return str(folder)

    return write


@pytest.mark.parametrize("form", FORMS)
def test_http_python_and_the_table_say_the_same(
    form: str, model_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, names = model_of(form), FORMS[form][1]
    answer, asked = load(uri).classify(AUDIO), serve_in_process(uri, monkeypatch)
    told = asked("POST", "/v1/classify", files={"audio": AUDIO})
    own = answer.answer.to_dict()
    doubts = {"why": answer.why or None, "heard": answer.heard, "sure": answer.sure, "doubt": answer.doubt}
    assert told["task"] == form and {k: told[k] for k in own} == own and {"model", "seconds"} <= set(told)
    assert {k: told[k] for k in doubts} == doubts
    found = asked("POST", "/v1/recommend?k=2", files={"audio": AUDIO})
    assert len(found["neighbours"]) == 2 and {k: found[k] for k in own} == own
    assert asked("GET", "/healthz")["task"] == form
    (tmp_path / "a.wav").write_bytes(AUDIO)
    predict_files([str(tmp_path)], str(tmp_path / "out.parquet"), model=uri, neighbours=0)
    row = pd.read_parquet(tmp_path / "out.parquet").iloc[0]
    columns = answer.answer.number_names(names)
    np.testing.assert_allclose([row[c] for c in columns], answer.prediction.probabilities, atol=1e-5)
    assert {"file", "title", "artist", "heard", "sure", "doubt", *answer.answer.columns(), *columns} <= set(row.index)
    assert ("label" in row.index) == ("label" in told) == (form == "single_label")
    assert all(row[name] == text for name, text in answer.answer.columns().items() if isinstance(text, str))


def test_the_description_names_every_form() -> None:
    for path in ("/v1/classify", "/v1/recommend"):
        response = api.openapi()["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        forms = {*FORMS, "seeds"} if path == "/v1/recommend" else set(FORMS)
        assert response["discriminator"]["propertyName"] == "task" and len(response["oneOf"]) == len(forms)
        assert set(response["discriminator"]["mapping"]) == forms
