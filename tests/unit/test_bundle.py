"""Bundles: load is the inverse of save, and what is damaged or of another version is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.builders import CLASSES, tiny_config
from tonearm.core.errors import BundleError
from tonearm.training.bundle import Bundle, build_network, load_bundle, read_config, save_bundle, track_embedding

# --- bundles


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, Bundle]:
    config, uri = tiny_config(), str(tmp_path / "bundle")
    torch.manual_seed(0)
    network = build_network(config, 3).train()
    network(torch.randn(4, *config.inputs.shape))  # moves batch normalisation's statistics from their defaults
    bundle = Bundle(config, CLASSES, {"validation_f1_micro": 0.5, "epoch": 3}, network.eval())
    save_bundle(uri, bundle)
    return uri, bundle


def test_load_is_the_inverse_of_save(saved: tuple[str, Bundle]) -> None:
    uri, bundle = saved
    again = load_bundle(uri)
    assert (again.config, again.classes, again.metrics) == (bundle.config, bundle.classes, bundle.metrics)
    ours, theirs = again.network.state_dict(), bundle.network.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())
    assert not again.network.training
    x = torch.randn(2, *bundle.config.inputs.shape)
    with torch.inference_mode():
        assert torch.equal(again.network(x), bundle.network(x))
    assert sorted(p.name for p in Path(uri).iterdir()) == ["bundle.json", "weights.safetensors"]


def test_other_version_is_refused_by_name(saved: tuple[str, Bundle]) -> None:
    path = Path(saved[0]) / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(BundleError, match="format version 99, this Tonearm reads 4"):
        load_bundle(saved[0])


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "other network", "noise"])
def test_damaged_weights_are_refused(saved: tuple[str, Bundle], damage: str) -> None:
    from safetensors.torch import save

    path = Path(saved[0]) / "weights.safetensors"
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        other, noise = save({"x": torch.zeros(3)}), b"\xff" * 200
        path.write_bytes({"truncated": data[:-10], "empty": b"", "other network": other, "noise": noise}[damage])
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(saved[0])


@pytest.mark.parametrize(
    "change",
    [{"config": None}, {"config": {"unknown": 1}}, {"classes": 5}, {"classes": ["a", "b"]}, {"metrics": 3},
     {"fitted": 3}, {"fitted": {"": {"mean": "x"}}}, {"fitted": {"": {"mean": 0, "deviation": "x"}}},
     {"fitted": {"": {"shift": [0], "scale": [1]}}}, {"fitted": {"": [1]}},
     *({k: "absent"} for k in ("config", "classes", "metrics", "fitted", "format"))],
    ids=str,
)  # fmt: skip
def test_damaged_description_is_refused(saved: tuple[str, Bundle], change: dict[str, Any]) -> None:
    path = Path(saved[0]) / "bundle.json"
    values = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({k: v for k, v in values.items() if v != "absent"}))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved[0])
    if change.keys() & {"config", "format"}:
        with pytest.raises(BundleError, match="damaged"):
            read_config(saved[0])
    else:
        assert read_config(saved[0]) == saved[1].config


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "\udcff"])
def test_description_that_is_none_is_refused(saved: tuple[str, Bundle], text: str) -> None:
    (Path(saved[0]) / "bundle.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(saved[0])


def test_absent_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model at .*nowhere: bundle\.json is not there"):
        load_bundle(str(tmp_path / "nowhere"))


def test_track_embedding_is_the_mean_of_unit_windows(saved: tuple[str, Bundle]) -> None:
    network, x = saved[1].network, torch.randn(4, *saved[1].config.inputs.shape)
    with torch.inference_mode():
        each = network.embed(x)
    embedding = track_embedding(each)
    assert embedding.shape == (network.embedding_dim,)
    torch.testing.assert_close(embedding, (each / each.norm(dim=1, keepdim=True)).mean(dim=0))
