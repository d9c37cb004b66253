"""Data that are prepared are split: what asks for another split is refused or told, never passed over."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from search_spaces import find_space  # noqa: F401  registers the recipes
from tonearm.core.errors import ConfigError
from tonearm.datasets.manifest import Manifest
from tonearm.training.recipe import find_recipe
from tonearm.workflows import train as module
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.train import train

DATA = PreparedData(Manifest("music", "genre", ()), split_seed=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"split_seed": 1},
            "split_seed 1: 'music' is split already, with seed 3 and grouped True: give them to prepare",
        ),
        ({"grouped": False}, "grouped False: 'music' is split already"),
        ({"max_rejected": 0.5}, "max_rejected is 0.5, 'music' is prepared already: give it to prepare"),
        ({"max_rejected": 0.5, "folds": 2}, "max_rejected is 0.5"),
    ],
)
def test_other_split_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(find_recipe("time_mel"), DATA, **{"folds": 0, **settings})


def test_recipe_that_splits_otherwise_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "run_request", lambda request: request)
    monkeypatch.setattr(module, "report_training", lambda request, outcome: request)
    recipe = dataclasses.replace(find_recipe("time_mel"), fractions=(0.8, 0.1, 0.1))
    with caplog.at_level(logging.WARNING, "tonearm"):
        train(recipe, DATA, folds=0, split_seed=3, grouped=True)
    assert "the recipe splits by (0.8, 0.1, 0.1)" in caplog.text
    caplog.clear()
    train(recipe, DATA, folds=2, split_seed=1, grouped=False)
    assert not caplog.text
