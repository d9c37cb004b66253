"""Inputs that are given: tables and tokens, read for training and for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.toy_problems import TRACKS, TRAIN, metadata_batches, table_config
from tonearm.core.errors import ConfigError, DatasetError
from tonearm.core.types import InputSpec
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.vocabulary import Vocabulary
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TableScaling,
    TokensFeature,
)
from tonearm.training.batches import Batches

NAN = float("nan")


def rows(batches: Batches) -> list[list[float]]:
    """The example of each track in evaluation, training tracks first."""
    out = []
    for split in ("train", "validation"):
        for inputs, each in batches.evaluation(split):  # type: ignore[arg-type]
            assert isinstance(inputs, torch.Tensor) and each == 1
            out += inputs.flatten(1).tolist()
    return out


def trained_on(batches: Batches, epoch: int = 1, size: int = 8) -> dict[str, list[Any]]:
    """What the epoch shows of each track."""
    seen: dict[str, list[Any]] = {}
    for batch in batches.train(epoch, size, 1):
        assert isinstance(batch.inputs, torch.Tensor)
        for i, values in zip(batch.track_ids, batch.inputs, strict=True):
            seen.setdefault(i, []).append(values.flatten().tolist())
    return seen


# --- tables


@pytest.mark.parametrize(
    ("scaling", "wanted"),
    [
        ("minmax", [[0.0, 0.25], [0.25, 1.0], [1.0, 0.0], [1.25, -0.5]]),
        ("standard", [[-0.98058068, -0.39223227], [-0.39223227, 1.37281295], [1.37281295, -0.98058068],
                      [1.96116135, -2.15727749]]),
        ("unit", [[0.70710678, 0.70710678], [0.4472136, 0.8944272], [0.98058068, 0.19611614],
                  [0.89442719, -0.4472136]]),
        ("none", [[2.0, 2.0], [4.0, 8.0], [10.0, 2.0], [12.0, -6.0]]),
    ],
)  # fmt: skip
def test_table_is_scaled_by_the_training_split(scaling: str, wanted: list[list[float]]) -> None:
    speed, depth = [2.0, 4.0, 10.0, 12.0], [2.0, 8.0, 2.0, -6.0]
    if scaling == "minmax":
        depth = [2.0, 8.0, 0.0, -4.0]
    if scaling == "standard":  # of 2, 4, 10 and 4, 10, 2 alike: mean 16/3, variance 104/9
        depth = [4.0, 10.0, 2.0, -2.0]
    feature = TableFeature(columns=("speed", "depth"), scaling=scaling)  # type: ignore[arg-type]
    batches = metadata_batches(feature, {"speed": speed, "depth": depth})
    assert rows(batches) == [pytest.approx(row, abs=1e-6) for row in wanted]
    assert trained_on(batches) == {i: [pytest.approx(row, abs=1e-6)] for i, row in zip(TRAIN, wanted, strict=False)}
    (inputs,) = (b.inputs for b in batches.train(1, 8, 1))
    assert isinstance(inputs, torch.Tensor) and inputs.shape == (3, 1, 2, 1) and inputs.dtype == torch.float32


def test_only_the_training_split_scales() -> None:
    feature = TableFeature(columns=("speed",), scaling="minmax", missing="mean")
    plain, other = (metadata_batches(feature, {"speed": [2.0, NAN, 10.0, v]}) for v in (6.0, 6000.0))
    assert plain.fitted == other.fitted == {"": TableScaling((2.0,), (8.0,), (6.0,))}
    assert rows(plain)[:3] == rows(other)[:3] == [[0.0], [0.5], [1.0]]
    assert rows(plain)[3] == [0.5] and rows(other)[3] == [749.75]
    assert metadata_batches(feature, {"speed": [2.0, NAN, 12.0, 6.0]}).fitted != plain.fitted


def test_columns_come_in_the_order_given_and_vectors_contribute_all_numbers() -> None:
    columns = {"b": [1.0, 2.0, 3.0, 4.0], "a": np.arange(8.0).reshape(4, 2), "c": [7, 8, 9, 10]}
    feature = TableFeature(columns=("c", "a", "b"), width=4, scaling="none")
    assert rows(metadata_batches(feature, columns)) == [[7, 0, 1, 1], [8, 2, 3, 2], [9, 4, 5, 3], [10, 6, 7, 4]]
    assert feature.example_spec(99) == InputSpec(1, 4, 1)
    with pytest.raises(
        DatasetError, match=r"the metadata c, a, b have 4 numbers, the table's size is 3: set feature\.width to 4"
    ):
        metadata_batches(feature.replace({"width": 0}), columns)


def test_column_that_does_not_vary_is_centred_and_not_blown_up() -> None:
    for scaling in ("minmax", "standard"):
        batches = metadata_batches(TableFeature(columns=("key",), scaling=scaling), {"key": [5, 5, 5, 7]})  # type: ignore[arg-type]
        assert rows(batches) == [[0.0], [0.0], [0.0], [2.0]]


@pytest.mark.parametrize("where", [1, 3])
def test_unknown_value_is_refused_unless_told_otherwise(where: int) -> None:
    speed = [2.0, 4.0, 6.0, 8.0]
    speed[where] = NAN
    columns = {"key": [1, 2, 3, 4], "speed": speed}
    message = (
        rf"number 1 of the table \(key, speed\) is unknown for 1 of 4 tracks, first in row {where}: leave them out"
    )
    with pytest.raises(DatasetError, match=message):
        metadata_batches(TableFeature(columns=("key", "speed")), columns)
    for missing, wanted in (("mean", 0.0), ("keep", NAN)):
        feature = TableFeature(columns=("key", "speed"), missing=missing)  # type: ignore[arg-type]
        found = rows(metadata_batches(feature, columns))
        assert found[where][1] == pytest.approx(wanted, abs=1e-6, nan_ok=True)
        assert np.isfinite(np.delete(np.array(found), where, axis=0)).all()


def test_column_that_is_unknown_in_training_is_named_or_kept() -> None:
    columns = {"key": [1.0, 2.0, 3.0, 4.0], "speed": [NAN, NAN, NAN, 8.0]}
    with pytest.raises(DatasetError, match=r"number 1 of the table \(key, speed\) is unknown for all training tracks"):
        metadata_batches(TableFeature(columns=("key", "speed"), missing="mean"), columns)
    found = rows(metadata_batches(TableFeature(columns=("key", "speed"), missing="keep"), columns))
    assert np.isnan(found[0][1]) and found[3][1] == 8.0


def test_table_without_rows_or_facts_for_a_track_is_named() -> None:
    config = table_config({"feature": TableFeature(columns=("speed",))})
    with pytest.raises(DatasetError, match="no metadata column 'speed' is known of these tracks: there are key"):
        Batches(config, TRACKS, ["a"], metadata=Metadata(TRAIN, {"key": [1, 2, 3]}))
    with pytest.raises(DatasetError, match=r"1 tracks have no row, e\.g\. 'v0'"):
        Batches(config, TRACKS, ["a"], metadata=Metadata(TRAIN, {"speed": [1.0, 2.0, 3.0]}))


# --- tokens


def tokens(texts: Sequence[str], per_track: int = 1, seed: int = 0, **fields: Any) -> Batches:
    feature = TokensFeature(**{"vocabulary": 3, "fewest": 1, "length": 3, "drop_threshold": 0.0, **fields})
    return metadata_batches(feature, {"lyrics": np.array(texts, dtype=object)}, per_track, seed)


def test_texts_are_numbered_by_the_training_split_alone_the_rarer_words_as_one() -> None:
    # "moon" is there five times, but four of them are in the text that validates: it is not the first.
    texts = ["sun la la", "oh oh sky moon", "la", "moon moon moon moon la"]
    assert tokens(texts).fitted == {"": Vocabulary(("la", "oh", "moon"))}
    assert tokens(texts, vocabulary=2).fitted == tokens(texts, fewest=2).fitted == {"": Vocabulary(("la", "oh"))}
    assert tokens(["a b", "c", "d", "a a"], fewest=2).fitted == {"": Vocabulary(())}
    shown = [[3, 1, 1], [2, 2, 3], [0, 0, 1], [3, 3, 3]]
    assert rows(tokens(texts, vocabulary=2)) == shown
    assert trained_on(tokens(texts, vocabulary=2)) == {i: [row] for i, row in zip(TRAIN, shown, strict=False)}
    (inputs,) = (b.inputs for b in tokens(texts).train(1, 8, 1))
    assert isinstance(inputs, torch.Tensor) and inputs.shape == (3, 3) and inputs.dtype == torch.int64


TEXTS = ["a a a d", "a a b b", "a b c c", "d d d d"]


def test_frequent_words_are_dropped_in_training_as_often_as_they_should() -> None:
    # Of 12 words 6 are "a", 3 "b", 2 "c" and one is rare: with t = 1/48 the share that is kept is sqrt(t / f), 0.204,
    # 0.289 and 0.354; the rare number stands for many words, none of them frequent, and stays.
    batches = tokens(TEXTS, per_track=400, length=4, drop_threshold=1 / 48)
    seen = np.array([row for each in trained_on(batches, size=100).values() for row in each])
    counts = np.bincount(seen.ravel(), minlength=5)
    drawn = 400 * np.array([6, 3, 2, 1])
    wanted = np.sqrt(1 / 48 / (np.array([6, 3, 2, 1 / 4]) / 12)) * drawn
    assert (np.abs(counts[1:] - wanted) <= 5 * np.sqrt(drawn / 4)).all() and len(counts) == 5
    assert (np.diff((seen > 0).astype(int), axis=1) >= 0).all()  # the gaps are closed: padding is in front
    assert rows(batches) == [[1, 1, 1, 4], [1, 1, 2, 2], [1, 2, 3, 3], [4] * 4]  # in evaluation nothing is dropped


def test_dropping_is_a_function_of_seed_and_epoch_and_of_the_training_split() -> None:
    def epoch(n: int, seed: int = 0, validation: str = "d") -> dict[str, list[Any]]:
        return trained_on(tokens([*TEXTS[:3], validation * 4], 20, seed, length=4, drop_threshold=0.02), n)

    assert epoch(2) == epoch(2) == epoch(2, validation="a ")
    assert epoch(2) != epoch(3) and epoch(2) != epoch(2, seed=1)


def test_facts_that_are_no_texts_are_named() -> None:
    with pytest.raises(DatasetError, match="the metadata column 'lyrics' holds numbers, not texts: name another one"):
        metadata_batches(TokensFeature(), {"lyrics": [1, 2, 3, 4]})


# --- configs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TableFeature(columns=()), "columns is empty: name at least one metadata column"),
        (lambda: TableFeature(columns=("a", "b", "c"), width=2),
         "width is 2 for 3 columns: each has at least one number"),
        (lambda: TokensFeature(vocabulary=0, length=0), "vocabulary is 0: .*\n.*length is 0: it must be at least 1"),
        (lambda: TokensFeature(fewest=0), "fewest is 0: it must be at least 1"),
        (lambda: TokensFeature(drop_threshold=1.5), "drop_threshold is 1.5: it must be within 0, which is off, and 1"),
        (lambda: TokensFeature(drop_threshold=NAN), "drop_threshold is nan"),
        (lambda: PictureFeature(size=0), "size is 0: a picture has at least one row"),
        (lambda: CompositeFeature(inputs=()), "inputs is empty: name at least one"),
        (lambda: CompositeFeature(inputs=(NamedFeature(name="a", feature=TokensFeature()),
                                          NamedFeature(name="a", feature=PictureFeature()))),
         "input 'a' is there twice"),
        (lambda: CompositeFeature(inputs=(NamedFeature(name="a", feature=CompositeFeature(
            inputs=(NamedFeature(name="b", feature=TokensFeature()),))),)),
         "input 'a' consists of several itself: list them here"),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_are_named(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_inputs_know_their_shapes_and_parts() -> None:
    assert TokensFeature(vocabulary=7, length=5).example_spec(40) == InputSpec(1, 7, 5)
    assert PictureFeature(size=9).example_spec(40) == InputSpec(3, 9, 9) and PictureFeature().variant == "cifar"
    assert ArtistsFeature(artists=4).example_spec(40) == InputSpec(1, 4, 1)
    assert TokensFeature().named_inputs() == {"": TokensFeature()}
    both = CompositeFeature(
        inputs=(NamedFeature(name="b", feature=TokensFeature()), NamedFeature(name="a", feature=PictureFeature()))
    )
    assert list(both.named_inputs().items()) == [("b", TokensFeature()), ("a", PictureFeature())]
