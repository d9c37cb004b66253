"""The metric that decides is a field of the task: which ones may, and what follows of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builders import tiny_config
from tests.unit.test_task_contract import EXAMPLES, Example
from tonearm.core.errors import ConfigError, TrainingError
from tonearm.ensembles.select import select_greedily
from tonearm.sweeps.domains import Choice
from tonearm.sweeps.rungs import scheduler_score
from tonearm.sweeps.space import SearchSpace
from tonearm.tasks import MultiLabel, SingleLabel, Task
from tonearm.tasks.metrics import find_metric


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    return EXAMPLES[request.param]


def test_every_choice_can_decide(example: Example) -> None:
    task, target, groups = example.task, example.target, example.truth.groups
    assert task.primary == task.default_primary == task.choices[0]
    for name in task.choices:
        own = task.replace({"primary": name})
        perfect = own.metrics(example.perfect(target), target, groups)
        chance = own.metrics(own.pool(example.logits(2)), target, groups)
        assert own.headline[0] == name and own.maximise == find_metric(name).maximise
        assert own.better(perfect, chance) and not own.better(chance, perfect)
        scores = [scheduler_score(own, {f"validation_{k}": v for k, v in m.items()}) for m in (perfect, chance)]
        assert scores[0] > scores[1]


def test_a_primary_at_its_default_leaves_no_trace(example: Example) -> None:
    task = example.task
    assert "primary" not in task.to_dict() and task.flatten()["primary"] == task.default_primary
    assert task.replace({"primary": task.default_primary}).signature() == task.signature()
    other = task.replace({"primary": task.choices[1]})
    assert other.to_dict()["primary"] == task.choices[1] and other.signature() != task.signature()
    assert Task.from_dict(other.to_dict()) == other and "primary=" in other.brief() and "primary=" not in task.brief()


def test_the_primary_is_part_of_a_trials_identity() -> None:
    config = tiny_config()
    other = config.replace({"task.primary": "f1_macro"})
    assert other.signature() != config.signature() and type(config).from_dict(other.to_dict()) == other
    assert other.flatten()["task.primary"] == "f1_macro" and config.flatten()["task.primary"] == "f1_micro"
    assert "primary" not in config.to_dict()["task"]


def test_chance_is_told_where_it_is_known() -> None:
    assert SingleLabel().chance(4) == SingleLabel(primary="balanced_accuracy").chance(4) == 0.25
    assert SingleLabel(primary="f1_macro").chance(4) is None and MultiLabel().chance(4) is None


@pytest.mark.parametrize(
    ("task", "name"), [("single_label", "mae"), ("single_label", "top_3"), ("embedding", "recall_at_3")]
)
def test_a_primary_that_is_none_of_the_tasks_is_refused_with_the_possible_ones(task: str, name: str) -> None:
    own = EXAMPLES[task].task
    with pytest.raises(
        ConfigError, match=f"task.primary is '{name}': {task} can be evaluated by {', '.join(own.choices)}"
    ):
        own.replace({"primary": name})


def test_a_task_that_does_not_report_what_it_is_judged_by_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"single_label needs f1_micro, its metrics\(\) reports log_loss"):
        SingleLabel().better({"log_loss": 1.0}, {"log_loss": 2.0})


def test_members_are_selected_by_the_primary_that_was_chosen() -> None:
    """One model is surer and answers the large class only; the other finds the rare one."""
    target = np.array([0] * 9 + [1])
    sure, fair = np.full((10, 2), 0.1, dtype=np.float32), np.full((10, 2), 0.45, dtype=np.float32)
    sure[:, 0] = 0.9
    fair[np.arange(10), target] = 0.55
    predictions = [sure, sure, fair, fair]
    by_loss = select_greedily(predictions, target, SingleLabel(), rounds=1)
    by_macro = select_greedily(predictions, target, SingleLabel(primary="f1_macro"), rounds=1)
    shares = [sum(found.get(i, 0) for i in (0, 1)) / sum(found.values()) for found in (by_loss, by_macro)]
    assert shares[0] > 0.7 and shares[1] < 0.3  # a bag of two has one of each, as a rule
    assert SingleLabel().selected_by == ("log_loss",) and SingleLabel(primary="log_loss").selected_by == ("log_loss",)
    assert SingleLabel(primary="f1_macro").selected_by == ("f1_macro", "log_loss")
    assert SingleLabel(pooling="vote").selected_by == ("f1_micro", "log_loss"), "shares are no probabilities"


def test_a_sweep_ranks_by_one_metric() -> None:
    over = {"task.primary": Choice("f1_micro", "f1_macro")}
    with pytest.raises(
        ConfigError, match=r"task.primary varies the primary metric \(f1_macro, f1_micro\): trials are ranked"
    ):
        SearchSpace(base=tiny_config(), over=over).check()
    tasks = Choice(SingleLabel(), SingleLabel(primary="f1_macro"))
    with pytest.raises(ConfigError, match=r"^task varies the primary metric .* the same task.primary"):
        SearchSpace(base=tiny_config(), over={"task": tasks}).check()
