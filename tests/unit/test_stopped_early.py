"""What a scheduler stopped early in MLflow: no score for a search to begin with, no half configurations to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.comparison_runs import log_sweep, log_trial, tracks, with_changes
from tests.unit.test_rungs import Sweep, space
from tonearm.comparison.compare import Options, compare
from tonearm.core.errors import ConfigError
from tonearm.sweeps import Asha, LogUniform, SearchSpace
from tonearm.sweeps.warm_start import load_warm_start

pytestmark = pytest.mark.usefixtures("database")
OF = tracks(10, 3)


def test_a_score_of_few_epochs_is_nothing_to_begin_with() -> None:
    chosen = SearchSpace(with_changes({}), {"optim.lr": LogUniform(1e-4, 1e-1)})
    parent = log_sweep("begun")
    for rate, best, ending in ((1e-3, 0.5, "completed"), (1e-2, 0.9, "stopped"), (2e-3, 0.6, "completed")):
        log_trial(parent, f"{rate}", with_changes({"optim.lr": rate}), None, OF, best, ending=ending)
    found = load_warm_start(chosen, ["begun"]).found
    assert [(f.values["optim.lr"], f.score) for f in found] == [(2e-3, 0.6), (1e-3, 0.5)]
    only = log_sweep("short")
    log_trial(only, "lucky", with_changes({"optim.lr": 1e-2}), None, OF, 0.9, ending="stopped")
    with pytest.raises(ConfigError, match="none of the 0 completed trainings of short"):
        load_warm_start(chosen, ["short"])


def test_what_halving_leaves_of_configurations_with_three_seeds_can_be_compared(tmp_path: Path) -> None:
    agenda = Sweep(space(Asha(), 5, seeds=3), tmp_path).run()
    parent = log_sweep("halved")
    for index, result in sorted(agenda.results.items()):
        config = with_changes({"optim.lr": result.config.optim.lr, "seed": result.config.seed})
        answers = OF.predictions(OF.right(0.7, index), index)
        log_trial(parent, f"{index:02d}", config, answers, OF, result.best or 0.0, ending=result.ending, epochs=1)
    found = compare(["halved"], Options())
    endings = [r.ending for r in agenda.results.values()]
    assert len(found.predictions) == endings.count("completed") // 3 >= 2 and "stopped" in endings
    assert all(len(p.seeds) == 3 for p in found.predictions)
