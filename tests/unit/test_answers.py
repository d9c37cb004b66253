"""What a prediction says, in the form of its task: in Python, as JSON, and as columns of a table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tonearm.core.errors import ConfigError
from tonearm.core.types import FloatArray
from tonearm.tasks import Embedding, MultiLabel, Playlists, Regression, Relations, SingleLabel, Tabular, Task
from tonearm.tasks.answers import ClassAnswer, FitnessAnswer, LabelsAnswer, ValuesAnswer, VectorAnswer

NAMES = ("bass", "flute", "noise")


def numbers(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float32)


def test_a_class_is_the_most_probable_one() -> None:
    answer = SingleLabel().read(numbers(0.25, 0.5, 0.25), NAMES)
    assert isinstance(answer, ClassAnswer) and answer.label == "flute"
    assert answer.rows() == [("flute", 0.5), ("bass", 0.25), ("noise", 0.25)], "of equal ones the first output first"
    assert answer.brief(2) == ["flute 0.500", "bass 0.250"]
    assert answer.to_dict() == {
        "task": "single_label", "label": "flute",
        "probabilities": [{"label": n, "probability": p} for n, p in answer.ranked],
    }  # fmt: skip
    assert answer.columns() == {"label": "flute", "probability": 0.5}
    assert answer.number_names(NAMES) == ["p:bass", "p:flute", "p:noise"]


def test_labels_are_those_from_the_threshold_on() -> None:
    task = MultiLabel(threshold=0.25)
    answer = task.read(numbers(0.25, 0.75, 0.125), NAMES)
    assert isinstance(answer, LabelsAnswer) and answer.labels == ("flute", "bass")
    assert answer.brief(3) == ["flute 0.750", "bass 0.250", "(noise 0.125)"]
    assert answer.to_dict()["probabilities"][-1] == {"label": "noise", "probability": 0.125, "threshold": 0.25}
    assert answer.columns() == {"labels": "flute; bass"}
    none = task.read(numbers(0.1, 0.1, 0.0), NAMES)
    assert isinstance(none, LabelsAnswer) and none.labels == () and none.columns() == {"labels": ""}
    assert none.label == "bass", "the nearest to being given"
    votes = MultiLabel(threshold=0.25, pooling="vote").read(numbers(0.4, 0.5, 0.0), NAMES)
    assert isinstance(votes, LabelsAnswer) and votes.labels == ("flute",), "half of the windows decide"


@settings(max_examples=50, deadline=None, derandomize=True)
@given(arrays(np.float32, 3, elements=st.floats(0, 1, width=32)), st.floats(0.01, 0.99))
def test_labels_of_an_answer_are_those_that_metrics_count(prediction: FloatArray, threshold: float) -> None:
    task = MultiLabel(threshold=threshold)
    answer = task.read(prediction, NAMES)
    assert isinstance(answer, LabelsAnswer)
    assert set(answer.labels) == {n for n, on in zip(NAMES, task.predicted_labels(prediction), strict=True) if on}


def test_playlists_have_fitness() -> None:
    answer = Playlists().read(numbers(0.9, 0.2, 0.95), NAMES)
    assert isinstance(answer, FitnessAnswer) and answer.label == "noise"
    fittest = {"playlist": "noise", "fitness": pytest.approx(0.95)}
    assert answer.to_dict()["playlists"][0] == fittest and answer.columns() == fittest
    assert answer.number_names(NAMES) == ["fitness:bass", "fitness:flute", "fitness:noise"]


def test_values_have_units_and_the_range_of_sigmoids() -> None:
    task = Regression(target="energy, tempo", squash="none", units=",BPM")
    answer = task.read(numbers(-0.25, 120.5), task.targets)
    assert isinstance(answer, ValuesAnswer) and answer.brief(1) == ["energy -0.25", "tempo 120.5 BPM"]
    assert answer.to_dict()["values"][1] == {"name": "tempo", "value": 120.5, "unit": "BPM", "low": None, "high": None}
    assert answer.number_names(task.targets) == ["value:energy", "value:tempo (BPM)"] and answer.columns() == {}
    assert answer.rows(1) == [("energy", -0.25), ("tempo", 120.5)], "values are not ranked"
    squashed = Regression(target="tempo", low=60, high=180).read(numbers(90), ["tempo"])
    assert isinstance(squashed, ValuesAnswer) and (squashed.values[0].low, squashed.values[0].high) == (60, 180)
    with pytest.raises(ConfigError, match="an answer of regression has no label"):
        _ = answer.label


def test_units_are_one_a_target_and_change_no_identity_unless_given() -> None:
    with pytest.raises(ConfigError, match=r"task\.units is 'BPM' for the targets 'energy,tempo'"):
        Regression(target="energy,tempo", units="BPM")
    assert "units" not in Regression(target="tempo").to_dict()
    assert Regression.from_dict(Regression(target="tempo", units="BPM").to_dict()).unit_of == {"tempo": "BPM"}


def test_a_vector_is_one() -> None:
    task = Embedding(target="artist")
    answer = task.read(numbers(0.6, -0.8), ["artist[0]", "artist[1]"])
    assert isinstance(answer, VectorAnswer)
    assert answer.brief(1) == ["artist: a vector of 2, 0.600 ..."]
    assert answer.to_dict() == {"task": "embedding", "target": "artist", "vector": pytest.approx([0.6, -0.8])}
    assert answer.number_names(answer.names) == ["vector:artist[0]", "vector:artist[1]"]
    with pytest.raises(ConfigError, match="no label"):
        _ = answer.label


@pytest.mark.parametrize(
    "task, form",
    [(Tabular(), ClassAnswer), (Tabular(training="multi_hot"), FitnessAnswer), (Relations(), ValuesAnswer)],
)
def test_other_tasks_have_the_form_that_their_numbers_have(task: Task, form: type) -> None:
    answer = task.read(numbers(0.25, 0.5, 0.25), NAMES)
    assert type(answer) is form and json.loads(json.dumps(answer.to_dict()))["task"] == answer.task


ALIKE: list[tuple[Task, Task]] = [
    (SingleLabel(), SingleLabel(label_smoothing=0.1, pooling="mean_logit", class_weights="balanced")),
    (MultiLabel(), MultiLabel(class_weights="balanced", pooling="vote")),
    (Regression(target="tempo", squash="none"), Regression(target="tempo", low=0, high=300, loss_kind="huber")),
]
DIFFERENT: list[tuple[Task, Task]] = [
    (SingleLabel(), MultiLabel()),
    (MultiLabel(), MultiLabel(threshold=0.25)),
    (Playlists(), Playlists(training="multi_hot")),
    (Regression(target="tempo"), Regression(target="energy")),
    (Regression(target="tempo"), Regression(target="tempo", units="BPM")),
    (Embedding(target="artist"), Embedding(target="artist", loss_kind="mse")),
]


@pytest.mark.parametrize("one, other, same", [(*p, True) for p in ALIKE] + [(*p, False) for p in DIFFERENT])
def test_what_predictions_mean_is_not_how_they_were_trained(one: Task, other: Task, same: bool) -> None:
    assert (one.meaning() == other.meaning()) == same
