"""What training refuses, or must not get wrong at its edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import CLASSES, tiny_config, track, write_part
from tests.unit.model_examples import SMALL_MEMBER
from tests.unit.test_members import CHANGES, FREQ, JOINED, bundle_at
from tests.unit.test_optim import POINTS
from tests.unit.test_picture_inputs import picture_of, pictures
from tests.unit.test_readers import BOTH, COARSE, FINE, config_of, places
from tests.unit.test_relations import config_of as pairs_config
from tests.unit.test_relations import manifest_of, pairs_of
from tests.unit.toy_problems import SQUARES, Line, Points, table_config
from tonearm.core.errors import ConfigError, DatasetError, TrainingError
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import CompositeFeature, NamedFeature, TableFeature
from tonearm.features.store import FeatureStore, prepare_store, track_key
from tonearm.models import TimeConfig
from tonearm.training.batches import Batches
from tonearm.training.bundle import build_network
from tonearm.training.config import Member
from tonearm.training.examples import make_examples
from tonearm.training.fit import fit
from tonearm.training.optim import OptimConfig, Round
from tonearm.training.trial import load_members


def test_accumulation_with_a_smaller_last_batch_equals_one_large_batch() -> None:
    points, found = tuple(p[:11] for p in POINTS), []
    for size, times in ((2, 3), (6, 1)):  # 2+2+2, 2+2+1 against 6, 5
        optim = OptimConfig(lr=0.02, epochs=1, optimizer="sgd", batch_size=size, accumulate=times)
        found.append(next(fit(Line(0.4, -0.2), SQUARES, Points(*points), optim)).state["model"]["weight"])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("fields", [{"batch_size": 0}, {"patience": 0}, {"batch_size": -1}], ids=str)
def test_impossible_batch_size_or_patience_of_a_round_is_named(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"a round's {next(iter(fields))} is {next(iter(fields.values()))}"):
        OptimConfig(rounds=(Round(lr=0.1, **fields),))


def test_representations_of_other_cuts_are_refused_or_show_the_same_time(tmp_path: Path) -> None:
    cut = CompositeFeature(inputs=(BOTH.inputs[0], NamedFeature(name="coarse", feature=COARSE.replace({"frames": 50}))))
    try:
        config = config_of({"feature": cut, "clip.position": "middle"})
    except ConfigError:
        return
    tracks, stores = [track("t0", split="validation"), track("t1", split="train")], {}
    for name, f in config.representations.items():
        uri, values = prepare_store(str(tmp_path), f), np.zeros((f.freq_bins, f.cut(170)), dtype=np.float32)
        values[0] = np.arange(values.shape[1])
        write_part(uri, [track_key(t.content, config.clip) for t in tracks], [values] * 2)
        stores[name] = FeatureStore(uri)
    ((inputs, _),) = Batches(config, tracks, ["y"], stores).evaluation("validation")
    assert places(inputs["fine"]) == places(inputs["coarse"])


def test_facts_beside_a_representation_are_refused() -> None:
    mixed = CompositeFeature(
        inputs=(NamedFeature(name="fine", feature=FINE), NamedFeature(name="n", feature=TableFeature(columns=("y",))))
    )
    with pytest.raises(ConfigError, match="audio and other inputs at once"):
        config_of({"feature": mixed})


def test_artist_is_never_a_random_one_of_its_own_even_if_all_others_are_related() -> None:
    manifest = manifest_of(list("abc"), np.array([[1, 2], [0, 2], [0, 1]]))
    examples = make_examples(pairs_config({"feature.artists": 3}), manifest, "", "")
    assert all(a != b for epoch in range(1, 9) for a, b, _ in pairs_of(examples, epoch))


@pytest.mark.parametrize("model", [TimeConfig(**{**SMALL_MEMBER, "widths": "4,7"}), FREQ], ids=["widths", "kind"])
def test_member_of_another_model_is_named(tmp_path: Path, model: Any) -> None:
    wrong = bundle_at(tmp_path / "b", tiny_config({**CHANGES, "model": model}))
    freq = bundle_at(tmp_path / "f", tiny_config({**CHANGES, "model": FREQ}), name="freq")
    config = tiny_config({**CHANGES, "model": JOINED, "members": (wrong, freq)})
    with pytest.raises(TrainingError, match="member 'time' at"):
        load_members(build_network(config, 3), config, CLASSES)


def test_absent_member_is_named_with_the_other_misfits(tmp_path: Path) -> None:
    gone = Member(name="time", trial="0123", bundle=str(tmp_path / "nowhere"))
    config = tiny_config({**CHANGES, "model": JOINED, "members": (gone,)})
    with pytest.raises(TrainingError, match="'freq' is not trained"):
        load_members(build_network(config, 3), config, CLASSES)


def test_row_beyond_a_file_of_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(3074))
    with pytest.raises(DatasetError, match=r"x\.bin"):
        picture_of(pictures([f"{tmp_path / 'x.bin'}#5"] * 4, 32))


def test_unknown_fact_of_a_track_that_is_left_out_is_no_error() -> None:
    config, tracks = (
        table_config({"feature": TableFeature(columns=("a",))}),
        [track("t0", split="train"), track("v0", split="validation")],
    )
    Batches(config, tracks, ["a"], metadata=Metadata(["t0", "v0", "left out"], {"a": [1.0, 2.0, float("nan")]}))


@pytest.mark.parametrize("values", [np.array(["x", "y"], dtype=object), [1.0, float("inf")]], ids=["text", "infinite"])
def test_column_of_a_table_that_is_no_finite_number_is_named(values: Any) -> None:
    config, tracks = (
        table_config({"feature": TableFeature(columns=("a",))}),
        [track("t0", split="train"), track("v0", split="validation")],
    )
    with pytest.raises(DatasetError):
        Batches(config, tracks, ["a"], metadata=Metadata(["t0", "v0"], {"a": values}))
