"""Tasks that cannot work, and data that they cannot learn from: every reason is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tonearm.core.errors import ConfigError, DatasetError, UnknownNameError
from tonearm.core.types import GroundTruth
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, SingleLabel, Tabular, Task

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"kind": "single_label", "label_smoothing": 1.0}, "label_smoothing is 1.0: it must be at least 0 and below 1"),
        ({"kind": "single_label", "label_smoothing": -0.1}, "label_smoothing is -0.1"),
        ({"kind": "single_label", "class_weights": "even"}, "'even' is none of 'none', 'balanced'"),
        ({"kind": "single_label", "pooling": "max"}, "'max' is none of"),
        ({"kind": "multi_label", "threshold": 0.0}, "threshold is 0.0"),
        ({"kind": "multi_label", "threshold": 1.0}, "threshold is 1.0"),
        ({"kind": "playlists", "training": "hinge"}, "'hinge' is none of 'softmax', 'multi_hot'"),
        ({"kind": "regression"}, "target"),
        ({"kind": "regression", "target": ""}, "target is '': name a metadata column"),
        ({"kind": "regression", "target": "a,,b"}, "target is 'a,,b'"),
        ({"kind": "regression", "target": "a, a"}, "target is 'a, a'"),
        ({"kind": "regression", "target": "a", "low": 1.0}, "low is 1.0 and task.high None: give both ends"),
        ({"kind": "regression", "target": "a", "low": 2, "high": 2}, "low 2.0 is not below task.high 2.0"),
        (
            {"kind": "regression", "target": "a", "low": NAN, "high": 1},
            "low nan is not below task.high 1.0: give a finite",
        ),
        (
            {"kind": "regression", "target": "a", "low": 0, "high": INF},
            "low 0.0 is not below task.high inf: give a finite",
        ),
        ({"kind": "regression", "target": "a", "low": -INF, "high": 0}, "low -inf is not below task.high 0.0"),
        ({"kind": "regression", "target": "a", "huber_delta": 0}, "huber_delta is 0.0"),
        ({"kind": "regression", "target": "a", "huber_delta": NAN}, "huber_delta is nan"),
        ({"kind": "regression", "target": "a", "huber_delta": INF}, "huber_delta is inf"),
        ({"kind": "embedding", "target": ""}, "target is empty"),
        ({"kind": "embedding", "target": "x", "k": 0}, "k is 0: look at 1 neighbour or more"),
    ],
)
def test_a_value_that_cannot_work_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Task.from_dict(values)
    assert message in str(error.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        Regression(target="", low=3, high=1, huber_delta=-1)
    assert len(error.value.problems) == 3


def test_an_unknown_task_is_named_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'multi_label'"):
        Task.from_dict({"kind": "multilabel"})


@pytest.mark.parametrize("task", [SingleLabel(), MultiLabel(), Playlists(), Tabular(), Tabular(first_label=True)])
def test_labels_are_named_that_are_unknown_or_missing(task: Task) -> None:
    with pytest.raises(DatasetError, match=r"labels \['polka', 'waltz'\] are none of the classes \['a', 'b'\]"):
        task.encode(GroundTruth([("a",), ("waltz", "polka")]), ["a", "b"])
    with pytest.raises(DatasetError, match="2 of 3 tracks have no label, the first of them track number 1"):
        task.encode(GroundTruth([("a",), (), ()]), ["a", "b"])


def test_hundreds_of_unknown_labels_do_not_fill_the_screen() -> None:
    with pytest.raises(DatasetError) as error:
        SingleLabel().encode(GroundTruth([(f"genre {i}",) for i in range(500)]), [f"class {i}" for i in range(500)])
    assert len(str(error.value)) < 1000


def facts(**values: Any) -> GroundTruth:
    columns = {name: np.asarray(v) for name, v in values.items()}
    return GroundTruth([()] * len(next(iter(columns.values()))), values=columns)


def test_a_fact_that_is_not_there_is_named_with_those_that_are() -> None:
    known = facts(energy=[0.1], valence=[0.2])
    for task in (Regression(target="tempo"), Embedding(target="tempo")):
        with pytest.raises(
            DatasetError, match="no metadata column 'tempo' is known of these tracks: there are energy, valence"
        ):
            task.encode(known, ("tempo",))
    with pytest.raises(DatasetError, match="there are none"):
        Regression(target="tempo").encode(GroundTruth([()]), ("tempo",))
    for task in (Regression(target="tempo"), Embedding(target="tempo")):
        with pytest.raises(DatasetError, match="no metadata column 'tempo'"):
            task.has_target(known)
    with pytest.raises(DatasetError, match="no metadata column 'tempo'"):
        Embedding(target="tempo").names(known, ())


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_tracks_without_the_fact_are_counted(hole: float) -> None:
    with pytest.raises(DatasetError, match="2 of 3 tracks have no 'energy', the first of them track number 1"):
        Regression(target="energy").encode(facts(energy=[0.5, hole, hole]), ("energy",))
    with pytest.raises(DatasetError, match="1 of 2 tracks have no 'x', the first of them track number 0"):
        Embedding(target="x").encode(facts(x=[[1.0, hole], [1.0, 0.0]]), ("x[0]", "x[1]"))


def test_numbers_and_vectors_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(DatasetError, match=r"'x' is a vector a track.*'embedding'"):
        Regression(target="x").encode(facts(x=[[1.0, 2.0]]), ("x",))
    with pytest.raises(DatasetError, match=r"'tempo' is one number a track.*'regression'"):
        Embedding(target="tempo").names(facts(tempo=[120.0]), ())
    with pytest.raises(DatasetError, match="'title' is text, not numbers"):
        Regression(target="title").encode(facts(title=np.array(["a", "b"], dtype=object)), ("title",))


def test_a_vector_of_another_dimension_or_without_direction() -> None:
    with pytest.raises(DatasetError, match="'x' has 3 dimensions, the model 2"):
        Embedding(target="x").encode(facts(x=[[1.0, 2.0, 3.0]]), ("x[0]", "x[1]"))
    zeros = facts(x=[[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(DatasetError, match="'x' is all zeros for 1 of 2 tracks, first for number 1"):
        Embedding(target="x").encode(zeros, ("x[0]", "x[1]"))
    assert Embedding(target="x", loss_kind="mse").encode(zeros, ("x[0]", "x[1]")).shape == (2, 2)
