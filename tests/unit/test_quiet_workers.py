"""What we set of Ray Data for our own work is undone after it: a notebook may use it, too."""

from __future__ import annotations

import logging

import pytest
import ray.data

from tonearm.pipelines.workers import quiet_ray_data


@pytest.mark.parametrize("bars", [True, False])
def test_ray_data_is_as_before_when_the_work_is_done_or_fails(bars: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    monkeypatch.setattr(context, "enable_progress_bars", bars)
    before = context.enable_progress_bars, context.print_on_execution_start, logger.level
    with pytest.raises(KeyboardInterrupt), quiet_ray_data():
        assert not context.enable_progress_bars and logger.level == logging.ERROR
        raise KeyboardInterrupt
    assert before == (context.enable_progress_bars, context.print_on_execution_start, logger.level)
